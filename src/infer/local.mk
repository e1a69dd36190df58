libmb_la_SOURCES += src/infer/engine.c src/infer/engine.h
libmb_la_SOURCES += src/infer/feed.c src/infer/feed.h
libmb_la_SOURCES += src/infer/latency.c src/infer/latency.h
libmb_la_SOURCES += src/infer/machine.c
libmb_la_SOURCES += src/infer/model.c src/infer/model.h
libmb_la_SOURCES += src/infer/model_values.c
libmb_la_SOURCES += src/infer/predictor.c src/infer/predictor.h
