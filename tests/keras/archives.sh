#!/bin/bash
# .keras archives and .weights.h5 files that Keras wrote: mbrun computes the same losses from them, trains
# them as it trains the same model in HDF5, and writes them so that Keras goes on with them.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
archives=$MB_SRCDIR/tests/keras/archives.py

weights_digest() { # FILE
    "$MBRUN" inspect --digest "$1" | sed -n 's/^weights *//p'
}

evaluated() {
    for model in $models; do
        "$MBRUN" eval "$scratch/$model.keras" --data "$scratch/$model.data.h5" --batch 16 --json \
            >"$scratch/$model.loss" || return 1
        "$MBRUN" eval "$scratch/$model.keras" --data "$scratch/$model.data.h5" --batch 16 --json \
            --weights "$scratch/$model.other.weights.h5" >"$scratch/$model.other.loss" || return 1
    done
}

alike() {
    for model in $models; do
        for archive in "$model" "$model.first"; do
            [ "$(weights_digest "$scratch/$archive.keras")" = "$(weights_digest "$scratch/$model.h5")" ] ||
                { echo "$archive" && return 1; }
        done
    done
}

# Other weights, replaced by those of a weights-only file of Keras 2.
keras2_weights() {
    for model in $models; do
        "$MBRUN" convert "$scratch/$model.keras" -o "$scratch/$model.two.h5" --force \
            --weights "$scratch/$model.other.weights.h5" || return 1
        for way in order name; do
            "$MBRUN" convert "$scratch/$model.two.h5" -o "$scratch/$model.one.h5" --force \
                --weights "$scratch/$model.keras2.h5" --weights-by $way || return 1
            [ "$(weights_digest "$scratch/$model.one.h5")" = "$(weights_digest "$scratch/$model.h5")" ] ||
                { echo "$model by $way" && return 1; }
            [ "$(weights_digest "$scratch/$model.two.h5")" != "$(weights_digest "$scratch/$model.h5")" ] ||
                return 1
        done
    done
}

# Two steps from either form, with the optimizer's state that Keras left: the same bits.
trained_alike() {
    for model in $models; do
        for form in keras h5; do
            "$MBRUN" "$scratch/$model.$form" --data "$scratch/$model.data.h5" --batch 16 --steps 2 \
                --no-shuffle --quiet --run "$scratch/$model.$form.run" || return 1
        done
        [ "$("$MBRUN" inspect --digest "$scratch/$model.keras.run/final.h5")" = \
            "$("$MBRUN" inspect --digest "$scratch/$model.h5.run/final.h5")" ] ||
            { echo "$model" && return 1; }
    done
}

converted() {
    for model in $models; do
        "$MBRUN" convert "$scratch/$model.keras" -o "$scratch/$model.out.keras" &&
            "$MBRUN" convert "$scratch/$model.h5" -o "$scratch/$model.h5.keras" &&
            "$MBRUN" convert "$scratch/$model.keras" -o "$scratch/$model.out.weights.h5" &&
            "$MBRUN" convert "$scratch/$model.out.keras" -o "$scratch/$model.again.h5" || return 1
        [ "$(weights_digest "$scratch/$model.again.h5")" = "$(weights_digest "$scratch/$model.h5")" ] ||
            { echo "$model" && return 1; }
    done
}

written_by_a_run() {
    "$MBRUN" "$scratch/mlp.keras" --data "$scratch/mlp.data.h5" --batch 16 --steps 2 --no-shuffle --quiet \
        --run "$scratch/o.run" -o "$scratch/mlp.run.keras" && "$python" "$archives" trained "$scratch/mlp.run.keras"
}

models=$("$python" "$archives" names 2>/dev/null)
run "Keras writes its archives" "$python" -W ignore "$archives" make "$scratch"
run "an archive has the digest of the same model in HDF5" alike
run "weights of Keras 2 alone are loaded by order and by name" keras2_weights
run "mbrun evaluates archives, and other weights in them" evaluated
run "mbrun trains archives to the bits of the same model in HDF5" trained_alike
run "mbrun writes archives, weights and HDF5 files" converted
ask archives.py check "$scratch"
asked $(($(wc -w <<<"$models") * 5))
run "Keras goes on with what a run wrote" written_by_a_run
plan
