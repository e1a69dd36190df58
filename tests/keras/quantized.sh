#!/bin/bash
# Real Keras loads files whose weights are in small float formats, and predicts with them what it predicts
# with the same numbers as float32; a file of whole numbers with scales it refuses.
# MB_KERAS_PYTHON is an interpreter that has keras, one of its backends, and h5py.
fixtures=$MB_SRCDIR/tests/fixtures
encode=$MB_BUILDDIR/tests/keras/encode
rewrite=$MB_BUILDDIR/tests/keras/rewrite
models="mlp cnn conv1d resnet gpt shared"

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

written() {
    for format in fp16 bf16 e3m4 rounded int8 int4; do
        for model in $models; do
            "$encode" $format "$fixtures/$model.h5" "$scratch/$model.$format.h5" &&
                "$rewrite" "$scratch/$model.$format.h5" "$scratch/$model.$format.plain.h5" ||
                return 1
        done
    done
}

asked() {
    # shellcheck disable=SC2086
    "$python" -W ignore "$MB_SRCDIR/tests/keras/quantized.py" "$fixtures" "$scratch" $models \
        >"$scratch/cases" 2>"$scratch/err"
    [ "$(grep -c '^ok\|^not ok' "$scratch/cases")" -eq 6 ]
}

run "models are written in every format" written
run "Keras is asked about all of them" asked
while read -r line; do
    count=$((count + 1))
    echo "${line%%Keras*}$count - Keras${line#*Keras}"
done <"$scratch/cases"
if grep -q '^not ok' "$scratch/cases"; then grep -v '^WARNING' "$scratch/err" | sed 's/^/# /'; fi
echo "1..$count"
