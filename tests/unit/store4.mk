# Files whose tensors are in small formats.
ENCODED_SUPPORT = tests/support/encoded_files.c tests/support/encoded_files.h

check_PROGRAMS += tests/unit/test_encoded_file
tests_unit_test_encoded_file_SOURCES = tests/unit/test_encoded_file.c $(STORE_SUPPORT) \
	$(ENCODED_SUPPORT) $(REWRITE_SUPPORT)
tests_unit_test_encoded_file_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_encoded_damaged
tests_unit_test_encoded_damaged_SOURCES = tests/unit/test_encoded_damaged.c $(STORE_SUPPORT) \
	$(ENCODED_SUPPORT)
tests_unit_test_encoded_damaged_LDADD = $(UNIT_LIBS)

# Run by its scripts, which ask Keras, h5py, netCDF and h5dump about what it writes.
EXTRA_PROGRAMS += tests/keras/encode
CLEANFILES += tests/keras/encode$(EXEEXT)
tests_keras_encode_SOURCES = tests/keras/encode.c $(REWRITE_SUPPORT)
tests_keras_encode_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/keras/codes.sh tests/keras/quantized.sh
tests/keras/codes.log: tests/keras/encode$(EXEEXT) tests/keras/rewrite$(EXEEXT) mbrun$(EXEEXT)
tests/keras/quantized.log: tests/keras/encode$(EXEEXT) tests/keras/rewrite$(EXEEXT)
EXTRA_DIST += tests/keras/codes.py tests/keras/quantized.py
