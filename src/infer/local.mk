libmb_la_SOURCES += \
	src/infer/latency.c src/infer/latency.h \
	src/infer/predictor.c src/infer/predictor.h
