fake_graph_sources = tests/support/fake_graph.c tests/support/fake_graph.h

check_PROGRAMS += tests/unit/test_gradients
tests_unit_test_gradients_SOURCES = tests/unit/test_gradients.c $(fake_graph_sources)
tests_unit_test_gradients_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_profile
tests_unit_test_profile_SOURCES = tests/unit/test_profile.c $(fake_graph_sources) \
	tests/support/data_files.c tests/support/data_files.h
tests_unit_test_profile_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_partition
tests_unit_test_partition_SOURCES = tests/unit/test_partition.c $(fake_graph_sources)
tests_unit_test_partition_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_schedule_actions
tests_unit_test_schedule_actions_SOURCES = tests/unit/test_schedule_actions.c \
	tests/support/data_files.c tests/support/data_files.h
tests_unit_test_schedule_actions_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_lowering
tests_unit_test_lowering_SOURCES = tests/unit/test_lowering.c $(fake_graph_sources)
tests_unit_test_lowering_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_validator
tests_unit_test_validator_SOURCES = tests/unit/test_validator.c $(fake_graph_sources)
tests_unit_test_validator_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_order
tests_unit_test_order_SOURCES = tests/unit/test_order.c $(fake_graph_sources)
tests_unit_test_order_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_schedule_times
tests_unit_test_schedule_times_SOURCES = tests/unit/test_schedule_times.c
tests_unit_test_schedule_times_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_schedule_optimum
tests_unit_test_schedule_optimum_SOURCES = tests/unit/test_schedule_optimum.c \
	tests/support/schedule_orders.c tests/support/schedule_orders.h
tests_unit_test_schedule_optimum_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_schedule_auto
tests_unit_test_schedule_auto_SOURCES = tests/unit/test_schedule_auto.c $(fake_graph_sources)
tests_unit_test_schedule_auto_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_schedule_grid
tests_unit_test_schedule_grid_SOURCES = tests/unit/test_schedule_grid.c $(fake_graph_sources)
tests_unit_test_schedule_grid_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_plan_mutations
tests_unit_test_plan_mutations_SOURCES = tests/unit/test_plan_mutations.c $(fake_graph_sources)
tests_unit_test_plan_mutations_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_hardware
tests_unit_test_hardware_SOURCES = tests/unit/test_hardware.c tests/support/data_files.c \
	tests/support/data_files.h
tests_unit_test_hardware_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_planner
tests_unit_test_planner_SOURCES = tests/unit/test_planner.c $(fake_graph_sources)
tests_unit_test_planner_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_simulation
tests_unit_test_simulation_SOURCES = tests/unit/test_simulation.c $(fake_graph_sources)
tests_unit_test_simulation_LDADD = $(UNIT_LIBS)

# What papers published beside what the simulator says: doc/validation.md.
EXTRA_PROGRAMS += tests/tools/published
CLEANFILES += tests/tools/published$(EXEEXT)
tests_tools_published_SOURCES = tests/tools/published.c tests/tools/published_tables.h $(fake_graph_sources)
tests_tools_published_LDADD = libmbcheck.la
SHELL_TESTS += tests/tools/published.sh
tests/tools/published.log: tests/tools/published$(EXEEXT)
