libmb_la_SOURCES += \
	src/model/activation.c src/model/activation.h \
	src/model/layers/activated.c \
	src/model/layers/activation_layer.c \
	src/model/layers/attention.c \
	src/model/layers/batchnorm.c \
	src/model/layers/common.c \
	src/model/layers/concatenate.c \
	src/model/layers/conv.c \
	src/model/layers/cropping.c \
	src/model/layers/dense.c \
	src/model/layers/dropout.c \
	src/model/layers/embedding.c \
	src/model/layers/global_pool.c \
	src/model/layers/layernorm.c \
	src/model/layers/layers.h \
	src/model/layers/merge.c \
	src/model/layers/pool.c \
	src/model/layers/registry.c \
	src/model/layers/reshape.c \
	src/model/layers/take.c \
	src/model/layers/window.c src/model/layers/window.h
