EXTRA_DIST += examples/Makefile examples/README.md examples/train_arrays.c
