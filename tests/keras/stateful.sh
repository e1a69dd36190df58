#!/bin/bash
# Layers that keep their states from batch to batch go on as Keras' own do: predictions, and weights and
# states after two epochs of three batches.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
models=${MB_KERAS_COUNT-1}

trained() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/stateful.py" make "$scratch" "$seed" "$models" || return 1
    for data in "$scratch"/*.data.h5; do
        model=${data%.data.h5}
        file=$model.keras
        [ -e "$file" ] || file=$model.h5
        "$MBRUN" predict "$file" --data "$data" -o "$model.out.h5" &&
            "$MBRUN" "$file" --data "$data" --epochs 2 --quiet --run "$model.run" || return 1
    done
}

run "Keras writes the models, and mbrun predicts and trains with them" trained
ask stateful.py check "$scratch"
asked $((7 * models))
plan
