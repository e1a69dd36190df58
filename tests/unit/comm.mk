check_PROGRAMS += tests/unit/test_reduce_plan
tests_unit_test_reduce_plan_SOURCES = tests/unit/test_reduce_plan.c
tests_unit_test_reduce_plan_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_tree
tests_unit_test_tree_SOURCES = tests/unit/test_tree.c
tests_unit_test_tree_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_grid
tests_unit_test_grid_SOURCES = tests/unit/test_grid.c
tests_unit_test_grid_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_virtual
tests_unit_test_virtual_SOURCES = tests/unit/test_virtual.c
tests_unit_test_virtual_LDADD = $(UNIT_LIBS)
