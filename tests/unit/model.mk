check_PROGRAMS += tests/unit/test_graph
tests_unit_test_graph_SOURCES = tests/unit/test_graph.c tests/support/graph_text.c \
	tests/support/graph_text.h
tests_unit_test_graph_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_graph_cast
tests_unit_test_graph_cast_SOURCES = tests/unit/test_graph_cast.c tests/support/op_check.c \
	tests/support/op_check.h
tests_unit_test_graph_cast_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_graph_refused
tests_unit_test_graph_refused_SOURCES = tests/unit/test_graph_refused.c tests/support/graph_text.c \
	tests/support/graph_text.h
tests_unit_test_graph_refused_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_initializer
tests_unit_test_initializer_SOURCES = tests/unit/test_initializer.c tests/support/graph_text.c \
	tests/support/graph_text.h
tests_unit_test_initializer_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_graph_damaged
tests_unit_test_graph_damaged_SOURCES = tests/unit/test_graph_damaged.c tests/fuzz/mutate_json.c \
	tests/support/graph_text.c tests/support/graph_text.h
tests_unit_test_graph_damaged_LDADD = $(UNIT_LIBS)

