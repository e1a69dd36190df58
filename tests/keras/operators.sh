#!/bin/bash
# Operations, layers that move and combine elements, activations and normalization, with random shapes and settings,
# beside Keras.
# MB_KERAS_PYTHON is an interpreter that has keras, jax and h5py. MB_KERAS_ROUNDS and MB_KERAS_SEED: how many
# configurations of each, and which.
. "$MB_SRCDIR/tests/keras/beside_lib.sh"
beside operators.py "${MB_KERAS_ROUNDS-1}"
