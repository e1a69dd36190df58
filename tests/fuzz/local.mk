# The parsers of hostile bytes. The check replays the inputs that are kept; tests/campaign/fuzz.sh looks for new ones.
FUZZ_TARGETS = tests/fuzz/fuzz_archive.c tests/fuzz/fuzz_csv.c tests/fuzz/fuzz_encoded.c tests/fuzz/fuzz_format.c \
	tests/fuzz/fuzz_graph.c tests/fuzz/fuzz_hardware.c tests/fuzz/fuzz_hdf5_data.c tests/fuzz/fuzz_idx.c tests/fuzz/fuzz_image.c tests/fuzz/fuzz_json.c \
	tests/fuzz/fuzz_keras_file.c tests/fuzz/fuzz_lease.c tests/fuzz/fuzz_metrics.c tests/fuzz/fuzz_npy.c \
	tests/fuzz/fuzz_npz.c tests/fuzz/fuzz_profile.c tests/fuzz/fuzz_schedule.c tests/fuzz/fuzz_seal.c \
	tests/fuzz/fuzz_settings.c tests/fuzz/fuzz_table.c tests/fuzz/fuzz_trace.c tests/fuzz/fuzz_training.c \
	tests/fuzz/fuzz_vocabulary.c tests/fuzz/fuzz_zip.c \
	tests/fuzz/fuzz.h tests/fuzz/support.c tests/fuzz/targets.c src/cli/traced.c src/cli/traced.h

EXTRA_PROGRAMS += tests/fuzz/replay
CLEANFILES += tests/fuzz/replay$(EXEEXT)
tests_fuzz_replay_SOURCES = tests/fuzz/replay.c $(FUZZ_TARGETS)
tests_fuzz_replay_LDADD = $(UNIT_LIBS)

# By clang alone: see tests/campaign/fuzz.sh.
EXTRA_PROGRAMS += tests/fuzz/libfuzzer
CLEANFILES += tests/fuzz/libfuzzer$(EXEEXT)
tests_fuzz_libfuzzer_SOURCES = tests/fuzz/libfuzzer.c tests/fuzz/mutate_json.c $(FUZZ_TARGETS)
tests_fuzz_libfuzzer_LDADD = libmbcheck.la
tests_fuzz_libfuzzer_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer

SHELL_TESTS += tests/fuzz/replay.sh
SANITIZED_SHELL_TESTS += tests/fuzz/replay.sh
tests/fuzz/replay.log: tests/fuzz/replay$(EXEEXT)
EXTRA_DIST += tests/fuzz/corpus tests/campaign/fuzz.sh tests/campaign/memcheck.sh tests/campaign/threads.sh
