#!/bin/bash
# Real Keras loads what quantize --keras-int8 writes, with the codes that Keras finds by itself.
# MB_KERAS_PYTHON is an interpreter that has keras, one of its backends, and h5py.
fixtures=$MB_SRCDIR/tests/fixtures
models="mlp cnn conv1d gpt shared regularized"

python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=${KERAS_BACKEND-torch} TF_CPP_MIN_LOG_LEVEL=3
if ! "$python" -c 'import keras, h5py; keras.dtype_policies.QuantizedDTypePolicy' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import h5py and a keras that quantizes"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0

result() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        tail -n 5 "$scratch/log" | sed 's/^/# /'
    fi
}

written() {
    for model in $models; do
        "$MBRUN" quantize "$fixtures/$model.h5" --keras-int8 --method nearest \
            -o "$scratch/$model.h5" || return 1
        "$MBRUN" quantize "$fixtures/$model.h5" --format int8 --method nearest \
            -o "$scratch/$model.ours.h5" || return 1
        "$MBRUN" predict "$scratch/$model.ours.h5" --data "$fixtures/$model.ref.h5" \
            -o "$scratch/$model.out.h5" || return 1
        rm "$scratch/$model.ours.h5"
    done
}

written >"$scratch/log" 2>&1
result $? "mbrun writes int8 weights in Keras' layout"
"$python" -W ignore "$MB_SRCDIR/tests/keras/int8.py" "$fixtures" "$scratch" >"$scratch/cases" \
    2>"$scratch/log"
while read -r line; do
    case $line in
    "ok "*) result 0 "${line#ok }" ;;
    "not ok "*) result 1 "${line#not ok }" ;;
    esac
done <"$scratch/cases"
[ "$count" -eq 7 ]
result $? "Keras was asked about all of them"
echo "1..$count"
