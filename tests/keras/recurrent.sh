#!/bin/bash
# Random recurrent layers give what Keras' own do: outputs, and all gradients by one step of SGD.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
models=${MB_KERAS_COUNT-1}

trained() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/recurrent.py" make "$scratch" "$seed" "$models" || return 1
    for data in "$scratch"/*.data.h5; do
        model=${data%.data.h5}
        file=$model.keras
        [ -e "$file" ] || file=$model.h5
        "$MBRUN" predict "$file" --data "$data" -o "$model.out.h5" &&
            "$MBRUN" "$file" --data "$data" --no-shuffle --batch 9 --steps 1 --quiet --run "$model.run" ||
            return 1
    done
}

run "Keras writes the models, and mbrun predicts and trains with them" trained
ask recurrent.py check "$scratch"
asked $((8 * models))
plan
