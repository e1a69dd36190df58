libmb_la_SOURCES += src/quant/encode.h src/quant/format.h src/quant/methods.h
