# Keras' trajectories, and the same bits on any layout.
EXTRA_PROGRAMS += tests/mpi/test_trajectory
tests_mpi_test_trajectory_SOURCES = tests/mpi/test_trajectory.c tests/mpi/leaks.h tests/mpi/fixture.c \
	tests/mpi/fixture.h tests/mpi/fixture_edit.c
tests_mpi_test_trajectory_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/trajectory.sh
SANITIZED_SHELL_TESTS += tests/mpi/trajectory.sh
tests/mpi/trajectory.log: tests/mpi/test_trajectory$(EXEEXT)

layout_sources = tests/mpi/layout.c tests/mpi/layout.h tests/mpi/layout_models.c tests/mpi/leaks.h \
	tests/mpi/ranks.c tests/mpi/ranks.h
EXTRA_PROGRAMS += tests/mpi/test_layouts
tests_mpi_test_layouts_SOURCES = tests/mpi/test_layouts.c $(layout_sources) $(deferred_sources)
tests_mpi_test_layouts_LDADD = $(UNIT_LIBS)
LONG_TESTS += tests/mpi/layouts.sh
BUILT_FOR_LONG_TESTS += tests/mpi/test_layouts$(EXEEXT)
SANITIZED_SHELL_TESTS += tests/mpi/layouts.sh
tests/mpi/layouts.log: tests/mpi/test_layouts$(EXEEXT) mbrun$(EXEEXT)

EXTRA_PROGRAMS += tests/mpi/test_bytes
tests_mpi_test_bytes_SOURCES = tests/mpi/test_bytes.c tests/mpi/counted.c \
	tests/mpi/counted.h $(layout_sources)
tests_mpi_test_bytes_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/bytes.sh
SANITIZED_SHELL_TESTS += tests/mpi/bytes.sh
tests/mpi/bytes.log: tests/mpi/test_bytes$(EXEEXT) mbrun$(EXEEXT)

SHELL_TESTS += tests/mpi/isa.sh
tests/mpi/isa.log: tests/mpi/test_trajectory$(EXEEXT) tests/mpi/test_layouts$(EXEEXT) \
	tests/mpi/test_bytes$(EXEEXT) mbrun$(EXEEXT)

CLEANFILES += tests/mpi/test_trajectory$(EXEEXT) tests/mpi/test_layouts$(EXEEXT) \
	tests/mpi/test_bytes$(EXEEXT)
EXTRA_DIST += tests/mpi/layouts_lib.sh tests/campaign/layouts.sh tests/campaign/random_models.py \
	tests/campaign/damaged.py tests/campaign/quickstart.sh \
	tests/tools/make_branches.py tests/tools/make_scaled.py
