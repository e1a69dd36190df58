#!/bin/bash
# Random recurrent layers give what Keras' own do: outputs, and all gradients by one step of SGD.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
models=${MB_KERAS_COUNT-1}

run "Keras writes the models, and mbrun predicts and trains with them" \
    train_models recurrent.py --no-shuffle --batch 9 --steps 1
ask recurrent.py check "$scratch"
asked $((8 * models))
plan
