libmb_la_SOURCES += \
	src/device/account.c src/device/account.h \
	src/device/device.h \
	src/device/ops.h \
	src/device/affine.h src/device/naming.h \
	src/device/matrix.c src/device/matrix.h \
	src/device/dry.c src/device/dry.h \
	src/device/exec.c \
	src/device/lane.c src/device/lane.h \
	src/device/link.h \
	src/device/map.c src/device/map_functions.h \
	src/device/op_name.c \
	src/device/op_work.c src/device/op_work.h \
	src/device/operands.c src/device/operands.h \
	src/device/plugin.c src/device/plugin.h \
	src/device/registry.c \
	src/device/resample.h \
	src/device/table.c src/device/table.h \
	src/device/cpu/accuracy.c \
	src/device/cpu/activation.c src/device/cpu/activation.h \
	src/device/cpu/activation_avx2.c \
	src/device/cpu/activation_avx512.c \
	src/device/cpu/activation_body.h \
	src/device/cpu/activation_kernels.h \
	src/device/cpu/activation_plain.c \
	src/device/cpu/affine.c \
	src/device/cpu/attention.c src/device/cpu/attention.h \
	src/device/cpu/attention_backward.c src/device/cpu/attention_backward.h \
	src/device/cpu/attention_gradient.c \
	src/device/cpu/attention_forward.c \
	src/device/cpu/attention_load.c \
	src/device/cpu/attention_product.c \
	src/device/cpu/attention_step.h src/device/cpu/attention_step_body.h \
	src/device/cpu/attention_step_avx2.c \
	src/device/cpu/attention_step_avx512.c \
	src/device/cpu/attention_step_plain.c \
	src/device/cpu/batchnorm.c \
	src/device/cpu/batchnorm_backward.c \
	src/device/cpu/batchnorm_sums.c \
	src/device/cpu/batchnorm_sums.h \
	src/device/cpu/cells.c src/device/cpu/cells.h \
	src/device/cpu/circle.c \
	src/device/cpu/class_counts.c \
	src/device/cpu/clip.c \
	src/device/cpu/column_metric.c \
	src/device/cpu/column_sum.c src/device/cpu/column_sum.h \
	src/device/cpu/constrain.c \
	src/device/cpu/conv.c \
	src/device/cpu/cpu.c src/device/cpu/cpu.h \
	src/device/cpu/convert.c \
	src/device/cpu/copy_view.c \
	src/device/cpu/digitize.c \
	src/device/cpu/draw.c \
	src/device/cpu/dropout.c \
	src/device/cpu/elementwise.c \
	src/device/cpu/embedding.c \
	src/device/cpu/encode.c \
	src/device/cpu/fake_quantize.c \
	src/device/cpu/gemm.c \
	src/device/cpu/gemm_pack.c \
	src/device/cpu/gemm_pack.h \
	src/device/cpu/gemm_row.c \
	src/device/cpu/gemm_row.h \
	src/device/cpu/gemm_tiles.c \
	src/device/cpu/gemm_tiles.h \
	src/device/cpu/global_pool.c \
	src/device/cpu/host.c \
	src/device/cpu/labels.h \
	src/device/cpu/layernorm.c \
	src/device/cpu/lookup.c \
	src/device/cpu/loss.c src/device/cpu/loss.h \
	src/device/cpu/loss_elements.c \
	src/device/cpu/loss_focal.c \
	src/device/cpu/loss_rows.c \
	src/device/cpu/lstm_step.c \
	src/device/cpu/map.c src/device/cpu/map.h src/device/cpu/map_functions.c \
	src/device/cpu/narrow.c src/device/cpu/narrow.h \
	src/device/cpu/narrow_elements.c src/device/cpu/narrow_elements.h \
	src/device/cpu/patches.c src/device/cpu/patches.h \
	src/device/cpu/normal.c \
	src/device/cpu/norms.c \
	src/device/cpu/pool.c \
	src/device/cpu/processor.c src/device/cpu/processor.h \
	src/device/cpu/random.c src/device/cpu/random.h \
	src/device/cpu/random_avx2.c \
	src/device/cpu/random_avx512.c \
	src/device/cpu/random_body.h src/device/cpu/random_kernels.h \
	src/device/cpu/recurrent.c src/device/cpu/recurrent.h \
	src/device/cpu/recurrent_backward.c \
	src/device/cpu/recurrent_forward.c \
	src/device/cpu/region_pool.c \
	src/device/cpu/resample.c \
	src/device/cpu/row_metric.c \
	src/device/cpu/simd.h \
	src/device/cpu/softmax.c \
	src/device/cpu/softmax_rows.h src/device/cpu/softmax_rows_body.h \
	src/device/cpu/softmax_rows_avx2.c \
	src/device/cpu/softmax_rows_avx512.c \
	src/device/cpu/softmax_rows_plain.c \
	src/device/cpu/stored.h \
	src/device/cpu/stored_bf16.c \
	src/device/cpu/stored_conv.c src/device/cpu/stored_conv.h \
	src/device/cpu/stored_conv_float.c \
	src/device/cpu/stored_decode.c \
	src/device/cpu/stored_gemm.c src/device/cpu/stored_gemm.h \
	src/device/cpu/stored_gemm_decoded.c \
	src/device/cpu/stored_gemm_integer.c \
	src/device/cpu/stored_integer.c \
	src/device/cpu/stored_lookup.c \
	src/device/cpu/stored_pack.c \
	src/device/cpu/stored_product.c \
	src/device/cpu/stored_rows.c src/device/cpu/stored_rows.h \
	src/device/cpu/stored_rows_avx2.c \
	src/device/cpu/stored_rows_avx512.c \
	src/device/cpu/stored_rows_plain.c \
	src/device/cpu/sum.c src/device/cpu/sum.h \
	src/device/cpu/hold.c src/device/cpu/hold.h src/device/cpu/team.c src/device/cpu/team.h \
	src/device/cpu/threshold_counts.c \
	src/device/cpu/tiles.c \
	src/device/cpu/combine.c \
	src/device/cpu/factor.c \
	src/device/cpu/trust.c \
	src/device/cpu/update.c src/device/cpu/update.h \
	src/device/cpu/update_adam.c \
	src/device/cpu/update_around.c \
	src/device/cpu/update_copy.c \
	src/device/cpu/update_ftrl.c \
	src/device/cpu/update_momentum.c \
	src/device/cpu/update_squares.c \
	src/device/cpu/vectors.c src/device/cpu/vectors.h \
	src/device/cpu/vmath.h \
	src/device/cpu/widen.c src/device/cpu/widen.h \
	src/device/cpu/dnnl/context.c \
	src/device/cpu/dnnl/conv.c \
	src/device/cpu/dnnl/internal.h \
	src/device/cpu/dnnl/matmul.c \
	src/device/cpu/dnnl/onednn.h
