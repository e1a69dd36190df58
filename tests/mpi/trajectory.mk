# Keras' trajectories, and the same bits on any layout.
EXTRA_PROGRAMS += tests/mpi/test_trajectory
tests_mpi_test_trajectory_SOURCES = tests/mpi/test_trajectory.c tests/mpi/fixture.c \
	tests/mpi/fixture.h tests/mpi/fixture_edit.c
tests_mpi_test_trajectory_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/trajectory.sh
SANITIZED_SHELL_TESTS += tests/mpi/trajectory.sh
tests/mpi/trajectory.log: tests/mpi/test_trajectory$(EXEEXT)

CLEANFILES += tests/mpi/test_trajectory$(EXEEXT)
