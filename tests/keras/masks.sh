#!/bin/bash
# Masks through random layers, and what takes them: recurrent layers, attention, pooling, Softmax, losses and
# metrics. MB_KERAS_SEED and MB_KERAS_COUNT are the first seed and how many models.
. "$MB_SRCDIR/tests/keras/beside_lib.sh"
beside masks.py "${MB_KERAS_COUNT-30}"
