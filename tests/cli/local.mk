BATS_TESTS += tests/cli/usage.bats tests/cli/wrong_input.bats tests/cli/train.bats tests/cli/data.bats \
	tests/cli/files.bats tests/cli/inspect_quantized.bats tests/cli/quantize.bats tests/cli/planned.bats \
	tests/cli/quickstart.bats tests/cli/damaged.bats tests/cli/metrics.bats tests/cli/archives.bats \
	tests/cli/callbacks.bats tests/cli/stateful.bats tests/cli/pipeline.bats tests/cli/simulate.bats \
	tests/cli/simulate_real.bats tests/cli/models.bats tests/cli/profile.bats tests/cli/file_tools.bats \
	tests/cli/local_tier.bats tests/cli/max_time.bats tests/cli/saving.bats tests/cli/supervise.bats \
	tests/cli/submit.bats tests/cli/completion.bats tests/cli/io.bats
EXTRA_DIST += tests/cli/helper.bash

# Writes the samples of data.bats; check_DATA, since everything in check_PROGRAMS is run as a test.
EXTRA_PROGRAMS += tests/cli/samples
CLEANFILES += tests/cli/samples$(EXEEXT)
check_DATA += tests/cli/samples$(EXEEXT)
tests_cli_samples_SOURCES = tests/cli/samples.c tests/support/array_files.c tests/support/array_files.h \
	tests/support/image_files.c tests/support/image_files.h
tests_cli_samples_LDADD = libmbcheck.la
