# Methods of quantization that look at the inputs' covariance.
check_PROGRAMS += tests/unit/test_methods
tests_unit_test_methods_SOURCES = tests/unit/test_methods.c
tests_unit_test_methods_LDADD = $(UNIT_LIBS)
