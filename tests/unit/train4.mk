check_PROGRAMS += tests/unit/test_moments
tests_unit_test_moments_SOURCES = tests/unit/test_moments.c
tests_unit_test_moments_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_api_stored
tests_unit_test_api_stored_SOURCES = tests/unit/test_api_stored.c $(API_SUPPORT)
tests_unit_test_api_stored_LDADD = $(API_LIBS)

BATS_TESTS += tests/cli/checkpoint_dtype.bats

SHELL_TESTS += tests/mpi/moments.sh tests/mpi/optimizers.sh tests/mpi/qat.sh tests/mpi/whole_batch.sh
tests/mpi/moments.log: mbrun$(EXEEXT)
tests/mpi/qat.log: mbrun$(EXEEXT)
EXTRA_DIST += tests/mpi/runs_lib.sh tests/campaign/moments.sh \
	tests/campaign/qat.sh

check_PROGRAMS += tests/unit/test_time_limit
tests_unit_test_time_limit_SOURCES = tests/unit/test_time_limit.c
tests_unit_test_time_limit_LDADD = $(UNIT_LIBS)
