#!/bin/bash
# Real Keras loads what the store writes for every fixture, and what mbrun trained: the same predictions,
# and one more step.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
fixtures=$MB_SRCDIR/tests/fixtures
rewrite=$MB_BUILDDIR/tests/keras/rewrite
models="mlp mlp_softmax_sgd mlp_warm cnn conv1d resnet regress gpt rules_adamw rules_amsgrad
    regularized shared"
trained="mlp cnn gpt rules_amsgrad regularized shared"

written() {
    for model in $models; do
        "$rewrite" "$fixtures/$model.h5" "$scratch/written/$model.h5" || return 1
    done
    "$rewrite" --keras-optimizer adam_2 0.001 "$fixtures/mlp_warm.h5" \
        "$scratch/written/mlp_warm.keras.h5"
}

trained() {
    for model in $trained; do
        reference=$fixtures/$model.ref.h5
        "$MBRUN" "$fixtures/$model.h5" --data "$reference" --no-shuffle --steps 3 --quiet \
            --run "$scratch/trained/$model.run" || return 1
        "$MBRUN" predict "$scratch/trained/$model.run/final.h5" --data "$reference" \
            -o "$scratch/trained/$model.out.h5" || return 1
    done
    "$MBRUN" "$fixtures/mlp.h5" --data "$fixtures/mlp.ref.h5" --no-shuffle --steps 3 --quiet \
        --keras-optimizer --run "$scratch/trained/mlp.moments.run"
}

many_layers() {
    "$python" "$MB_SRCDIR/tests/keras/many_layers.py" make "$scratch/many.h5" &&
        "$rewrite" "$scratch/many.h5" "$scratch/out.h5" &&
        "$python" "$MB_SRCDIR/tests/keras/many_layers.py" check "$scratch/many.h5" "$scratch/out.h5"
}

dumped() {
    "$rewrite" "$fixtures/gpt.h5" "$scratch/out.h5" && h5dump "$scratch/out.h5" >"$scratch/dump" &&
        grep -q 'GROUP "model_weights"' "$scratch/dump"
}

mkdir "$scratch/written"
run "every fixture is written again" written
# shellcheck disable=SC2086
ask roundtrip.py "$fixtures" "$scratch/written" $trained
asked 13
mkdir "$scratch/trained"
run "mbrun trains every fixture and predicts with it" trained
ask trained.py "$fixtures" "$scratch/trained"
asked 7
run "Keras reads a model whose layers' names fill more than one attribute" many_layers
if command -v h5dump >/dev/null; then
    run "h5dump reads all of a checkpoint" dumped
fi
plan
