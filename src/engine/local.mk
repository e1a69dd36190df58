libmb_la_SOURCES += \
	src/engine/activity.h \
	src/engine/batch_sums.c src/engine/batch_sums.h \
	src/engine/binding.c src/engine/binding.h \
	src/engine/binding_share.c \
	src/engine/class_weights.c src/engine/class_weights.h \
	src/engine/cores.c src/engine/cores.h \
	src/engine/engine.c src/engine/engine.h \
	src/engine/executor.c src/engine/executor.h \
	src/engine/executor_again.c \
	src/engine/executor_messages.c src/engine/executor_private.h \
	src/engine/executor_sums.c \
	src/engine/executor_walk.c \
	src/engine/feed.c src/engine/feed.h \
	src/engine/hinge_labels.c src/engine/hinge_labels.h \
	src/engine/kernel_sum.c \
	src/engine/kernels.c src/engine/kernels.h \
	src/engine/launcher.c src/engine/launcher.h \
	src/engine/machine.c src/engine/machine.h \
	src/engine/machine_device.c \
	src/engine/machine_transport.c \
	src/engine/mask_values.c src/engine/mask_values.h \
	src/engine/model.c src/engine/model.h \
	src/engine/model_states.c \
	src/engine/model_values.c \
	src/engine/model_variables.c src/engine/model_variables.h \
	src/engine/model_weights.c src/engine/model_weights.h \
	src/engine/optimizer_variables.c src/engine/optimizer_variables.h \
	src/engine/profile.c src/engine/profile.h \
	src/engine/profile_measure.c \
	src/engine/rates.c src/engine/rates.h \
	src/engine/recorder.c src/engine/recorder.h \
	src/engine/signature.c src/engine/signature.h \
	src/engine/stage_parts.c src/engine/stage_parts.h \
	src/engine/stage_rooms.c src/engine/stage_rooms.h \
	src/engine/stage_reduce.c src/engine/stage_reduce.h \
	src/engine/replay.c src/engine/replay.h \
	src/engine/row_weights.c src/engine/row_weights.h \
	src/engine/sample_weights.c \
	src/engine/stage_lifetimes.c \
	src/engine/stage_offload.c src/engine/stage_offload.h \
	src/engine/stage_memory.c \
	src/engine/stage_run.c \
	src/engine/look.h \
	src/engine/stage_look.c \
	src/engine/stage_states.c \
	src/engine/stage_values.c \
	src/engine/upload.c src/engine/upload.h \
	src/engine/stage.h \
	src/engine/stage_private.h
libmb_la_SOURCES += src/engine/inspection.c src/engine/inspection.h
