check_PROGRAMS += tests/unit/test_moments
tests_unit_test_moments_SOURCES = tests/unit/test_moments.c
tests_unit_test_moments_LDADD = $(UNIT_LIBS)

BATS_TESTS += tests/cli/checkpoint_dtype.bats

SHELL_TESTS += tests/mpi/moments.sh tests/mpi/qat.sh
tests/mpi/moments.log: mbrun$(EXEEXT)
tests/mpi/qat.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/mpi/runs_lib.sh
