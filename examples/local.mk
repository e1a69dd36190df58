EXTRA_DIST += examples/CMakeLists.txt examples/Makefile examples/README.md examples/train_arrays.c
EXTRA_DIST += examples/plugin/Makefile examples/plugin/README.md examples/plugin/clipped.h5 \
	examples/plugin/model.h5 examples/plugin/model.py examples/plugin/own.c examples/plugin/own.h \
	examples/plugin/pinball.c examples/plugin/soft_clip.c examples/plugin/swish2.c \
	examples/plugin/train.wave examples/plugin/wave.c
EXTRA_DIST += examples/insitu/Makefile examples/insitu/README.md examples/insitu/autoencoder.c examples/insitu/infer.c \
	examples/insitu/picture.py examples/insitu/shallow_water.c examples/insitu/shallow_water.f90
