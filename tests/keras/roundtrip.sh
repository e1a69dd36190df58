#!/bin/bash
# Real Keras loads what the store writes for every fixture, and what mbrun trained: the same predictions,
# and one more step.
# MB_KERAS_PYTHON is an interpreter that has keras, one of its backends, and h5py.
fixtures=$MB_SRCDIR/tests/fixtures
rewrite=$MB_BUILDDIR/tests/keras/rewrite
models="mlp mlp_softmax_sgd mlp_warm cnn conv1d resnet regress gpt rules_adamw rules_amsgrad
    regularized shared"

python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=${KERAS_BACKEND-torch} TF_CPP_MIN_LOG_LEVEL=3
if ! "$python" -c 'import keras, h5py' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import keras and h5py"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0

run() { # NAME COMMAND...
    name=$1
    shift
    count=$((count + 1))
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        tail -n 5 "$scratch/log" | sed 's/^/# /'
    fi
}

# The lines of FILE as cases, with what standard error held when one of them failed.
take_cases() {
    while read -r line; do
        case $line in
        "ok "* | "not ok "*)
            count=$((count + 1))
            echo "${line%%Keras*}$count - Keras${line#*Keras}"
            ;;
        esac
    done <"$1"
    if grep -q '^not ok' "$1"; then grep -v '^WARNING' "$scratch/err" | sed 's/^/# /'; fi
}

written() {
    for model in $models; do
        "$rewrite" "$fixtures/$model.h5" "$scratch/written/$model.h5" || return 1
    done
    "$rewrite" --keras-optimizer adam_2 0.001 "$fixtures/mlp_warm.h5" \
        "$scratch/written/mlp_warm.keras.h5"
}

all_compared() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/roundtrip.py" "$fixtures" "$scratch/written" \
        >"$scratch/cases" 2>"$scratch/err"
    [ "$(grep -c '^ok\|^not ok' "$scratch/cases")" -eq 13 ]
}

trained() {
    for model in $models; do
        reference=$fixtures/$model.ref.h5
        "$MBRUN" "$fixtures/$model.h5" --data "$reference" --no-shuffle --steps 3 --quiet \
            --run "$scratch/trained/$model.run" || return 1
        "$MBRUN" predict "$scratch/trained/$model.run/final.h5" --data "$reference" \
            -o "$scratch/trained/$model.out.h5" || return 1
    done
    "$MBRUN" "$fixtures/mlp.h5" --data "$fixtures/mlp.ref.h5" --no-shuffle --steps 3 --quiet \
        --keras-optimizer --run "$scratch/trained/mlp.moments.run"
}

all_trained_compared() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/trained.py" "$fixtures" "$scratch/trained" \
        >"$scratch/cases" 2>"$scratch/err"
    [ "$(grep -c '^ok\|^not ok' "$scratch/cases")" -eq 13 ]
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
run "Keras is asked about all of them" all_compared
take_cases "$scratch/cases"
mkdir "$scratch/trained"
run "mbrun trains every fixture and predicts with it" trained
run "Keras is asked about all that was trained" all_trained_compared
take_cases "$scratch/cases"
run "Keras reads a model of 3000 layers" many_layers
if command -v h5dump >/dev/null; then
    run "h5dump reads all of a checkpoint" dumped
fi
echo "1..$count"
