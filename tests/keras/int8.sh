#!/bin/bash
# Real Keras loads what quantize --keras-int8 writes, with the codes that Keras finds by itself.
# Nothing is trained: its backend numpy, which compiles nothing, is enough.
MB_KERAS_BACKEND=numpy
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras keras.dtype_policies.QuantizedDTypePolicy
fixtures=$MB_SRCDIR/tests/fixtures
models="mlp cnn conv1d gpt shared regularized"

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

run "mbrun writes int8 weights in Keras' layout" written
ask int8.py "$fixtures" "$scratch"
asked 6
plan
