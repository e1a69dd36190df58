# Quantized files on every layout.
EXTRA_PROGRAMS += tests/mpi/test_stored
CLEANFILES += tests/mpi/test_stored$(EXEEXT)
tests_mpi_test_stored_SOURCES = tests/mpi/test_stored.c $(layout_sources) $(deferred_sources)
tests_mpi_test_stored_LDADD = $(UNIT_LIBS)
SHELL_TESTS += tests/mpi/stored.sh
tests/mpi/stored.log: tests/mpi/test_stored$(EXEEXT) mbrun$(EXEEXT)

check_PROGRAMS += tests/unit/test_stage_values
tests_unit_test_stage_values_SOURCES = tests/unit/test_stage_values.c tests/support/graph_text.c \
	tests/support/graph_text.h
tests_unit_test_stage_values_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_stage_sum
tests_unit_test_stage_sum_SOURCES = tests/unit/test_stage_sum.c tests/support/graph_text.c \
	tests/support/graph_text.h
tests_unit_test_stage_sum_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_layout_pass
tests_unit_test_layout_pass_SOURCES = tests/unit/test_layout_pass.c tests/support/graph_text.c \
	tests/support/graph_text.h
tests_unit_test_layout_pass_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_lives
tests_unit_test_lives_SOURCES = tests/unit/test_lives.c
tests_unit_test_lives_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_signature
tests_unit_test_signature_SOURCES = tests/unit/test_signature.c
tests_unit_test_signature_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_binding
tests_unit_test_binding_SOURCES = tests/unit/test_binding.c
tests_unit_test_binding_LDADD = $(UNIT_LIBS)
