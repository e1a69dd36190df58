# Methods of quantization that look at the inputs' covariance.
check_PROGRAMS += tests/unit/test_methods
tests_unit_test_methods_SOURCES = tests/unit/test_methods.c
tests_unit_test_methods_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_keras_int8
tests_unit_test_keras_int8_SOURCES = tests/unit/test_keras_int8.c tests/support/store_files.c \
	tests/support/store_files.h
tests_unit_test_keras_int8_LDADD = $(UNIT_LIBS)

SHELL_TESTS += tests/keras/int8.sh
tests/keras/int8.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/keras/int8.py
