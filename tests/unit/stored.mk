# Products with stored matrices.
check_PROGRAMS += tests/unit/test_op_stored_gemm
tests_unit_test_op_stored_gemm_SOURCES = tests/unit/test_op_stored_gemm.c $(op_check_sources) \
	$(deferred_sources)
tests_unit_test_op_stored_gemm_LDADD = $(UNIT_LIBS)

# make bench-stored: their times beside the float product of the same shape.
EXTRA_PROGRAMS += bench/stored
bench_stored_SOURCES = bench/stored.c
bench_stored_LDADD = libmbcheck.la
CLEANFILES += bench/stored$(EXEEXT)
bench-stored: bench/stored$(EXEEXT)
	bench/stored$(EXEEXT)
.PHONY: bench-stored
