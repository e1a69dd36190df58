#!/bin/bash
# The layers and the loss of examples/plugin beside their twins in Keras, which make its models: the same
# losses and weights over some steps of training, and Keras loads what was trained.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
own=$scratch/own.so
# shellcheck disable=SC2046
run "the example builds" ${CC-cc} -fPIC -shared -I"$MB_SRCDIR/include" -o "$own" \
    $(ls "$MB_SRCDIR"/examples/plugin/*.c) -lm
for model in model clipped; do
    "$python" -W ignore "$MB_SRCDIR/tests/keras/plugin.py" train "$MB_SRCDIR/examples/plugin" $model "$scratch" \
        >"$scratch/log" 2>&1 &&
        "$MBRUN" "$scratch/$model.h5" --plugin "$own" --data "$scratch/$model.data.h5" --batch 32 --no-shuffle \
            --epochs 1 --quiet --device cpu --run "$scratch/$model.run" >>"$scratch/log" 2>&1 &&
        "$python" -W ignore "$MB_SRCDIR/tests/keras/plugin.py" compare "$MB_SRCDIR/examples/plugin" $model \
            "$scratch" >>"$scratch/log" 2>&1
    result $? "$model.h5: Keras takes the same steps, and loads what mbrun trained"
done
plan
