libmb_la_SOURCES += \
	src/quant/awq.c \
	src/quant/cholesky.c \
	src/quant/covariance.c \
	src/quant/decode.c \
	src/quant/deflate.c src/quant/deflate.h \
	src/quant/draft.c \
	src/quant/encode.c src/quant/encode.h \
	src/quant/floats.c \
	src/quant/format.c src/quant/format.h \
	src/quant/gptq.c \
	src/quant/measure.c src/quant/measure.h \
	src/quant/methods.h \
	src/quant/moments.c src/quant/moments.h \
	src/quant/scale.c src/quant/scale.h \
	src/quant/scaled.c
