# Every test speaks TAP: Check programs through CK_TAP_LOG_FILE_NAME, bats and the shell scripts by
# themselves, so that the totals count cases and not programs.
UNIT_LIBS = libmbcheck.la $(CHECK_LIBS)

include tests/unit/base.mk
include tests/unit/device.mk
include tests/unit/rows.mk
include tests/unit/stored.mk
include tests/unit/methods.mk
include tests/unit/model.mk
include tests/unit/layers.mk
include tests/unit/optim.mk
include tests/unit/store.mk
include tests/unit/store4.mk
include tests/unit/data.mk
include tests/unit/comm.mk
include tests/unit/pipeline.mk
include tests/unit/quant.mk
include tests/unit/train.mk
include tests/unit/train4.mk
include tests/unit/api.mk
include tests/unit/cli.mk
include tests/unit/compress.mk
include tests/unit/engine4.mk
include tests/fuzz/local.mk
include tests/cli/local.mk
include tests/bindings/local.mk
include tests/mpi/local.mk
include tests/mpi/trajectory.mk
include tests/gpu/local.mk
include tests/slurm/local.mk

SHELL_TESTS += tests/format.sh

# What runs under the sanitizers too; the matrix of layouts is too slow there.
REDUCED_TESTS = $(SANITIZED_SHELL_TESTS) $(check_PROGRAMS) $(BATS_TESTS)

TEST_EXTENSIONS = .sh .bats
TAP_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
LOG_DRIVER = $(TAP_DRIVER)
SH_LOG_DRIVER = $(TAP_DRIVER)
BATS_LOG_DRIVER = $(TAP_DRIVER)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-unit.sh
SH_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-shell.sh
BATS_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/run-bats.sh

if SANITIZERS
MB_SANITIZERS = yes
else
MB_SANITIZERS = no
endif

AM_TESTS_ENVIRONMENT = \
	MB_SANITIZERS=$(MB_SANITIZERS); export MB_SANITIZERS; \
	MB_TEST_DATA='$(abs_top_srcdir)/tests/data'; export MB_TEST_DATA; \
	MB_SRCDIR='$(abs_top_srcdir)'; export MB_SRCDIR; \
	MB_BUILDDIR='$(abs_top_builddir)'; export MB_BUILDDIR; \
	MBRUN='$(abs_top_builddir)/mbrun'; export MBRUN; \
	MPIEXEC='$(MPIEXEC)'; export MPIEXEC; \
	BATS='$(BATS)'; export BATS; \
	CLANG_FORMAT='$(CLANG_FORMAT)'; export CLANG_FORMAT; \
	. '$(abs_top_srcdir)/tests/support/environment.sh';

EXTRA_DIST += $(WAITING_TESTS) $(LONG_TESTS) $(BATS_TESTS) $(SHELL_TESTS) tests/data \
	tests/support/environment.sh tests/support/lsan.supp tests/support/tsan.supp tests/support/valgrind.supp tests/support/processes.sh tests/support/run-bats.sh tests/support/run-shell.sh \
	tests/support/run-unit.sh tests/support/sanitized.h tests/support/session.sh tests/support/summary.sh

# What measures how long something takes runs first, and alone. The others run MB_TEST_JOBS side by side,
# or as many as make itself was told.
MB_TEST_JOBS =
ALONE_LOGS = $(filter $(TIMED_TESTS:.sh=.log),$(TEST_LOGS))

# Replaces Automake's rule of this name, so that the totals come last, whatever the outcome, on a line
# of their own. Programs are made by then: make would look at config.h anew (its stamp is newer), and put off whatever
# depends on it until all other tests are begun.
check-TESTS: $(check_PROGRAMS) $(BUILT_FOR_LONG_TESTS) $(check_DATA)
	@rm -f $(TEST_SUITE_LOG) $(TEST_LOGS) $(TEST_LOGS:.log=.trs); \
	test -z "$(ALONE_LOGS)" || $(MAKE) $(AM_MAKEFLAGS) -o config.h -j1 $(ALONE_LOGS); \
	$(MAKE) $(AM_MAKEFLAGS) -o config.h $(MB_TEST_JOBS:%=-j%) $(TEST_SUITE_LOG); \
	$(SHELL) $(top_srcdir)/tests/support/summary.sh $$? $(TEST_LOGS:.log=.trs)

installcheck-local:
	FC='$(FC)' $(SHELL) $(top_srcdir)/tests/installcheck.sh '$(CC)' '$(DESTDIR)' '$(bindir)' '$(libdir)' \
	  '$(top_srcdir)' '$(PKG_CONFIG)' '$(SANITIZE_CFLAGS)'
EXTRA_DIST += tests/installcheck.sh tests/check.h
