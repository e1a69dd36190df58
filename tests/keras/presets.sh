#!/bin/bash
# What `mbrun new` writes, small and then trained for two steps: Keras loads it, predicts the same, fits on.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
presets=$MB_SRCDIR/tests/keras/presets.py

while read -r name keys; do
    model=$scratch/$name
    # shellcheck disable=SC2086
    "$MBRUN" new "${name%_*}" -o "$model.h5" --seed "$seed" $keys >"$scratch/log" 2>&1 &&
        "$python" -W ignore "$presets" data "$model.h5" "$model.data.h5" "$seed" >>"$scratch/log" 2>&1 &&
        "$MBRUN" "$model.h5" --data "$model.data.h5" --steps 2 --batch 8 --quiet --run "$model.run" \
            >>"$scratch/log" 2>&1
    result $? "$name is written and trained"
    for file in "$model.h5" "$model.run/final.h5"; do
        "$MBRUN" predict "$file" --data "$model.data.h5" -o "$model.out.h5" >"$scratch/log" 2>&1 &&
            "$python" -W ignore "$presets" compare "$file" "$model.data.h5" "$model.out.h5" >>"$scratch/log" 2>&1
        result $? "$name: Keras predicts the same from ${file##*/} and fits on"
        rm -f "$model.out.h5"
    done
done <<END
vit_dropout input=16x24x3 patch=4 width=24 depth=2 heads=3 mlp=40 classes=5 dropout=0.1
resnet_plain input=16x16x3 filters=4,8 repeat=1 classes=5
mobilenet_plain input=16x16x3 filters=4,8 repeat=1 expansion=2 classes=5
END
plan
