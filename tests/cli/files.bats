#!/usr/bin/env bats
# The file tools, and the way from nothing to predictions.
load helper

@test "new, data, train, eval, predict: from nothing to predictions" {
    images 96 8 8 >t-images-idx3-ubyte
    labels 96 '\2' >t-labels-idx1-ubyte
    run -0 "$MBRUN" data t-images-idx3-ubyte -o data.h5
    [[ $output =~ "96 samples of (8, 8) uint8, with labels" ]]
    run -0 "$MBRUN" new cnn -o model.h5 input=8x8x1 filters=4 dense=8 classes=3
    run -0 ranks 3 model.h5 --data data.h5 --epochs 20 --stages 2
    run -0 ranks 2 eval model.run/final.h5 --data data.h5
    grep -q 'accuracy 1.000000' <<<"$output"
    run -0 ranks 2 predict model.run/final.h5 --data data.h5 -o out.h5
    grep -q '96 samples' <<<"$output"
    [ -s out.h5 ]
}

@test "text becomes tokens that a gpt trains on" {
    for i in $(seq 200); do echo "the quick brown fox $i"; done >text.txt
    run -0 "$MBRUN" data text.txt -o data.h5
    [[ $output =~ tokens ]]
    "$MBRUN" new gpt -o gpt.h5 layers=1 width=16 heads=2 length=16
    run -0 ranks 2 gpt.h5 --data data.h5 --steps 3 --stages 2
    run -0 ranks 1 eval gpt.run/final.h5 --data data.h5 --batch 64
}

@test "the numbers of eval and predict do not depend on the ranks" {
    fixture shared
    alone=$(ranks 1 eval model.h5 --data data.h5 --json --replicas 2 --micro-batch 8 | sed 's/"seconds.*//')
    three=$(ranks 3 eval model.h5 --data data.h5 --json --replicas 2 --micro-batch 8 | sed 's/"seconds.*//')
    echo "$alone $three"
    [ -n "$alone" ] && [ "$alone" = "$three" ]
    ranks 1 predict model.h5 --data data.h5 -o a.h5
    ranks 3 predict model.h5 --data data.h5 -o b.h5
    cmp a.h5 b.h5
}

@test "eval takes what the model file records, and the command line wins" {
    fixture mlp
    cp data.h5 other.h5
    "$MBRUN" configure model.h5 --data data.h5 --batch 64 --stages 9
    run -0 ranks 1 eval model.h5
    grep -q 'data.h5: 640 samples' <<<"$output"
    run -0 ranks 1 eval model.h5 --data other.h5
    grep -q 'other.h5: 640 samples' <<<"$output"
}

@test "eval shows every output of a model" {
    fixture regularized
    run -0 ranks 1 eval model.h5 --data data.h5
    [ "$(grep -c 'loss [0-9]' <<<"$output")" -eq 3 ]
    ranks 2 eval model.h5 --data data.h5 --json | json 'len(value["outputs"]) == 2'
}

@test "new is a function of its seed" {
    "$MBRUN" new mlp -o a.h5 --seed 3
    "$MBRUN" new mlp -o b.h5 --seed 3
    "$MBRUN" new mlp -o c.h5 --seed 4
    [ "$(digest a.h5)" = "$(digest b.h5)" ]
    [ "$(digest a.h5)" != "$(digest c.h5)" ]
    run -0 "$MBRUN" inspect --verify a.h5
}

@test "new replaces a file only when told to" {
    "$MBRUN" new mlp -o a.h5
    before=$(digest a.h5)
    both 2 'a.h5 exists already' new mlp -o a.h5 --seed 9
    [ "$before" = "$(digest a.h5)" ]
    run -0 "$MBRUN" new mlp -o a.h5 --seed 9 --force
    [ "$before" != "$(digest a.h5)" ]
}

@test "new refuses presets, keys and values that it does not know" {
    refused 2 "preset 'mpl' is not known.*mlp" 1 new mpl -o a.h5
    refused 2 "no setting 'hiden'.*'hidden'" 3 new mlp -o a.h5 hiden=3
    refused 2 'hidden=x' 1 new mlp -o a.h5 hidden=x
    refused 2 "'hidden' is no setting" 1 new mlp -o a.h5 hidden
    refused 2 'use -o' 1 new mlp
    refused 2 'optimizer' 1 new mlp -o a.h5 --optimizer admm
    [ ! -e a.h5 ]
}

@test "new takes an optimizer and what it is set to" {
    "$MBRUN" new mlp -o a.h5 --optimizer sgd:momentum=0.9 --lr 0.5
    "$MBRUN" inspect a.h5 | grep -q '^optimizer *SGD'
    cp "$FIXTURES/mlp.ref.h5" data.h5
    ranks 1 a.h5 --data data.h5 --steps 1 --quiet
    [ "$(field lr a.run/metrics.jsonl)" = 0.5 ]
}

@test "configure records, changes and forgets settings, and keeps the weights" {
    fixture mlp
    before=$(digest model.h5)
    run -0 "$MBRUN" configure model.h5 --data data.h5 --epochs 3 --no-shuffle
    "$MBRUN" inspect --json model.h5 |
        json 'value["settings"] == {"data": "data.h5", "epochs": "3", "shuffle": "none"}'
    run -0 "$MBRUN" configure model.h5 --epochs 4 --unset data
    "$MBRUN" inspect --json model.h5 | json 'value["settings"] == {"epochs": "4", "shuffle": "none"}'
    [ "$before" = "$(digest model.h5)" ]
}

@test "configure writes a copy and leaves the model alone" {
    fixture mlp
    before=$(cksum <model.h5)
    run -0 "$MBRUN" configure model.h5 --epochs 3 -o copy.h5
    [ "$before" = "$(cksum <model.h5)" ]
    "$MBRUN" inspect copy.h5 | grep -q 'epochs = 3'
}

@test "configure keeps a seal" {
    "$MBRUN" new mlp -o a.h5
    run -0 "$MBRUN" configure a.h5 --epochs 3
    run -0 "$MBRUN" inspect --verify a.h5
}

@test "configure refuses what it cannot record" {
    fixture mlp
    refused 2 'nothing to record' 1 configure model.h5
    refused 2 "'epoch'.*do you mean 'epochs'" 1 configure model.h5 --unset epoch
    refused 2 'deadline' 1 configure model.h5 --deadline 3s
    refused 2 'both set and unset' 1 configure model.h5 --epochs 3 --unset epochs
}

@test "inspect shows layers, shapes and parameters" {
    fixture mlp
    run -0 "$MBRUN" inspect model.h5
    grep -q '^dense_1 *Dense *(48,) *3,120' <<<"$output"
    grep -q '^parameters *53,850' <<<"$output"
    grep -q '^optimizer *Adam' <<<"$output"
}

@test "inspect describes every fixture, in text and as JSON" {
    for file in "$FIXTURES"/*.h5; do
        [ "${file%.ref.h5}" = "$file" ] || continue
        run -0 "$MBRUN" inspect "$file"
        "$MBRUN" inspect --json "$file" |
            json 'value["parameters"] == sum(l["parameters"] for l in value["layers"])'
    done
}

@test "inspect describes a model that this build cannot train, and says why" {
    fixture mlp
    in_file model.h5 '"class_name": "Dense"' '"class_name": "Dunse"'
    run -0 "$MBRUN" inspect model.h5
    grep -q '^dense ' <<<"$output"
    grep -q '^note: .*Dunse' <<<"$output"
}

@test "the digest is two lines, and names the bits" {
    fixture mlp
    run -0 "$MBRUN" inspect --digest model.h5
    [[ ${lines[0]} =~ ^weights\ \ [0-9a-f]{16}$ ]]
    [[ ${lines[1]} =~ ^full\ \ \ \ \ [0-9a-f]{16}$ ]]
    [ "${#lines[@]}" -eq 2 ]
}

@test "verify finds a changed byte, and a file without a seal" {
    "$MBRUN" new mlp -o a.h5
    run -0 "$MBRUN" inspect --verify a.h5
    printf 'X' | dd of=a.h5 bs=1 seek=60000 conv=notrunc 2>/dev/null
    refused 1 'a.h5: the seal is broken' 1 inspect --verify a.h5
    fixture mlp
    refused 1 'model.h5: has no seal' 1 inspect --verify model.h5
}

@test "data refuses what it cannot join" {
    images 4 8 8 >a-images-idx3-ubyte
    images 4 9 9 >b-images-idx3-ubyte
    echo text >c.txt
    refused 1 'b-images.*(4, 9, 9)' 1 data a-images-idx3-ubyte b-images-idx3-ubyte -o out.h5
    refused 2 'IDX.*text' 1 data a-images-idx3-ubyte c.txt -o out.h5
    refused 1 'd.idx' 3 data d.idx -o out.h5
    refused 2 'use -o' 1 data c.txt
    [ ! -e out.h5 ]
}

@test "info has versions and says where the names that models may use are listed; JSON has them" {
    run -0 "$MBRUN" info
    for group in layers operations activations initializers regularizers constraints losses metrics optimizers \
        schedules; do
        grep -q "[1-9][0-9]* $group" <<<"$output"
    done
    grep -q 'listed, with the keys that are obeyed, in .*keras.md' <<<"$output"
    [ -z "$(sed -n '/^Keras/,$p' <<<"$output" | awk 'length > 110')" ]
    grep -q '^HDF5 ' <<<"$output"
    "$MBRUN" info --json | json \
        '"Dense" in value["layers"] and "relu" in value["activations"] and value["hdf5"]'
}

@test "output to a full device is an error" {
    [ -c /dev/full ] || skip "there is no /dev/full"
    run bash -c '"$MBRUN" info >/dev/full'
    [ "$status" -eq 1 ]
    [[ $output =~ ^mbrun:\ error ]]
}

@test "file tools give back what they take" {
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=1 # means something under the sanitizers only
    fixture mlp
    run -0 "$MBRUN" new gpt -o a.h5
    run -0 "$MBRUN" inspect a.h5
    run -0 "$MBRUN" inspect --json --digest model.h5
    run -0 "$MBRUN" configure model.h5 --epochs 2 --unset data
    run -0 "$MBRUN" info --json
    echo text >text.txt
    run -0 "$MBRUN" data text.txt -o data.h5
    run -2 "$MBRUN" new mlp -o b.h5 hiden=3
    run -2 "$MBRUN" model.h5 --epoch 3
}

@test "links in a run directory are not written through" {
    fixture mlp
    echo "somebody else's" >victim
    mkdir m.run
    for name in log.txt plan.json time.json trace.json final.h5; do ln -s ../victim "m.run/$name"; done
    run -0 --separate-stderr ranks 1 model.h5 --data data.h5 --run m.run --steps 2 --trace --profile
    grep -q "warning: .*log.txt.*symbolic link" <<<"$stderr"
    [ "$(cat victim)" = "somebody else's" ]
    [ "$(find m.run -type l)" = m.run/log.txt ]
    ln -sf ../victim m.run/metrics.jsonl
    refused 1 'metrics.jsonl.*symbolic link' 1 model.h5 --data data.h5 --run m.run --steps 3
    [ "$(cat victim)" = "somebody else's" ]
}

@test "new files are for whom the umask leaves, and a private model stays private" {
    fixture mlp
    chmod 600 model.h5
    (umask 007 && ranks 1 model.h5 --data data.h5 --run m.run --steps 1)
    [ -z "$(find m.run -type f ! -perm 660)" ]
    "$MBRUN" configure model.h5 --epochs 2
    [ "$(stat -c %a model.h5)" = 600 ]
}
