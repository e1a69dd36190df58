check_PROGRAMS += tests/unit/test_sampler
tests_unit_test_sampler_SOURCES = tests/unit/test_sampler.c
tests_unit_test_sampler_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_source
tests_unit_test_source_SOURCES = tests/unit/test_source.c tests/support/data_files.c \
	tests/support/data_files.h
tests_unit_test_source_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_tokens
tests_unit_test_tokens_SOURCES = tests/unit/test_tokens.c tests/support/data_files.c \
	tests/support/data_files.h
tests_unit_test_tokens_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_idx
tests_unit_test_idx_SOURCES = tests/unit/test_idx.c tests/support/data_files.c \
	tests/support/data_files.h
tests_unit_test_idx_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_prefetch
tests_unit_test_prefetch_SOURCES = tests/unit/test_prefetch.c
tests_unit_test_prefetch_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_npy
tests_unit_test_npy_SOURCES = tests/unit/test_npy.c tests/support/array_files.c \
	tests/support/array_files.h tests/support/data_files.c tests/support/data_files.h
tests_unit_test_npy_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_table
tests_unit_test_table_SOURCES = tests/unit/test_table.c tests/support/data_files.c \
	tests/support/data_files.h
tests_unit_test_table_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_images
tests_unit_test_images_SOURCES = tests/unit/test_images.c tests/support/image_files.c \
	tests/support/image_files.h tests/support/data_files.c tests/support/data_files.h
tests_unit_test_images_LDADD = $(UNIT_LIBS)
