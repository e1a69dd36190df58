libmb_la_SOURCES += src/api/api.h src/api/arrays.c src/api/arrays.h src/api/checkpoint.c \
	src/api/context.c src/api/model.c src/api/outputs.c src/api/outputs.h \
	src/api/predictor.c src/api/quantizer.c src/api/settings.c src/api/settings.h src/api/trainer.c
libmb_la_SOURCES += src/api/metrics.c src/api/metrics.h
libmb_la_SOURCES += src/api/model_build.c
libmb_la_SOURCES += src/api/model_own.c src/api/model_own.h
libmb_la_SOURCES += src/api/model_preset.c
libmb_la_SOURCES += src/api/model_save.c
libmb_la_SOURCES += src/api/model_summary.c
libmb_la_SOURCES += src/api/model_weights.c
	src/api/predictor.c src/api/quantizer.c src/api/ranks.c \
	src/api/reservoir.c src/api/reservoir.h \
	src/api/samples.c src/api/samples.h src/api/settings.c src/api/settings.h src/api/trainer.c \
	src/api/trainer_private.h src/api/trainer_samples.c
