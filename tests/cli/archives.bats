#!/usr/bin/env bats
# .keras archives and .weights.h5 files wherever a model file is taken, and weights loaded into a model.
load helper

weights_of() {
    "$MBRUN" inspect --digest "$1" | sed -n 's/^weights *//p'
}

loss_of() { # MODEL ARGUMENTS...: as printed, to the last digit
    local model=$1
    shift
    ranks 1 eval "$model" --data data.h5 --json "$@" 2>/dev/null | sed -n 's/.*"loss":\([^,]*\),"accuracy.*/\1/p'
}

archive() { # NAME: the fixture as model.h5 and model.keras
    fixture "$1" && "$MBRUN" convert model.h5 -o model.keras
}

@test "an archive is the same model as the HDF5 file it was made from" {
    archive mlp_warm
    [ "$(weights_of model.keras)" = "$(weights_of model.h5)" ]
    [ -n "$(loss_of model.h5)" ] && [ "$(loss_of model.keras)" = "$(loss_of model.h5)" ]
    ranks 1 model.h5 --data data.h5 --steps 3 --quiet --replicas 2 --run a.run
    ranks 3 model.keras --data data.h5 --steps 3 --quiet --replicas 2 --run b.run
    [ "$(digest a.run/final.h5)" = "$(digest b.run/final.h5)" ]
    ranks 1 predict model.h5 --data data.h5 -o a.h5
    ranks 2 predict model.keras --data data.h5 -o b.h5
    cmp a.h5 b.h5
    ranks 1 quantize model.keras -o small.h5 --format int8
    ranks 1 quantize model.h5 -o small2.h5 --format int8
    [ "$(digest small.h5)" = "$(digest small2.h5)" ]
}

@test "a run that began with an archive goes on" {
    archive mlp
    ranks 2 model.keras --data data.h5 --steps 2 --quiet --replicas 2
    ranks 1 model.keras --data data.h5 --steps 4 --quiet
    ranks 1 model.h5 --data data.h5 --steps 4 --quiet --replicas 2 --run whole.run
    [ "$(digest model.run/final.h5)" = "$(digest whole.run/final.h5)" ]
}

@test "every fixture survives the way through an archive" {
    for model in mlp cnn conv1d resnet gpt shared rules_amsgrad scaled_warm; do # the last in float16
        fixture $model
        "$MBRUN" convert model.h5 -o $model.keras
        "$MBRUN" convert $model.keras -o $model.weights.h5
        "$MBRUN" convert $model.keras -o $model.h5
        [ "$(weights_of $model.h5)" = "$(weights_of $model.keras)" ]
        ranks 1 model.h5 --data data.h5 --steps 2 --quiet --emulate --run $model.a.run
        ranks 1 $model.keras --data data.h5 --steps 2 --quiet --emulate --run $model.b.run
        [ "$(weights_of $model.a.run/final.h5)" = "$(weights_of $model.b.run/final.h5)" ]
    done
}

@test "settings are recorded inside an archive" {
    archive mlp
    before=$(weights_of model.keras)
    run -0 "$MBRUN" configure model.keras --data data.h5 --steps 2
    run -0 "$MBRUN" inspect model.keras
    grep -q 'steps = 2' <<<"$output"
    [ "$(weights_of model.keras)" = "$before" ]
    ranks 1 model.keras --quiet
    [ -s model.run/final.h5 ]
    run -0 "$MBRUN" configure model.h5 --steps 2 -o other.keras
    run -0 "$MBRUN" configure other.keras --unset steps --epochs 3 -o other.h5
    run -0 "$MBRUN" inspect other.h5
    grep -q 'epochs = 3' <<<"$output" && ! grep -q 'steps = 2' <<<"$output"
    nothing_temporary
}

nothing_temporary() {
    [ -z "$(find . -name '*tmp-*')" ]
}

@test "an archive that another program deflated reads alike" {
    command -v zip >/dev/null && command -v unzip >/dev/null || skip "zip and unzip are not installed"
    archive cnn
    mkdir unpacked && (cd unpacked && unzip -q ../model.keras && zip -q -9 -r ../deflated.keras .)
    unzip -v deflated.keras | grep -q 'Defl.*model.weights.h5'
    [ "$(weights_of deflated.keras)" = "$(weights_of model.h5)" ]
    [ "$(loss_of deflated.keras)" = "$(loss_of model.h5)" ]
    run -0 "$MBRUN" configure deflated.keras --epochs 2
    [ "$(weights_of deflated.keras)" = "$(weights_of model.h5)" ]
}

@test "new and train write archives" {
    fixture mlp
    "$MBRUN" new mlp -o new.keras input=5 hidden=4
    run -0 "$MBRUN" inspect new.keras
    ranks 2 model.h5 --data data.h5 --steps 2 --quiet -o out.keras
    [ "$(weights_of out.keras)" = "$(weights_of model.run/final.h5)" ]
    ranks 2 model.h5 --data data.h5 --steps 2 --quiet -o out.weights.h5
    [ "$(loss_of model.h5 --weights out.weights.h5)" = "$(loss_of out.keras)" ]
    nothing_temporary
}

@test "an archive that was cut off or changed" {
    archive mlp
    bytes=$(stat -c %s model.keras)
    for cut in 3 100 $((bytes / 2)) $((bytes - 1)); do
        head -c "$cut" model.keras >cut.keras
        both 1 'cut.keras' cut.keras --data data.h5
        refused 1 'cut.keras' 1 inspect cut.keras
    done
    at=$((bytes / 2))
    { head -c $at model.keras && printf '\377\376' && tail -c +$((at + 3)) model.keras; } >changed.keras
    both 1 "changed.keras' is damaged: its member 'model.weights.h5'.*checksum" changed.keras --data data.h5
    refused 1 "changed.keras' is damaged" 1 eval changed.keras --data data.h5
    refused 1 "changed.keras' is damaged" 1 predict changed.keras --data data.h5 -o out.h5
    refused 1 "changed.keras' is damaged" 1 inspect --verify changed.keras
    run -0 "$MBRUN" inspect --verify model.keras
    nothing_left changed.run
}

@test "archives that are no models" {
    command -v zip >/dev/null || skip "zip is not installed"
    fixture mlp
    echo '{}' >config.json && zip -q none.keras data.h5 && zip -q half.keras config.json
    zip -q -P secret locked.keras config.json
    both 1 'none.keras.*no config.json' none.keras --data data.h5
    refused 1 'half.keras.*no model.weights.h5' 1 half.keras --data data.h5
    refused 1 "locked.keras.*'config.json' is encrypted" 1 locked.keras --data data.h5
}

@test "weights alone are no model" {
    archive mlp
    "$MBRUN" convert model.h5 -o w.weights.h5
    both 1 "w.weights.h5' has no model_config.*--weights" w.weights.h5 --data data.h5
    run -0 "$MBRUN" inspect w.weights.h5
    refused 2 'weights alone are no model' 1 configure model.h5 --epochs 2 -o v.weights.h5
}

@test "what Keras reads holds exact weights" {
    fixture mlp
    ranks 1 quantize model.h5 -o small.h5 --format int8
    refused 2 'small.h5: its weights are quantized' 1 convert small.h5 -o small.keras
    refused 2 'checkpoint-dtype' 1 model.h5 --data data.h5 --checkpoint-dtype int8 -o out.keras
    refused 2 'out.keras.*quantized weights' 1 quantize model.h5 -o out.keras --format int8
    refused 2 'no file to write' 1 convert model.h5
    refused 2 'exists already' 1 convert model.h5 -o small.h5
}

@test "weights of another file, with a report" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 3 --quiet --run a.run
    "$MBRUN" convert a.run/final.h5 -o a.weights.h5
    for file in a.run/final.h5 a.weights.h5; do
        for way in order name; do
            run -0 ranks 1 eval model.h5 --data data.h5 --weights $file --weights-by $way
            grep -q "$file: \([0-9]*\) of \1 weights taken" <<<"$output"
            [ "$(loss_of model.h5 --weights $file --weights-by $way)" = "$(loss_of a.run/final.h5)" ]
        done
    done
    ranks 2 predict a.run/final.h5 --data data.h5 -o a.h5
    ranks 2 predict model.h5 --data data.h5 -o b.h5 --weights a.weights.h5
    cmp a.h5 b.h5
    ranks 1 quantize model.h5 -o b.q.h5 --format int8 --weights a.weights.h5
    ranks 1 quantize a.run/final.h5 -o a.q.h5 --format int8
    [ "$(digest a.q.h5)" = "$(digest b.q.h5)" ]
}

@test "a run begins with the weights of another file and keeps its own from then on" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 3 --quiet --run a.run
    ranks 1 model.h5 --data data.h5 --steps 2 --quiet --weights a.run/final.h5 --run b.run
    first=$(weights_of b.run/final.h5)
    ranks 1 model.h5 --data data.h5 --steps 4 --quiet --weights a.run/final.h5 --run b.run
    ranks 1 model.h5 --data data.h5 --steps 4 --quiet --weights a.run/final.h5 --run c.run
    [ "$first" != "$(weights_of b.run/final.h5)" ]
    [ "$(digest b.run/final.h5)" = "$(digest c.run/final.h5)" ]
}

@test "weights that do not fit are refused with both sides named, or left out" {
    "$MBRUN" new mlp -o a.h5 input=28x28x1 hidden=64,48 classes=7
    fixture mlp
    "$MBRUN" convert a.h5 -o a.weights.h5
    kernel="has shape (48, 7), and weight 'sequential/dense_2/kernel' of model.h5.*(48, 10)"
    both 1 "a.weights.h5: 'layers/dense_2/vars/0' $kernel" eval model.h5 --data data.h5 --weights a.weights.h5
    both 1 "a.h5: 'sequential/dense_2/kernel' $kernel" eval model.h5 --data data.h5 --weights a.h5
    for file in a.h5 a.weights.h5; do
        run -0 ranks 1 eval model.h5 --data data.h5 --weights $file --skip-mismatch
        grep -q "$file: 4 of 6 weights taken, 53360 numbers" <<<"$output"
        grep -q "2 stayed as model.h5 has them: 'sequential/dense_2/kernel' (48, 10), " <<<"$output"
        grep -q '2 are left over: .* (48, 7), ' <<<"$output"
    done
    "$MBRUN" new mlp -o b.h5 input=28x28x1 hidden=64 classes=7
    refused 1 'b.h5: has 2 layers with weights, and model.h5 has 3' 1 eval model.h5 --data data.h5 --weights b.h5
    run -0 ranks 1 eval model.h5 --data data.h5 --weights b.h5 --weights-by name --skip-mismatch
    grep -q 'b.h5: 2 of 6 weights taken, 50240 numbers' <<<"$output"
    refused 2 'weights-by=sideways' 1 eval model.h5 --data data.h5 --weights a.h5 --weights-by sideways
    refused 2 'use them with --weights' 1 eval model.h5 --data data.h5 --weights-by name
    refused 1 'nothing.weights.h5' 1 eval model.h5 --data data.h5 --weights nothing.weights.h5
}
