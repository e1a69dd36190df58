#!/bin/bash
# Real Keras loads files whose weights are in small float formats, and predicts with them what it predicts
# with the same numbers as float32; a file of whole numbers with scales it refuses.
# Nothing is trained: its backend numpy, which compiles nothing, is enough.
MB_KERAS_BACKEND=numpy
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
fixtures=$MB_SRCDIR/tests/fixtures
encode=$MB_BUILDDIR/tests/keras/encode
rewrite=$MB_BUILDDIR/tests/keras/rewrite
models="mlp cnn conv1d resnet gpt shared"

written() {
    for format in fp16 bf16 e3m4 rounded int8 int4; do
        for model in $models; do
            "$encode" $format "$fixtures/$model.h5" "$scratch/$model.$format.h5" &&
                "$rewrite" "$scratch/$model.$format.h5" "$scratch/$model.$format.plain.h5" ||
                return 1
        done
    done
}

run "models are written in every format" written
# shellcheck disable=SC2086
ask quantized.py "$fixtures" "$scratch" $models
asked 6
plan
