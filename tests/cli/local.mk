BATS_TESTS += tests/cli/usage.bats tests/cli/wrong_input.bats tests/cli/train.bats \
	tests/cli/files.bats tests/cli/inspect_quantized.bats tests/cli/quantize.bats tests/cli/planned.bats tests/cli/quickstart.bats tests/cli/damaged.bats
EXTRA_DIST += tests/cli/helper.bash
