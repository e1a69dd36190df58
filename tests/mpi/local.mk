# MPI programs: each runs all its cases on several numbers of ranks. They are no tests by themselves, so
# they are built when the log of their script is wanted.
mpi_cases_sources = tests/mpi/cases.c tests/mpi/cases.h
mpi_devices_sources = tests/mpi/devices.c tests/mpi/devices.h $(deferred_sources)

EXTRA_PROGRAMS += tests/mpi/test_comm
tests_mpi_test_comm_SOURCES = tests/mpi/test_comm.c $(mpi_cases_sources)
tests_mpi_test_comm_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/comm.sh
tests/mpi/comm.log: tests/mpi/test_comm$(EXEEXT)
SHELL_TESTS += tests/mpi/silent.sh tests/mpi/faults.sh tests/mpi/hosts.sh tests/mpi/straggler.sh
TIMED_TESTS += tests/mpi/comm.sh tests/mpi/silent.sh tests/mpi/faults.sh tests/mpi/hosts.sh tests/mpi/straggler.sh
tests/mpi/faults.log: tests/support/failing_io.so tests/support/failing_mpi.so tests/mpi/poison$(EXEEXT)

EXTRA_PROGRAMS += tests/mpi/test_turns
tests_mpi_test_turns_SOURCES = tests/mpi/test_turns.c $(mpi_cases_sources)
tests_mpi_test_turns_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/turns.sh
tests/mpi/turns.log: tests/mpi/test_turns$(EXEEXT)

EXTRA_PROGRAMS += tests/mpi/test_transport
tests_mpi_test_transport_SOURCES = tests/mpi/test_transport.c $(mpi_cases_sources) \
	$(mpi_devices_sources)
tests_mpi_test_transport_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/transport.sh
tests/mpi/transport.log: tests/mpi/test_transport$(EXEEXT)

EXTRA_PROGRAMS += tests/mpi/test_reduce
tests_mpi_test_reduce_SOURCES = tests/mpi/test_reduce.c $(mpi_cases_sources) $(mpi_devices_sources)
tests_mpi_test_reduce_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/reduce.sh
tests/mpi/reduce.log: tests/mpi/test_reduce$(EXEEXT)

CLEANFILES += tests/mpi/test_comm$(EXEEXT) tests/mpi/test_turns$(EXEEXT) tests/mpi/test_transport$(EXEEXT) \
	tests/mpi/test_reduce$(EXEEXT)
EXTRA_DIST += tests/mpi/cases.sh

# Preloaded into programs under test. By a rule of its own: it is wanted where no shared library is
# built, and without sanitizers.
make_preloaded = $(MKDIR_P) tests/support && \
	$(CC) $(WARN_CFLAGS) -I$(top_srcdir)/tests -O1 -g -fPIC -shared -o $@ \
	  $(top_srcdir)/tests/support/$$(basename $@ .so).c -ldl
tests/support/failing_io.so: tests/support/failing_io.c tests/support/interposed.h
	$(AM_V_CC)$(make_preloaded)
tests/support/recording_io.so: tests/support/recording_io.c tests/support/interposed.h tests/support/io_record.h
	$(AM_V_CC)$(make_preloaded)
tests/support/failing_memory.so: tests/support/failing_memory.c tests/support/interposed.h
	$(AM_V_CC)$(make_preloaded)
CLEANFILES += tests/support/failing_io.so tests/support/recording_io.so tests/support/failing_memory.so
EXTRA_DIST += tests/support/interposed.h tests/support/io_record.h tests/support/recording_io.c \
	tests/support/failing_memory.c

# What a crash may leave of a run: recorded by the one, replayed by the other.
EXTRA_PROGRAMS += tests/mpi/crash_states
tests_mpi_crash_states_SOURCES = tests/mpi/crash_states.c tests/support/io_record.h \
	tests/support/crash_record.c tests/support/crash_record.h \
	tests/support/crash_state.c tests/support/crash_state.h \
	tests/support/crash_check.c tests/support/crash_check.h
tests_mpi_crash_states_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/crash_states.sh
tests/mpi/crash_states.log: tests/mpi/crash_states$(EXEEXT) tests/support/recording_io.so mbrun$(EXEEXT)
CLEANFILES += tests/mpi/crash_states$(EXEEXT)
EXTRA_DIST += tests/mpi/crash_lib.sh tests/campaign/crash_states.sh
tests/support/failing_mpi.so: tests/support/failing_mpi.c
	$(AM_V_CC)$(MKDIR_P) tests/support && \
	$(CC) $(MPI_CFLAGS) $(WARN_CFLAGS) -O1 -g -fPIC -shared -o $@ \
	  $(top_srcdir)/tests/support/failing_mpi.c
CLEANFILES += tests/support/failing_mpi.so
EXTRA_DIST += tests/support/failing_mpi.c tests/support/hosts.sh tests/mpi/faults_lib.sh tests/campaign/faults.sh
EXTRA_PROGRAMS += tests/mpi/poison
tests_mpi_poison_SOURCES = tests/mpi/poison.c
tests_mpi_poison_LDADD = $(HDF5_LIBS)
CLEANFILES += tests/mpi/poison$(EXEEXT)
tests/support/stumbling_hdf5.so: tests/support/stumbling_hdf5.c
	$(AM_V_CC)$(MKDIR_P) tests/support && \
	$(CC) $(HDF5_CFLAGS) $(MPI_CFLAGS) $(WARN_CFLAGS) -O1 -g -fPIC -shared -o $@ \
	  $(top_srcdir)/tests/support/stumbling_hdf5.c -ldl
tests/cli/damaged.log: tests/support/stumbling_hdf5.so
tests/cli/saving.log: tests/support/failing_memory.so
tests/cli/saving.log tests/cli/local_tier.log: tests/support/failing_io.so
tests/cli/saving.log tests/cli/local_tier.log tests/cli/io.log: tests/support/failing_io.so
# Directories that seem to be on another file system.
tests/support/other_filesystem.so: tests/support/other_filesystem.c tests/support/interposed.h
	$(AM_V_CC)$(make_preloaded)
tests/cli/io.log: tests/support/other_filesystem.so
CLEANFILES += tests/support/other_filesystem.so
EXTRA_DIST += tests/support/other_filesystem.c
CLEANFILES += tests/support/stumbling_hdf5.so
EXTRA_DIST += tests/support/stumbling_hdf5.c
EXTRA_DIST += tests/support/failing_io.c tests/mpi/failing_lib.sh tests/campaign/failing_writes.sh \
	tests/campaign/saving_threads.sh
# A rank whose products of matrices go wrong.
tests/support/erring_products.so: tests/support/erring_products.c
	$(AM_V_CC)$(MKDIR_P) tests/support && \
	$(CC) $(WARN_CFLAGS) -O1 -g -fPIC -shared -o $@ $(top_srcdir)/tests/support/erring_products.c -ldl
SHELL_TESTS += tests/mpi/silent_errors.sh
tests/mpi/silent_errors.log: tests/support/erring_products.so mbrun$(EXEEXT)
CLEANFILES += tests/support/erring_products.so
EXTRA_DIST += tests/support/erring_products.c
EXTRA_DIST += tests/support/failing_io.c tests/mpi/failing_lib.sh tests/campaign/failing_writes.sh
EXTRA_DIST += tests/support/failing_io.c tests/mpi/failing_lib.sh tests/campaign/failing_writes.sh tests/campaign/local_tier.sh
# What is left of a command that fails matters most where its memory is watched.
if SANITIZERS
SHELL_TESTS += tests/mpi/failing_writes.sh
else
EXTRA_DIST += tests/mpi/failing_writes.sh
endif
SANITIZED_SHELL_TESTS += tests/mpi/failing_writes.sh
# A sanitizer has allocations of its own.
if SANITIZERS
EXTRA_DIST += tests/mpi/failing_calls.sh
else
SHELL_TESTS += tests/mpi/failing_calls.sh
endif
tests/mpi/failing_calls.log: tests/support/failing_io.so tests/support/failing_memory.so mbrun$(EXEEXT)
EXTRA_DIST += tests/campaign/failing_calls.sh tests/campaign/kills.sh tests/campaign/soak.sh
tests/mpi/failing_writes.log: tests/support/failing_io.so mbrun$(EXEEXT)

LONG_TESTS += tests/mpi/cudasim.sh
SHELL_TESTS += tests/mpi/cudasim_runs.sh tests/mpi/cudasim_failures.sh \
	tests/mpi/cudasim_lost.sh tests/mpi/cudasim_refusals.sh
TIMED_TESTS += tests/mpi/cudasim_failures.sh tests/mpi/cudasim_lost.sh
tests/mpi/cudasim.log: tests/mpi/test_layouts$(EXEEXT) mbrun$(EXEEXT) $(check_DATA)
tests/mpi/cudasim_runs.log tests/mpi/cudasim_failures.log tests/mpi/cudasim_lost.log \
tests/mpi/cudasim_refusals.log: mbrun$(EXEEXT) $(check_DATA)

SHELL_TESTS += tests/mpi/plugin.sh
tests/mpi/plugin.log: mbrun$(EXEEXT) $(check_DATA)

# The studies of examples/insitu; the Fortran one needs the module.
SHELL_TESTS += tests/mpi/insitu.sh
INSITU_FORTRAN =
tests/mpi/insitu.log: libmb.la mbrun$(EXEEXT) $(INSITU_FORTRAN)
if HAVE_FORTRAN
EXTRA_PROGRAMS += tests/mpi/insitu_fortran
tests_mpi_insitu_fortran_SOURCES = examples/insitu/shallow_water.f90
tests_mpi_insitu_fortran_FCFLAGS = $(MPI_FCFLAGS) $(SANITIZE_CFLAGS)
tests_mpi_insitu_fortran_LDADD = libmb_fortran.la libmb.la $(MPI_FCLIBS)
tests_mpi_insitu_fortran_LDFLAGS = $(SANITIZE_CFLAGS)
examples/insitu/tests_mpi_insitu_fortran-shallow_water.$(OBJEXT): libmb_fortran.la
INSITU_FORTRAN += tests/mpi/insitu_fortran$(EXEEXT)
CLEANFILES += tests/mpi/insitu_fortran$(EXEEXT) shallow_water.mod
endif
