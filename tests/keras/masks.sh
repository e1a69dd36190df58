#!/bin/bash
# Masks through random layers, and what takes them: recurrent layers, attention, pooling, Softmax, losses and
# metrics.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
models=$((${MB_KERAS_COUNT-1} * 10)) # of ten kinds
ask masks.py "$MBRUN" "$scratch" "$seed" "$models"
asked "$models"
plan
