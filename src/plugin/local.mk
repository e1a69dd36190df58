libmb_la_SOURCES += src/plugin/config.c
libmb_la_SOURCES += src/plugin/host.c src/plugin/inside.h
libmb_la_SOURCES += src/plugin/layer.c
libmb_la_SOURCES += src/plugin/load.c src/plugin/load.h
libmb_la_SOURCES += src/plugin/loss.c
libmb_la_SOURCES += src/plugin/register.c src/plugin/register.h
libmb_la_SOURCES += src/plugin/run.c
