libmb_la_SOURCES += \
	src/model/compile_text.c src/model/compile_text.h \
	src/model/draft.c src/model/draft.h src/model/draft_private.h \
	src/model/draft_config.c \
	src/model/draft_infer.c \
	src/model/draft_write.c \
	src/model/graph.c src/model/graph.h \
	src/model/graph_arguments.c \
	src/model/graph_bind.c \
	src/model/graph_calls.c \
	src/model/graph_cast.c \
	src/model/graph_cut.c src/model/graph_cut.h \
	src/model/graph_ids.c \
	src/model/graph_tail.c src/model/graph_tail.h \
	src/model/graph_initial.c \
	src/model/graph_insert.c src/model/graph_insert.h \
	src/model/graph_lambda.c \
	src/model/graph_layer.c \
	src/model/graph_mask.c \
	src/model/graph_names.c src/model/graph_names.h \
	src/model/graph_open.c \
	src/model/graph_order.c \
	src/model/graph_params.c \
	src/model/graph_parts.c \
	src/model/graph_private.h \
	src/model/graph_read.c \
	src/model/graph_references.c \
	src/model/graph_resolve.c \
	src/model/graph_states.c \
	src/model/graph_variables.c \
	src/model/graph_written.c \
	src/model/initializer.c src/model/initializer.h \
	src/model/known.c src/model/known.h \
	src/model/layer.h
libmb_la_SOURCES += \
	src/model/activation.c src/model/activation.h \
	src/model/layers/activated.c \
	src/model/layers/activation_layer.c src/model/layers/activation_layer.h \
	src/model/layers/activity.c \
	src/model/layers/adaptive_pool.c \
	src/model/layers/additive_attention.c \
	src/model/layers/alpha_dropout.c \
	src/model/layers/arrange.c \
	src/model/layers/attention.c src/model/layers/attention.h \
	src/model/layers/attention_axes.c src/model/layers/attention_axes.h \
	src/model/layers/attention_mask.c src/model/layers/attention_mask.h \
	src/model/layers/attention_run.c \
	src/model/layers/axes.c src/model/layers/axes.h \
	src/model/layers/batchnorm.c \
	src/model/layers/box.c \
	src/model/layers/category_encoding.c \
	src/model/layers/channels.c src/model/layers/channels.h \
	src/model/layers/common.c \
	src/model/layers/concatenate.c \
	src/model/layers/conv.c src/model/layers/conv.h \
	src/model/layers/conv_run.c \
	src/model/layers/conv_lstm.c src/model/layers/conv_lstm.h \
	src/model/layers/conv_lstm_run.c \
	src/model/layers/contract.c src/model/layers/contract.h \
	src/model/layers/dense.c \
	src/model/layers/depthwise.c \
	src/model/layers/discretization.c \
	src/model/layers/dot.c \
	src/model/layers/dot_attention.c \
	src/model/layers/dropout.c \
	src/model/layers/einsum.c src/model/layers/einsum.h \
	src/model/layers/einsum_dense.c \
	src/model/layers/embedding.c src/model/layers/embedding.h \
	src/model/layers/encoding.c src/model/layers/encoding.h \
	src/model/layers/gaussian.c \
	src/model/layers/global_pool.c \
	src/model/layers/glu.c src/model/layers/glu.h \
	src/model/layers/groupnorm.c \
	src/model/layers/hashing.c \
	src/model/layers/layernorm.c \
	src/model/layers/layers.h \
	src/model/layers/linear.c \
	src/model/layers/lookup.c \
	src/model/layers/mask.c src/model/layers/mask.h \
	src/model/layers/masked_mean.c src/model/layers/masked_mean.h \
	src/model/layers/masking.c \
	src/model/layers/merge.c \
	src/model/layers/merge_extreme.c src/model/layers/merge_extreme.h \
	src/model/layers/merge_masked.c src/model/layers/merge_masked.h \
	src/model/layers/merge_view.c src/model/layers/merge_view.h \
	src/model/layers/move.c src/model/layers/move.h \
	src/model/layers/noise_shape.c src/model/layers/noise_shape.h \
	src/model/layers/normalization.c \
	src/model/layers/op_activation.c \
	src/model/layers/op_cast.c \
	src/model/layers/op_einsum.c \
	src/model/layers/op_elementwise.c \
	src/model/layers/op_getitem.c \
	src/model/layers/op_matmul.c \
	src/model/layers/op_move.c \
	src/model/layers/op_reduce.c \
	src/model/layers/op_split.c \
	src/model/layers/operators.c src/model/layers/operators.h \
	src/model/layers/score_attention.c src/model/layers/score_attention.h \
	src/model/layers/softmax_axes.c src/model/layers/softmax_axes.h \
	src/model/layers/softmax_mask.c src/model/layers/softmax_mask.h \
	src/model/layers/view.c src/model/layers/view.h \
	src/model/layers/packed.c src/model/layers/packed.h \
	src/model/layers/passes.c src/model/layers/passes.h \
	src/model/layers/pool.c \
	src/model/layers/augment.c src/model/layers/augment.h \
	src/model/layers/bidirectional.c \
	src/model/layers/crop.c \
	src/model/layers/cut.c src/model/layers/cut.h \
	src/model/layers/image.c src/model/layers/image.h \
	src/model/layers/random_move.c \
	src/model/layers/random_tone.c \
	src/model/layers/recurrent.c src/model/layers/recurrent.h \
	src/model/layers/recurrent_config.c \
	src/model/layers/stack_run.c \
	src/model/layers/recurrent_run.c \
	src/model/layers/prelu.c \
	src/model/layers/registry.c \
	src/model/layers/repeat.c \
	src/model/layers/rescaling.c \
	src/model/layers/reshape.c \
	src/model/layers/reversible_embedding.c \
	src/model/layers/resize.c \
	src/model/layers/rms_scaling.c src/model/layers/rms_scaling.h \
	src/model/layers/salt.c src/model/layers/salt.h \
	src/model/layers/separable.c \
	src/model/layers/take.c \
	src/model/layers/time_distributed_steps.c src/model/layers/time_distributed_steps.h \
	src/model/layers/time_distributed.c src/model/layers/time_distributed.h \
	src/model/layers/transposed.c \
	src/model/layers/unitnorm.c \
	src/model/layers/window.c src/model/layers/window.h
libmb_la_SOURCES += \
	src/model/loss.h src/model/optimizer.h src/model/preset.h \
	src/model/losses/axes.c src/model/losses/circle.c src/model/losses/class.h src/model/losses/compile.c \
	src/model/losses/compile.h src/model/losses/crossentropy.c src/model/losses/hinge.c \
	src/model/losses/overlap.c src/model/losses/parse.c src/model/losses/plugin.c \
	src/model/losses/regression.c \
	src/model/losses/run.c \
	src/model/metric.h src/model/metrics/accuracy.c src/model/metrics/accuracy.h \
	src/model/metrics/auc.c src/model/metrics/class.h src/model/metrics/columns.c \
	src/model/metrics/confusion.c src/model/metrics/confusion.h src/model/metrics/counts.c \
	src/model/metrics/iou.c src/model/metrics/parse.c src/model/metrics/reaching.c \
	src/model/metrics/registry.c src/model/metrics/rows.c src/model/metrics/run.c \
	src/model/metrics/take.c \
	src/model/optimizers/adadelta.c src/model/optimizers/adafactor.c \
	src/model/optimizers/adagrad.c src/model/optimizers/adam.c src/model/optimizers/adamax.c \
	src/model/optimizers/class.h src/model/optimizers/clip.c \
	src/model/optimizers/cosine.c src/model/optimizers/decay.c src/model/optimizers/ftrl.c \
	src/model/optimizers/lamb.c src/model/optimizers/lion.c src/model/optimizers/match.c \
	src/model/optimizers/muon.c src/model/optimizers/nadam.c src/model/optimizers/optimizer.c \
	src/model/optimizers/parse.c src/model/optimizers/piecewise.c \
	src/model/optimizers/rmsprop.c src/model/optimizers/lr_schedule.c \
	src/model/optimizers/loss_scale.c src/model/optimizers/lr_schedule.h \
	src/model/optimizers/lr_schedule_text.c \
	src/model/optimizers/schedule_free.c \
	src/model/optimizers/sgd.c src/model/optimizers/spec.c src/model/optimizers/stepper.c \
	src/model/preset.c \
	src/model/preset_gpt.c src/model/preset_layers.c src/model/preset_layers.h \
	src/model/preset_mobilenet.c src/model/preset_net.c src/model/preset_net.h \
	src/model/preset_resnet.c src/model/preset_unet.c src/model/preset_vit.c \
	src/model/preset_models.h src/model/preset_sequential.c src/model/preset_settings.c \
	src/model/preset_settings.h src/model/spec.c src/model/spec.h
