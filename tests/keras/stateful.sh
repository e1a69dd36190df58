#!/bin/bash
# Layers that keep their states from batch to batch go on as Keras' own do: predictions, and weights and
# states after two epochs of three batches.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
models=${MB_KERAS_COUNT-1}

run "Keras writes the models, and mbrun predicts and trains with them" \
    train_models stateful.py --epochs 2
ask stateful.py check "$scratch"
asked $((7 * models))
plan
