# Operations on stored matrices for few rows, convolutions, and rounding while training.
check_PROGRAMS += tests/unit/test_op_fake_quantize
tests_unit_test_op_fake_quantize_SOURCES = tests/unit/test_op_fake_quantize.c $(op_check_sources)
tests_unit_test_op_fake_quantize_LDADD = $(UNIT_LIBS)
