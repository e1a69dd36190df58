# Operations on stored matrices for few rows, convolutions, and rounding while training.
check_PROGRAMS += tests/unit/test_op_fake_quantize
tests_unit_test_op_fake_quantize_SOURCES = tests/unit/test_op_fake_quantize.c $(op_check_sources)
tests_unit_test_op_fake_quantize_LDADD = $(UNIT_LIBS)

stored_matrix_sources = tests/unit/stored_matrix.c tests/unit/stored_matrix.h

check_PROGRAMS += tests/unit/test_op_stored_rows
tests_unit_test_op_stored_rows_SOURCES = tests/unit/test_op_stored_rows.c $(stored_matrix_sources) \
	$(op_check_sources)
tests_unit_test_op_stored_rows_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_stored_conv
tests_unit_test_op_stored_conv_SOURCES = tests/unit/test_op_stored_conv.c $(stored_matrix_sources) \
	$(op_check_sources)
tests_unit_test_op_stored_conv_LDADD = $(UNIT_LIBS)

# One sample through a model larger than the cache; needs 2 GB.
EXTRA_PROGRAMS += bench/rows
bench_rows_SOURCES = bench/rows.c
bench_rows_LDADD = libmbcheck.la
CLEANFILES += bench/rows$(EXEEXT)
