
check_PROGRAMS += tests/unit/test_supervise
tests_unit_test_supervise_SOURCES = tests/unit/test_supervise.c src/cli/child.c \
	src/cli/supervise_hosts.c src/cli/supervise_notice.c src/cli/supervise_rewrite.c src/cli/supervise_words.c
tests_unit_test_supervise_LDADD = $(UNIT_LIBS)
