# Quantized files on every layout.
EXTRA_PROGRAMS += tests/mpi/test_stored
CLEANFILES += tests/mpi/test_stored$(EXEEXT)
tests_mpi_test_stored_SOURCES = tests/mpi/test_stored.c tests/mpi/leaks.h tests/mpi/layout.c tests/mpi/layout.h \
	tests/mpi/layout_models.c $(deferred_sources)
tests_mpi_test_stored_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/stored.sh
SANITIZED_SHELL_TESTS += tests/mpi/stored.sh
tests/mpi/stored.log: tests/mpi/test_stored$(EXEEXT) mbrun$(EXEEXT)
