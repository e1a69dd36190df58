# Linked with the shared library itself, so that what it exports is what a program needs.
API_SUPPORT = tests/unit/api_ring.c tests/unit/api_ring.h tests/mpi/leaks.h
API_LIBS = libmb.la $(CHECK_LIBS) $(HDF5_LIBS) $(MPI_LIBS)

check_PROGRAMS += tests/unit/test_api
tests_unit_test_api_SOURCES = tests/unit/test_api.c $(API_SUPPORT)
tests_unit_test_api_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_memory
tests_unit_test_api_memory_SOURCES = tests/unit/test_api_memory.c $(API_SUPPORT)
tests_unit_test_api_memory_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_beside
tests_unit_test_api_beside_SOURCES = tests/unit/test_api_beside.c $(API_SUPPORT)
tests_unit_test_api_beside_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_device
tests_unit_test_api_device_SOURCES = tests/unit/test_api_device.c $(API_SUPPORT) $(deferred_sources)
tests_unit_test_api_device_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/unit/api_cudasim.sh
tests/unit/api_cudasim.log: tests/unit/test_api_device$(EXEEXT)

check_PROGRAMS += tests/unit/test_api_misuse
tests_unit_test_api_misuse_SOURCES = tests/unit/test_api_misuse.c $(API_SUPPORT)
tests_unit_test_api_misuse_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_host
tests_unit_test_api_host_SOURCES = tests/unit/test_api_host.c $(API_SUPPORT)
tests_unit_test_api_host_LDADD = $(API_LIBS)

EXTRA_PROGRAMS += tests/mpi/test_api
CLEANFILES += tests/mpi/test_api$(EXEEXT)
tests_mpi_test_api_SOURCES = tests/mpi/test_api.c tests/mpi/leaks.h $(mpi_cases_sources)
tests_mpi_test_api_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/test_api.sh
SANITIZED_SHELL_TESTS += tests/mpi/test_api.sh
tests/mpi/test_api.log: tests/mpi/test_api$(EXEEXT)

EXTRA_PROGRAMS += tests/mpi/test_samples
CLEANFILES += tests/mpi/test_samples$(EXEEXT)
tests_mpi_test_samples_SOURCES = tests/mpi/test_samples.c tests/mpi/leaks.h $(mpi_cases_sources)
tests_mpi_test_samples_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/test_samples.sh
SANITIZED_SHELL_TESTS += tests/mpi/test_samples.sh
tests/mpi/test_samples.log: tests/mpi/test_samples$(EXEEXT) tests/mpi/test_reservoir$(EXEEXT) \
	mbrun$(EXEEXT) $(check_DATA)

EXTRA_PROGRAMS += tests/mpi/test_reservoir
CLEANFILES += tests/mpi/test_reservoir$(EXEEXT)
tests_mpi_test_reservoir_SOURCES = tests/mpi/test_reservoir.c tests/mpi/leaks.h $(mpi_cases_sources)
tests_mpi_test_reservoir_LDADD = $(UNIT_LIBS)
EXTRA_PROGRAMS += tests/mpi/test_beside
CLEANFILES += tests/mpi/test_beside$(EXEEXT)
tests_mpi_test_beside_SOURCES = tests/mpi/test_beside.c tests/mpi/leaks.h $(mpi_cases_sources)
tests_mpi_test_beside_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/test_beside.sh
SANITIZED_SHELL_TESTS += tests/mpi/test_beside.sh
tests/mpi/test_beside.log: tests/mpi/test_beside$(EXEEXT)

SHELL_TESTS += tests/unit/public_header.sh
tests/unit/public_header.log: libmb.la

check_PROGRAMS += tests/unit/test_api_model
tests_unit_test_api_model_SOURCES = tests/unit/test_api_model.c $(API_SUPPORT)
tests_unit_test_api_model_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_register
tests_unit_test_api_register_SOURCES = tests/unit/test_api_register.c $(API_SUPPORT)
tests_unit_test_api_register_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_fuzz
tests_unit_test_api_fuzz_SOURCES = tests/unit/test_api_fuzz.c $(API_SUPPORT)
tests_unit_test_api_fuzz_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_planner
tests_unit_test_api_planner_SOURCES = tests/unit/test_api_planner.c $(API_SUPPORT)
tests_unit_test_api_planner_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_api_files
tests_unit_test_api_files_SOURCES = tests/unit/test_api_files.c $(API_SUPPORT)
tests_unit_test_api_files_LDADD = $(API_LIBS)

SHELL_TESTS += tests/unit/tool_header.sh
EXTRA_DIST += tests/unit/tool_header.txt
EXTRA_DIST += tests/campaign/api_fuzz.sh
