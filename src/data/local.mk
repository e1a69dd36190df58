libmb_la_SOURCES += \
	src/data/convert.c src/data/convert.h \
	src/data/element.c src/data/element.h \
	src/data/extent.c src/data/extent.h \
	src/data/hdf5_dataset.c src/data/hdf5_dataset.h \
	src/data/hdf5_select.c src/data/hdf5_select.h \
	src/data/idx.c src/data/idx.h \
	src/data/idx_find.c \
	src/data/internal.h \
	src/data/output.c src/data/output.h \
	src/data/prefetch.c src/data/prefetch.h \
	src/data/sampler.c src/data/sampler.h \
	src/data/source.c src/data/source.h \
	src/data/source_arrays.c \
	src/data/source_hdf5.c \
	src/data/source_idx.c \
	src/data/source_open.c \
	src/data/source_slice.c
