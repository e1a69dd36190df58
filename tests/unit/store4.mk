# Files whose tensors are in small formats.
ENCODED_SUPPORT = tests/support/encoded_files.c tests/support/encoded_files.h

check_PROGRAMS += tests/unit/test_encoded_file
tests_unit_test_encoded_file_SOURCES = tests/unit/test_encoded_file.c $(STORE_SUPPORT) \
	$(ENCODED_SUPPORT) $(REWRITE_SUPPORT)
tests_unit_test_encoded_file_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_encoded_damaged
tests_unit_test_encoded_damaged_SOURCES = tests/unit/test_encoded_damaged.c $(STORE_SUPPORT) \
	$(ENCODED_SUPPORT)
tests_unit_test_encoded_damaged_LDADD = $(UNIT_LIBS)
