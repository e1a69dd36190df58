# The device floor: each operation against a slow truth, and the same bits for any number of threads.
op_check_sources = tests/support/op_check.c tests/support/op_check.h

check_PROGRAMS += tests/unit/test_account
tests_unit_test_account_SOURCES = tests/unit/test_account.c $(op_check_sources)
tests_unit_test_account_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_activation
tests_unit_test_op_activation_SOURCES = tests/unit/test_op_activation.c $(op_check_sources)
tests_unit_test_op_activation_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_affine
tests_unit_test_op_affine_SOURCES = tests/unit/test_op_affine.c $(op_check_sources)
tests_unit_test_op_affine_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_attention
tests_unit_test_op_attention_SOURCES = tests/unit/test_op_attention.c $(op_check_sources)
tests_unit_test_op_attention_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_attention_sizes
tests_unit_test_op_attention_sizes_SOURCES = tests/unit/test_op_attention_sizes.c $(op_check_sources)
tests_unit_test_op_attention_sizes_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_categories
tests_unit_test_op_categories_SOURCES = tests/unit/test_op_categories.c $(op_check_sources)
tests_unit_test_op_categories_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_circle
tests_unit_test_op_circle_SOURCES = tests/unit/test_op_circle.c $(op_check_sources)
tests_unit_test_op_circle_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_along
tests_unit_test_op_along_SOURCES = tests/unit/test_op_along.c $(op_check_sources)
tests_unit_test_op_along_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_conv
tests_unit_test_op_conv_SOURCES = tests/unit/test_op_conv.c $(op_check_sources)
tests_unit_test_op_conv_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_device
tests_unit_test_op_device_SOURCES = tests/unit/test_op_device.c $(op_check_sources)
tests_unit_test_op_device_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_elementwise
tests_unit_test_op_elementwise_SOURCES = tests/unit/test_op_elementwise.c $(op_check_sources)
tests_unit_test_op_elementwise_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_gemm
tests_unit_test_op_gemm_SOURCES = tests/unit/test_op_gemm.c $(op_check_sources)
tests_unit_test_op_gemm_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_loss
tests_unit_test_op_loss_SOURCES = tests/unit/test_op_loss.c $(op_check_sources)
tests_unit_test_op_loss_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_map
tests_unit_test_op_map_SOURCES = tests/unit/test_op_map.c $(op_check_sources)
tests_unit_test_op_map_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_op_metric
tests_unit_test_op_metric_SOURCES = tests/unit/test_op_metric.c $(op_check_sources)
tests_unit_test_op_metric_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_narrow
tests_unit_test_op_narrow_SOURCES = tests/unit/test_op_narrow.c $(op_check_sources)
tests_unit_test_op_narrow_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_norm
tests_unit_test_op_norm_SOURCES = tests/unit/test_op_norm.c $(op_check_sources)
tests_unit_test_op_norm_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_host
tests_unit_test_op_host_SOURCES = tests/unit/test_op_host.c $(op_check_sources)
tests_unit_test_op_host_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_normal
tests_unit_test_op_normal_SOURCES = tests/unit/test_op_normal.c $(op_check_sources)
tests_unit_test_op_normal_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_pool
tests_unit_test_op_pool_SOURCES = tests/unit/test_op_pool.c $(op_check_sources)
tests_unit_test_op_pool_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_resample
tests_unit_test_op_resample_SOURCES = tests/unit/test_op_resample.c $(op_check_sources)
tests_unit_test_op_resample_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_view
tests_unit_test_op_view_SOURCES = tests/unit/test_op_view.c $(op_check_sources)
tests_unit_test_op_view_LDADD = $(UNIT_LIBS)
check_PROGRAMS += tests/unit/test_op_recurrent
tests_unit_test_op_recurrent_SOURCES = tests/unit/test_op_recurrent.c $(op_check_sources)
tests_unit_test_op_recurrent_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_threads
tests_unit_test_op_threads_SOURCES = tests/unit/test_op_threads.c $(op_check_sources)
tests_unit_test_op_threads_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_direction
tests_unit_test_op_direction_SOURCES = tests/unit/test_op_direction.c $(op_check_sources)
tests_unit_test_op_direction_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_update
tests_unit_test_op_update_SOURCES = tests/unit/test_op_update.c $(op_check_sources)
tests_unit_test_op_update_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_team
tests_unit_test_team_SOURCES = tests/unit/test_team.c $(op_check_sources)
tests_unit_test_team_LDADD = $(UNIT_LIBS)

# A device that defers its work and closes its memory, and one that runs only what was planned: for tests
# of the floors above, linked by themselves and into a second mbrun that takes `--device deferred` and
# `--device strict`.
deferred_sources = \
	tests/support/deferred_device.c tests/support/deferred_device.h \
	tests/support/deferred_memory.c tests/support/deferred_memory.h \
	tests/support/strict_device.c tests/support/strict_device.h \
	tests/support/strict_shape.c tests/support/strict_shape.h \
	tests/support/test_devices.c

check_PROGRAMS += tests/unit/test_op_deferred
tests_unit_test_op_deferred_SOURCES = tests/unit/test_op_deferred.c $(op_check_sources) \
	$(deferred_sources)
tests_unit_test_op_deferred_LDADD = $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test_op_strict
tests_unit_test_op_strict_SOURCES = tests/unit/test_op_strict.c $(deferred_sources)
tests_unit_test_op_strict_LDADD = $(UNIT_LIBS)

# check_DATA, since everything in check_PROGRAMS is run as a test.
EXTRA_PROGRAMS = tests/mbrun-deferred
tests_mbrun_deferred_SOURCES = $(mbrun_SOURCES) $(deferred_sources)
tests_mbrun_deferred_LDADD = $(mbrun_LDADD)
check_DATA += tests/mbrun-deferred$(EXEEXT)
CLEANFILES += tests/mbrun-deferred$(EXEEXT)

# ONNX's node test vectors, where Debian's libonnx-testdata is installed.
check_PROGRAMS += tests/onnx/test_onnx
tests_onnx_test_onnx_SOURCES = tests/onnx/test_onnx.c tests/onnx/cases.inc tests/support/onnx.c \
	tests/support/onnx.h $(op_check_sources)
tests_onnx_test_onnx_LDADD = $(UNIT_LIBS)

# make bench: times of the operations beside oneDNN's own threads.
EXTRA_PROGRAMS += bench/ops
bench_ops_SOURCES = bench/ops.c
bench_ops_LDADD = libmbcheck.la
CLEANFILES += bench/ops$(EXEEXT)
bench: bench/ops$(EXEEXT)
	bench/ops$(EXEEXT)
.PHONY: bench

# Attention on the CPU beside its bound: make bench-attention.
EXTRA_PROGRAMS += bench/attention
bench_attention_SOURCES = bench/attention.c
bench_attention_LDADD = libmbcheck.la
CLEANFILES += bench/attention$(EXEEXT)
bench-attention: bench/attention$(EXEEXT)
	bench/attention$(EXEEXT)
.PHONY: bench-attention

# bench/tiles: mbrun that tells how operations would share out over many threads.
EXTRA_PROGRAMS += bench/tiles
bench_tiles_SOURCES = bench/tiles.c $(mbrun_SOURCES)
bench_tiles_LDADD = $(mbrun_LDADD)
bench_tiles_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=mb_team_run -Wl,--wrap=mb_op_type
CLEANFILES += bench/tiles$(EXEEXT)

# make bench-epilogue: what it saves that products carry their epilogues.
EXTRA_PROGRAMS += bench/epilogue
bench_epilogue_SOURCES = bench/epilogue.c
bench_epilogue_LDADD = libmbcheck.la
CLEANFILES += bench/epilogue$(EXEEXT)
bench-epilogue: bench/epilogue$(EXEEXT)
	bench/epilogue$(EXEEXT)
.PHONY: bench-epilogue
