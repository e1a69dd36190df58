#!/bin/bash
# Every metric of Keras on random models and data whose last batch is partial: mbrun eval says what
# Keras' evaluate says, with the same digits on 1, 2 and 4 ranks, and a run that does not learn logs it.
# Its own backend, numpy, is enough and compiles nothing.
MB_KERAS_BACKEND=numpy
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras keras.metrics.ConcordanceCorrelation
models=${MB_KERAS_COUNT-12}

made() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/metrics.py" make "$seed" "$models" "$scratch"
}

batch_of() { # NUMBER
    sed -n 's/^{"batch": \([0-9]*\),.*/\1/p' "$scratch/$1.json"
}

evaluated() {
    for number in $(seq 0 $((models - 1))); do
        batch=$(batch_of "$number")
        for ranks in 1 2 4; do
            "$MPIEXEC" -n "$ranks" "$MBRUN" eval "$scratch/$number.h5" --data \
                "$scratch/$number.data.h5" --batch "$batch" --json >"$scratch/$number.$ranks.json" ||
                return 1
        done
    done
}

trained() {
    for number in $(seq 0 $((models - 1))); do
        "$MBRUN" "$scratch/$number.h5" --data "$scratch/$number.data.h5" --batch \
            "$(batch_of "$number")" --no-shuffle --epochs 2 --lr 0 --quiet \
            --run "$scratch/run" || return 1
        mv "$scratch/run/metrics.jsonl" "$scratch/$number.metrics.jsonl"
        rm -r "$scratch/run"
    done
}

run "Keras makes $models models and evaluates them" made
run "mbrun evaluates them on 1, 2 and 4 ranks" evaluated
run "mbrun runs two epochs of them without learning" trained
ask metrics.py check "$scratch"
asked "$models"
plan
