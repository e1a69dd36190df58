libmb_la_SOURCES += \
	src/store/archive_edit.c src/store/archive_edit.h \
	src/store/report.h \
	src/store/callback_numbers.h \
	src/store/checkpoint.c src/store/checkpoint.h \
	src/store/checkpoint_check.c src/store/checkpoint_private.h \
	src/store/checkpoint_layout.c src/store/checkpoint_layout.h \
	src/store/checkpoint_pace.c \
	src/store/checkpoint_stencil.c src/store/checkpoint_stencil.h \
	src/store/checkpoint_sums.c \
	src/store/average.c src/store/average.h \
	src/store/compare.c src/store/compare.h \
	src/store/compare_configs.c src/store/compare_tensors.c \
	src/store/derive.c src/store/derive.h src/store/derive_names.c \
	src/store/digest.c src/store/digest.h \
	src/store/edit.c src/store/edit.h \
	src/store/encoded_layout.h \
	src/store/encoded_open.c src/store/encoded_open.h \
	src/store/encoded_read.c src/store/encoded_read.h \
	src/store/encoded_write.c src/store/encoded_write.h \
	src/store/file.h src/store/file_mpi.c src/store/file_posix.c \
	src/store/filesystem.c src/store/filesystem.h \
	src/store/h5.c src/store/h5.h \
	src/store/h5_attributes.c src/store/h5_heap.c src/store/h5_heap.h src/store/h5_storage.c src/store/h5_storage.h \
	src/store/h5_image.c src/store/h5_image.h \
	src/store/h5_part.c src/store/h5_part.h \
	src/store/h5_write.c src/store/h5_write.h \
	src/store/io.c src/store/io.h \
	src/store/io_options.c src/store/io_options.h \
	src/store/keras_archive.c src/store/keras_archive.h \
	src/store/keras_config.c src/store/keras_config.h \
	src/store/keras_int8.c src/store/keras_int8.h \
	src/store/keras_optimizer.c src/store/keras_optimizer.h \
	src/store/labels.c src/store/labels.h \
	src/store/lease.c src/store/lease.h \
	src/store/local_set.h src/store/local_codec.c src/store/local_dir.c src/store/local_file.c \
	src/store/metrics_log.c \
	src/store/model_file.c src/store/model_file.h \
	src/store/number_type.c src/store/number_type.h \
	src/store/predictions.c src/store/predictions.h \
	src/store/ranks.h \
	src/store/report_file.c src/store/report_file.h \
	src/store/run_list.c src/store/run_list.h \
	src/store/run_dir.c src/store/run_dir.h \
	src/store/seal.c src/store/seal.h \
	src/store/staged.c src/store/staged.h \
	src/store/tensors.c src/store/tensors.h \
	src/store/variables.c src/store/variables.h \
	src/store/writer_slot.c src/store/writer_slot.h \
	src/store/zip.c src/store/zip.h src/store/zip_unpack.c \
	src/store/zip_write.c src/store/zip_write.h
libmb_la_SOURCES += src/store/compare_json.c src/store/compare_json.h
libmb_la_SOURCES += src/store/report_json.c src/store/report_json.h
libmb_la_SOURCES += src/store/run_list_json.c src/store/run_list_json.h
