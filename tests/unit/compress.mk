check_PROGRAMS += tests/unit/test_quantizer
tests_unit_test_quantizer_SOURCES = tests/unit/test_quantizer.c $(API_SUPPORT)
tests_unit_test_quantizer_LDADD = $(API_LIBS)

check_PROGRAMS += tests/unit/test_divergence
tests_unit_test_divergence_SOURCES = tests/unit/test_divergence.c
tests_unit_test_divergence_LDADD = $(UNIT_LIBS)
