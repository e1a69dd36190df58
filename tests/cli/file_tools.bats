#!/usr/bin/env bats
# Tools for files of finished and unfinished runs: diff, average, export, ls.
load helper

# A run of four steps with a checkpoint after each, in model.run.
small_run() {
    fixture mlp
    run -0 ranks 1 model.h5 --data data.h5 --steps 4 --checkpoint-every 1 --keep 9 "$@"
}

@test "diff says equal of equal files, and 0" {
    fixture mlp
    cp model.h5 copy.h5
    run -0 "$MBRUN" diff model.h5 copy.h5
    [[ $output =~ "model.h5 and copy.h5 are equal" ]]
    "$MBRUN" diff model.h5 copy.h5 --json | json 'value["equal"] and value["weights"] == []'
}

@test "diff names layer and key, tensors, settings and counters, and ends with 1" {
    small_run
    run -1 "$MBRUN" diff model.run/step-00000002.h5 model.run/step-00000003.h5
    grep -q '^weights  *dense/kernel: .* elements, by at most .*rmse .*first \[.*\]: .* | ' <<<"$output"
    grep -q '^moments  *velocity/' <<<"$output"
    grep -q '^state  *step: 2 | 3' <<<"$output"
    ! grep -q '^config' <<<"$output" || false
    cp model.h5 other.h5
    "$MBRUN" configure other.h5 --epochs 7
    run -1 "$MBRUN" diff model.h5 other.h5
    grep -q '^settings  *epochs: (none) | 7' <<<"$output"
    "$MBRUN" new mlp -o a.h5 && "$MBRUN" new mlp -o b.h5 hidden=20,512
    run -1 "$MBRUN" diff a.h5 b.h5
    grep -q "^config  *layer 'dense' (Dense): units: 512 | 20" <<<"$output"
    grep -q '^weights  *dense/kernel: (784, 512) | (784, 20)' <<<"$output"
}

@test "diff with a tolerance passes over what rounding changed" {
    "$MBRUN" new mlp -o a.h5
    "$MBRUN" export a.h5 -o b.h5 --dtype bf16
    run -1 "$MBRUN" diff a.h5 b.h5 --json
    json 'max(t["max_relative"] for t in value["weights"]) <= 2 ** -8' <<<"$output"
    run -0 "$MBRUN" diff a.h5 b.h5 --tolerance 0.004
    [[ $output =~ "within the tolerance" ]]
}

@test "diff refuses what it cannot compare" {
    fixture mlp
    refused 2 'two files' 1 diff model.h5
    refused 2 'tolerance x' 1 diff model.h5 model.h5 --tolerance x
    refused 2 'tolerance -1' 1 diff model.h5 model.h5 --tolerance -1
    refused 1 'nowhere.h5' 1 diff model.h5 nowhere.h5
    head -c 3000 model.h5 >cut.h5
    refused 1 'cut.h5' 1 diff model.h5 cut.h5
}

@test "the average of a run's last checkpoints is that of the files" {
    small_run
    cd model.run
    run -0 "$MBRUN" average . --last 2 -o ../run.h5
    [[ $output =~ "mean of 2 files" ]]
    "$MBRUN" average step-00000001.h5 step-00000003.h5 step-00000004.h5 --last 2 -o ../files.h5
    [ "$(digest ../run.h5)" = "$(digest ../files.h5)" ]
    # Halfway between two files, both are equally far away.
    a=$("$MBRUN" diff ../run.h5 step-00000003.h5 --json) || true
    b=$("$MBRUN" diff ../run.h5 step-00000004.h5 --json) || true
    json 'value[0]["weights"] and all(
        abs(x["max_abs"] - y["max_abs"]) <= 1e-6 * x["max_abs"] + 1e-8 and x["max_abs"] > 0
        for x, y in zip(value[0]["weights"], value[1]["weights"]))' <<<"[$a, $b]"
    run -0 "$MBRUN" inspect --verify ../run.h5
    run -0 ranks 1 eval ../run.h5 --data ../data.h5
}

@test "the average of one file with itself is that file" {
    "$MBRUN" new mlp -o a.h5
    cp a.h5 b.h5
    "$MBRUN" average a.h5 b.h5 -o mean.h5
    [ "$(digest mean.h5)" = "$(digest a.h5)" ]
}

@test "average refuses other architectures, an empty run and a file that is there" {
    "$MBRUN" new mlp -o a.h5 && "$MBRUN" new mlp -o b.h5 hidden=20 && mkdir empty.run
    refused 1 "one architecture" 1 average a.h5 b.h5 -o mean.h5
    [ ! -e mean.h5 ]
    refused 1 'no step-' 1 average empty.run -o mean.h5
    refused 2 'use -o' 1 average a.h5
    refused 2 'exists already' 1 average a.h5 -o b.h5
    refused 2 'is an input' 1 average a.h5 -o a.h5 --force
    refused 2 'last 0' 1 average a.h5 --last 0 -o mean.h5
    refused 2 'convert' 1 average a.h5 -o mean.keras
}

@test "export writes weights alone, moments alone, and both" {
    small_run
    step=model.run/step-00000004.h5
    run -0 "$MBRUN" export "$step" -o weights.h5
    [[ $output =~ "0 moments; a model" ]]
    [ "$(digest weights.h5 | head -n 1)" = "$(digest "$step" | head -n 1)" ]
    run -0 "$MBRUN" export "$step" -o moments.h5 --moments
    [[ $output =~ "0 weights" ]]
    run -1 "$MBRUN" diff "$step" moments.h5
    ! grep -q '^moments' <<<"$output" || false
    "$MBRUN" export "$step" -o both.h5 --weights --moments
    run -1 "$MBRUN" diff "$step" both.h5
    ! grep -q '^moments\|^weights' <<<"$output" || false
    refused 2 'no moments' 1 export model.h5 -o none.h5 --moments
}

@test "export cuts by pattern and renames, and the result goes into a model" {
    "$MBRUN" new mlp -o a.h5 && "$MBRUN" new mlp -o b.h5 --seed 9
    run -0 "$MBRUN" export a.h5 -o part.h5 --only 'dense_1*' --except '*bias' --rename dense_1=dense_9
    [[ $output =~ "1 weights, 0 moments; no model" ]]
    run -0 "$MBRUN" diff part.h5 part.h5
    run -0 "$MBRUN" inspect part.h5
    grep -q dense_9 <<<"$output"
    "$MBRUN" export a.h5 -o kernel.h5 --only dense_1
    "$MBRUN" convert b.h5 -o c.h5 --weights kernel.h5 --weights-by name
    run -1 "$MBRUN" diff a.h5 c.h5
    ! grep -q dense_1 <<<"$output" || false
    grep -q 'dense/kernel' <<<"$output"
}

@test "export refuses names and formats that are not there" {
    "$MBRUN" new mlp -o a.h5
    refused 2 "matches 'conv" 1 export a.h5 -o b.h5 --only 'conv*'
    refused 2 "called 'conv'" 1 export a.h5 -o b.h5 --rename conv=dense
    refused 2 'FROM=TO' 1 export a.h5 -o b.h5 --rename dense
    refused 2 "two layers would be called 'dense'" 1 export a.h5 -o b.h5 --rename dense_1=dense
    refused 2 'nothing is left' 1 export a.h5 -o b.h5 --except '*'
    refused 2 'mbrun quantize' 1 export a.h5 -o b.h5 --dtype int8
    nothing_left b.h5
    [ ! -e b.h5 ]
}

@test "ls shows checkpoints, what is damaged, what is left over, and what a start takes" {
    small_run
    rm model.run/final.h5
    run -0 "$MBRUN" ls model.run
    [ "$(grep -c 'seal holds, exact' <<<"$output")" -eq 4 ]
    grep -q '^lease  *nobody' <<<"$output"
    grep -q '^resume  *step-00000004.h5' <<<"$output"
    truncate -s -9 model.run/step-00000004.h5
    : >model.run/step-00000005.h5.tmp-0123456789abcdef
    host=$(uname -n)
    printf 'host %s\nboot x\npid 999999\nstarted 1\njob -\nrestart 0\nnonce 00000000000000ab\n' "$host" >model.run/lease
    run -0 "$MBRUN" ls model.run
    grep -q '^step-00000004.h5 .*passed over: its seal is broken' <<<"$output"
    grep -q '^step-00000005.h5.tmp-0123456789abcdef left over' <<<"$output"
    grep -q '^lease .*999999.*gone' <<<"$output"
    grep -q '^resume  *step-00000003.h5.*passed over' <<<"$output"
    "$MBRUN" ls model.run --json | json 'value["resume"] == "step-00000003.h5" and value["lease"]["mark"] == "stale"'
    # What is shown is what happens.
    run -0 ranks 1 model.h5 --data data.h5 --steps 4
    grep -q 'step-00000003.h5\|step 3' <<<"$output"
}

@test "ls shows a finished run and an empty one, and refuses what is no run" {
    small_run
    run -0 "$MBRUN" ls model.run
    grep -q '^resume .*finished' <<<"$output"
    mkdir empty.run
    run -0 "$MBRUN" ls empty.run
    grep -q '^resume  *there is no checkpoint' <<<"$output"
    refused 1 'nowhere.run' 1 ls nowhere.run
    refused 1 'mbrun inspect' 1 ls model.h5
}
