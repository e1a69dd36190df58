STORE_SUPPORT = tests/support/store_files.c tests/support/store_files.h
REWRITE_SUPPORT = tests/support/rewrite_model.c tests/support/rewrite_model.h

check_PROGRAMS += tests/unit/test_h5_heap
tests_unit_test_h5_heap_SOURCES = tests/unit/test_h5_heap.c $(STORE_SUPPORT)
tests_unit_test_h5_heap_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_model_file
tests_unit_test_model_file_SOURCES = tests/unit/test_model_file.c $(STORE_SUPPORT)
tests_unit_test_model_file_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_checkpoint
tests_unit_test_checkpoint_SOURCES = tests/unit/test_checkpoint.c $(STORE_SUPPORT) \
	$(REWRITE_SUPPORT)
tests_unit_test_checkpoint_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_writers
tests_unit_test_writers_SOURCES = tests/unit/test_writers.c $(STORE_SUPPORT)
tests_unit_test_writers_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_io_options
tests_unit_test_io_options_SOURCES = tests/unit/test_io_options.c $(STORE_SUPPORT)
tests_unit_test_io_options_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_h5_image
tests_unit_test_h5_image_SOURCES = tests/unit/test_h5_image.c $(STORE_SUPPORT)
tests_unit_test_h5_image_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_seal
tests_unit_test_seal_SOURCES = tests/unit/test_seal.c $(STORE_SUPPORT)
tests_unit_test_seal_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_archive
tests_unit_test_archive_SOURCES = tests/unit/test_archive.c $(STORE_SUPPORT)
tests_unit_test_archive_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_zip
tests_unit_test_zip_SOURCES = tests/unit/test_zip.c $(STORE_SUPPORT)
tests_unit_test_zip_LDADD = $(UNIT_LIBS)

EXTRA_DIST += tests/fixtures

check_PROGRAMS += tests/unit/test_run_dir
tests_unit_test_run_dir_SOURCES = tests/unit/test_run_dir.c $(STORE_SUPPORT)
tests_unit_test_run_dir_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_predictions
tests_unit_test_predictions_SOURCES = tests/unit/test_predictions.c $(STORE_SUPPORT)
tests_unit_test_predictions_LDADD = $(UNIT_LIBS)

# Run by their scripts, so they are not among check_PROGRAMS.
EXTRA_PROGRAMS += tests/mpi/test_checkpoint tests/keras/rewrite
CLEANFILES += tests/mpi/test_checkpoint$(EXEEXT) tests/keras/rewrite$(EXEEXT)
tests_mpi_test_checkpoint_SOURCES = tests/mpi/test_checkpoint.c tests/mpi/cases.c \
	tests/mpi/cases.h $(STORE_SUPPORT) $(ENCODED_SUPPORT)
tests_mpi_test_checkpoint_LDADD = $(UNIT_LIBS)
tests_keras_rewrite_SOURCES = tests/keras/rewrite.c $(REWRITE_SUPPORT)
tests_keras_rewrite_LDADD = $(UNIT_LIBS)

SHELL_TESTS += tests/mpi/test_checkpoint.sh
SANITIZED_SHELL_TESTS += tests/mpi/test_checkpoint.sh
tests/mpi/test_checkpoint.log: tests/mpi/test_checkpoint$(EXEEXT)
SHELL_TESTS += tests/keras/archives.sh
tests/keras/archives.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/archives.py
SHELL_TESTS += tests/keras/roundtrip.sh
tests/keras/roundtrip.log: tests/keras/rewrite$(EXEEXT) mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/roundtrip.py tests/keras/many_layers.py tests/keras/trained.py

check_PROGRAMS += tests/unit/test_links
tests_unit_test_links_SOURCES = tests/unit/test_links.c $(STORE_SUPPORT)
tests_unit_test_links_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_local_set
tests_unit_test_local_set_SOURCES = tests/unit/test_local_set.c $(STORE_SUPPORT)
tests_unit_test_local_set_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_beside
tests_unit_test_beside_SOURCES = tests/unit/test_beside.c $(STORE_SUPPORT)
tests_unit_test_beside_LDADD = $(UNIT_LIBS)
