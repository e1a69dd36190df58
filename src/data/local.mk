libmb_la_SOURCES += \
	src/data/asks.c src/data/asks.h \
	src/data/asks_parcel.c \
	src/data/asks_private.h \
	src/data/asks_serve.c \
	src/data/cell.c src/data/cell.h \
	src/data/convert.c src/data/convert.h \
	src/data/convert_idx.c \
	src/data/convert_private.h \
	src/data/convert_source.c \
	src/data/convert_text.c \
	src/data/csv.c src/data/csv.h \
	src/data/deviation.c src/data/deviation.h \
	src/data/element.c src/data/element.h \
	src/data/extent.c src/data/extent.h \
	src/data/hdf5_dataset.c src/data/hdf5_dataset.h \
	src/data/hdf5_select.c src/data/hdf5_select.h \
	src/data/hdf5_words.c src/data/hdf5_words.h \
	src/data/held.c src/data/held.h \
	src/data/held_agree.c \
	src/data/held_gather.c \
	src/data/held_move.c \
	src/data/held_private.h \
	src/data/held_runs.c src/data/held_runs.h \
	src/data/idx.c src/data/idx.h \
	src/data/idx_find.c \
	src/data/image.c src/data/image.h \
	src/data/image_cache.c src/data/image_cache.h \
	src/data/image_folder.c src/data/image_folder.h \
	src/data/image_jpeg.c \
	src/data/image_png.c \
	src/data/internal.h \
	src/data/kind.h \
	src/data/npy.c src/data/npy.h \
	src/data/npz.c src/data/npz.h \
	src/data/npz_read.c \
	src/data/output.c src/data/output.h \
	src/data/paths.c src/data/paths.h \
	src/data/pool.c src/data/pool.h \
	src/data/prefetch.c src/data/prefetch.h \
	src/data/resize.c src/data/resize.h \
	src/data/sampler.c src/data/sampler.h \
	src/data/sieve.c src/data/sieve.h \
	src/data/sieve_move.c \
	src/data/sieve_private.h \
	src/data/sieve_select.c \
	src/data/source.c src/data/source.h \
	src/data/source_arrays.c \
	src/data/source_choose.c \
	src/data/source_hdf5.c \
	src/data/source_held.c src/data/source_held.h \
	src/data/source_idx.c \
	src/data/source_images.c \
	src/data/source_join.c \
	src/data/source_npy.c \
	src/data/source_open.c src/data/source_plugin.c src/data/source_plugin.h \
	src/data/source_slice.c \
	src/data/source_table.c \
	src/data/spool.c src/data/spool.h \
	src/data/table.c src/data/table.h \
	src/data/table_fields.c src/data/table_fields.h \
	src/data/table_survey.c \
	src/data/vocabularies.c \
	src/data/vocabulary.c src/data/vocabulary.h
libmb_la_SOURCES += src/data/convert_summary.c src/data/convert_summary.h
