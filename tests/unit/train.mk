
check_PROGRAMS += tests/unit/test_stragglers
tests_unit_test_stragglers_SOURCES = tests/unit/test_stragglers.c
tests_unit_test_stragglers_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_callbacks
tests_unit_test_callbacks_SOURCES = tests/unit/test_callbacks.c
tests_unit_test_callbacks_LDADD = $(UNIT_LIBS)
EXTRA_DIST += tests/tools/keras_callbacks.py tests/data/callbacks.txt
