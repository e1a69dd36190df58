# Every test speaks TAP: Check programs through CK_TAP_LOG_FILE_NAME, bats and the shell scripts by
# themselves, so that the totals count cases and not programs.
UNIT_LIBS = libmbcheck.la $(CHECK_LIBS)

include tests/unit/base.mk
include tests/unit/device.mk
include tests/unit/model.mk
include tests/unit/optim.mk
include tests/unit/store.mk
include tests/unit/data.mk
include tests/unit/comm.mk
include tests/unit/pipeline.mk
include tests/unit/train.mk
include tests/unit/cli.mk
include tests/cli/local.mk
include tests/mpi/local.mk
include tests/slurm/local.mk

SHELL_TESTS += tests/format.sh

TEST_EXTENSIONS = .sh .bats
TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_DRIVER = $(TAP_DRIVER)
BATS_LOG_DRIVER = $(TAP_DRIVER)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-unit.sh
SH_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-shell.sh
BATS_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-bats.sh

AM_TESTS_ENVIRONMENT = \
	MB_TEST_DATA='$(abs_top_srcdir)/tests/data'; export MB_TEST_DATA; \
	MB_SRCDIR='$(abs_top_srcdir)'; export MB_SRCDIR; \
	MB_BUILDDIR='$(abs_top_builddir)'; export MB_BUILDDIR; \
	MBRUN='$(abs_top_builddir)/mbrun'; export MBRUN; \
	MPIEXEC='$(MPIEXEC)'; export MPIEXEC; \
	BATS='$(BATS)'; export BATS; \
	CLANG_FORMAT='$(CLANG_FORMAT)'; export CLANG_FORMAT; \
	. '$(abs_top_srcdir)/tests/support/environment.sh';

EXTRA_DIST += $(BATS_TESTS) $(SHELL_TESTS) tests/data \
	tests/support/environment.sh tests/support/run-bats.sh tests/support/run-shell.sh \
	tests/support/run-unit.sh tests/support/summary.sh

# The totals come last, whatever the outcome, on a line of their own.
check: all
	@rm -f $(TEST_LOGS:.log=.trs); \
	$(MAKE) $(AM_MAKEFLAGS) check-am; \
	$(SHELL) $(top_srcdir)/tests/support/summary.sh $$? $(TEST_LOGS:.log=.trs)

# distclean takes empty folders of test logs along.
clean-local:
	-rm -rf tests/tmp

installcheck-local:
	$(SHELL) $(top_srcdir)/tests/installcheck.sh '$(CC)' '$(DESTDIR)' '$(bindir)' '$(libdir)' \
	  '$(top_srcdir)' '$(PKG_CONFIG)' '$(SANITIZE_CFLAGS)'
EXTRA_DIST += tests/installcheck.sh
