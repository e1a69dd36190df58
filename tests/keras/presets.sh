#!/bin/bash
# What `mbrun new` writes, and a model built by the library's calls, small and then trained for two steps: Keras loads
# it, predicts the same, fits on.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
presets=

written() { # PRESET_KIND KEY=VALUE...
    preset=$1
    shift
    "$MBRUN" new "${preset%_*}" -o "$scratch/$preset.h5" --seed "$seed" "$@"
}

trained() {
    for preset in $presets; do
        model=$scratch/$preset
        "$MBRUN" predict "$model.h5" --data "$model.data.h5" -o "$model.start.h5" &&
            "$MBRUN" "$model.h5" --data "$model.data.h5" --steps 2 --batch 8 --quiet --run "$model.run" &&
            "$MBRUN" predict "$model.run/final.h5" --data "$model.data.h5" -o "$model.end.h5" || return 1
    done
}

while read -r kind keys; do
    # shellcheck disable=SC2086
    run "$kind is written" written "$kind" $keys
    presets="$presets $kind"
done <<END
vit_dropout input=16x24x3 patch=4 width=24 depth=2 heads=3 mlp=40 classes=5 dropout=0.1
resnet_plain input=16x16x3 filters=4,8 repeat=1 classes=5
mobilenet_plain input=16x16x3 filters=4,8 repeat=1 expansion=2 classes=5
END
run "a model is built layer by layer" "$MB_BUILDDIR/tests/tools/build_model" "$scratch/built.h5" "$seed"
presets="$presets built"
run "Keras makes data for them" "$python" -W ignore "$MB_SRCDIR/tests/keras/presets.py" data "$seed" "$scratch"/*.h5
run "mbrun trains and predicts with all of them" trained
# shellcheck disable=SC2086
ask presets.py compare "$scratch" $presets
asked 4
plan
