#!/bin/bash
# Operations, layers that move and combine elements, activations and normalization, with random shapes and settings, beside Keras.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
ask operators.py "$MBRUN" "$scratch" "$seed" "${MB_KERAS_COUNT-1}"
plan
