#!/bin/bash
# Every loss of Keras in random configurations (keys, reductions, shapes, sample and class weights): what it is in
# five steps of training, and what evaluation finds after them, is what Keras finds.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras keras.losses.CategoricalGeneralizedCrossEntropy
run "Keras makes the models" "$python" -W ignore "$MB_SRCDIR/tests/keras/losses.py" make "$scratch" "$seed" \
    "${MB_KERAS_COUNT-1}"

run_case() { # NAME BATCH OPTION...
    name=$1 batch=$2
    shift 2
    "$MBRUN" "$scratch/$name.h5" --data "$scratch/$name.data.h5" --no-shuffle --steps 5 --quiet --threads 1 \
        --run "$scratch/$name.run" "$@" >"$scratch/out" 2>&1 &&
        "$MBRUN" eval "$scratch/$name.run/final.h5" --data "$scratch/$name.data.h5" --batch "$batch" --json \
            >"$scratch/$name.eval" 2>>"$scratch/out"
}

while read -r name batch options; do
    # shellcheck disable=SC2086
    run_case "$name" "$batch" $options || sed "s/^/# $name: /" "$scratch/out"
done <"$scratch/models"
ask losses.py check "$scratch"
asked 21
plan
