#!/bin/bash
# Convolutions as Keras computes them (pooling.sh: the other layers over images): outputs, and a step of SGD that shows
# all gradients, over random configurations of each layer. MB_KERAS_LAYERS names classes.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
configs=${MB_KERAS_COUNT-1}
layers=${MB_KERAS_LAYERS-Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D
    Conv1DTranspose Conv2DTranspose Conv3DTranspose}
computed() {
    for data in "$scratch"/*.data.h5; do
        model=${data%.data.h5}
        "$MBRUN" predict "$model.h5" --data "$data" -o "$model.out.h5" &&
            "$MBRUN" "$model.h5" --data "$data" --no-shuffle --batch 3 --steps 1 --quiet \
                --run "$model.run" || return 1
    done
}

# shellcheck disable=SC2086 # names of classes
run "Keras writes the models" "$python" -W ignore "$MB_SRCDIR/tests/keras/convolutions.py" make "$scratch" "$seed" \
    "$configs" $layers
run "mbrun predicts and trains with all of them" computed
# shellcheck disable=SC2086
ask convolutions.py check "$scratch" "$seed" "$configs" $layers
asked "$(wc -w <<<"$layers")"
plan
