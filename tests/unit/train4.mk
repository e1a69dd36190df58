check_PROGRAMS += tests/unit/test_moments
tests_unit_test_moments_SOURCES = tests/unit/test_moments.c
tests_unit_test_moments_LDADD = $(UNIT_LIBS)
