libmb_la_SOURCES += \
	src/infer/handed.c src/infer/handed.h \
	src/infer/latency.c src/infer/latency.h \
	src/infer/predictor.c src/infer/predictor.h \
	src/infer/session.c src/infer/session.h
