#!/usr/bin/env bats
# Several models in one run: each with the bits and the run directory that it has alone.
load helper

CUT="--replicas 2 --micro-batch 8 --quiet"

# Two models as a.h5 and b.h5, of which b wants fewer steps, and their data.
two_models() {
    fixture mlp
    mv model.h5 a.h5
    cp "$FIXTURES/mlp_softmax_sgd.h5" b.h5 && chmod u+w b.h5
    "$MBRUN" configure b.h5 --steps 7 >/dev/null
}

# A model whose loss is no number after its first step.
diverging() {
    cp "$FIXTURES/mlp.h5" "$1" && chmod u+w "$1"
    "$MBRUN" configure "$1" --optimizer sgd --lr 1e38 >/dev/null
}

# same_run A B: weights, state and every step's loss.
same_run() {
    [ "$(digest "$1/final.h5")" = "$(digest "$2/final.h5")" ] || { echo "$1: other weights than $2" && return 1; }
    diff <(grep -o '"loss": *[^,}]*' "$1/metrics.jsonl") <(grep -o '"loss": *[^,}]*' "$2/metrics.jsonl")
}

# AddressSanitizer's general warning about stacks of one's own.
without_warning() {
    grep -v 'makecontext/swapcontext' || true
}

@test "two models have the bits and losses that each has alone" {
    two_models
    for model in a b; do
        run -0 ranks 1 $model.h5 --data data.h5 --epochs 1 --run $model.alone $CUT
    done
    [ "$(wc -l <a.alone/metrics.jsonl)" -eq 20 ]
    [ "$(wc -l <b.alone/metrics.jsonl)" -eq 7 ]
    for n in 1 2 4; do
        stages=$((n < 3 ? n : 2))
        run -0 ranks $n --models a.h5,b.h5 --data data.h5 --epochs 1 --stages $stages --run on$n $CUT
        same_run on$n/a a.alone
        same_run on$n/b b.alone
    done
}

@test "an ensemble has the bits of each of its seeds" {
    fixture mlp
    run -0 ranks 2 model.h5 --ensemble 3 --seed 11 --data data.h5 --steps 5 --stages 2 $CUT
    for seed in 11 12 13; do
        run -0 ranks 1 model.h5 --seed $seed --data data.h5 --steps 5 --run alone-$seed $CUT
        same_run model.run/seed-$seed alone-$seed
    done
    [ "$(digest alone-11/final.h5)" != "$(digest alone-12/final.h5)" ]
}

@test "each model goes on from its own checkpoint, and a finished one is left alone" {
    two_models
    run -0 ranks 1 a.h5 --data data.h5 --steps 9 --run alone $CUT
    run -0 ranks 2 --models a.h5,b.h5 --data data.h5 --steps 4 --run runs $CUT
    run -0 ranks 1 b.h5 --data data.h5 --steps 9 --run runs/b $CUT
    before=$(ls -i runs/b/final.h5)
    run -0 ranks 2 --models a.h5,b.h5 --data data.h5 --steps 9 --run runs
    grep -q '^a: run  *runs/a, going on from step 4 ' <<<"$output"
    grep -q '^b: runs/b: this run is finished: 9 of 9 steps' <<<"$output"
    [ "$before" = "$(ls -i runs/b/final.h5)" ]
    same_run runs/a alone
}

@test "a stop that is asked for leaves a checkpoint of every model" {
    two_models
    "$MBRUN" configure b.h5 --steps 100000 >/dev/null
    "$MPIEXEC" -n 2 "$MBRUN" --models a.h5,b.h5 --data data.h5 --epochs 10000 \
        --checkpoint-every never --quiet --run runs 3>&- &
    pid=$! code=0
    wait_for 60 test -s runs/a/metrics.jsonl && wait_for 60 test -s runs/b/metrics.jsonl
    kill -USR1 $pid
    wait $pid || code=$?
    [ $code -eq 85 ]
    for model in a b; do
        run -0 "$MBRUN" inspect --verify runs/$model/step-*.h5
    done
}

@test "where one model fails the message names it, and the others stop with a checkpoint" {
    two_models
    diverging c.h5
    for n in 1 3; do
        refused 1 'c: step 2 .*the loss is NaN' $n --models a.h5,c.h5 --data data.h5 --epochs 10000 \
            --checkpoint-every never --replicas 1 --run runs$n
        run -0 "$MBRUN" inspect --verify runs$n/a/step-*.h5
        nothing_left runs$n/c
    done
}

@test "what is wrong with one model is said before any trains" {
    two_models
    refused 1 "missing: cannot open 'missing.h5'" 2 --models a.h5,missing.h5 --data data.h5 --quiet
    nothing_left a.run
}

@test "lines and JSON objects say which model they are of" {
    two_models
    run -0 ranks 2 --models first=a.h5,b.h5 --data data.h5 --steps 2 --stages 2
    [ -z "$(without_warning <<<"$output" | grep -v '^\(first\|b\): ')" ] || { echo "$output" && false; }
    grep -q '^first: epoch 1/1  step 2/2 ' <<<"$output"
    grep -q '^b: done: 2 steps' <<<"$output"
    [ -f a.run/final.h5 ] && [ -f b.run/final.h5 ]
    grep -q '^epoch 1/1  step 2/2 ' b.run/log.txt
    ranks 2 --models first=a.h5,b.h5 --data data.h5 --steps 3 --json >out 2>err
    [ -z "$(without_warning <err)" ]
    [ "$(grep -c '"event":"end".*"name":"first"' out)" -eq 1 ]
    [ -z "$(grep -v '"name":"\(first\|b\)"' out)" ]
}

@test "lists that are wrong are refused with the remedy" {
    two_models
    mkdir more && cp a.h5 more/a.h5
    both 2 'file 2 of the list has no name' --models a.h5,,b.h5
    refused 2 'file 1 of the list has no name' 1 --models=
    refused 2 "'a.h5' is there twice; .*--ensemble" 1 --models a.h5,b.h5 --models a.h5
    refused 2 "would both be called a: .*a=a.h5,b=more/a.h5" 1 --models a.h5,more/a.h5
    refused 2 "put 'a.h5' into its list" 1 a.h5 --models b.h5
    refused 2 "'0' is not a whole number of at least 1" 1 a.h5 --ensemble 0
    refused 2 "'2x' is not a whole number" 1 a.h5 --ensemble 2x
    refused 2 '--ensemble is for one model' 1 --models a.h5 --ensemble 2
    refused 2 'no 2 seeds from 18446744073709551615' 1 a.h5 --ensemble 2 --seed 18446744073709551615
    refused 2 '-o names one file' 2 --models a.h5,b.h5 --data data.h5 -o out.h5
    refused 1 'cannot make the folder' 1 --models a.h5,b.h5 --data data.h5 --run a.h5
    refused 2 'mbrun eval' 1 eval --models a.h5,b.h5 --data data.h5
}

@test "predictions of several models have the bytes of each alone" {
    two_models
    for model in a b; do
        run -0 ranks 1 predict $model.h5 --data data.h5 -o $model.alone.h5
    done
    run -0 ranks 3 predict --models a.h5,b.h5 --data data.h5 -o answers --stages 2
    grep -q '^a: outputs: answers/a.h5' <<<"$output"
    for model in a b; do
        cmp answers/$model.h5 $model.alone.h5
    done
    refused 1 "missing: cannot open 'missing.h5'" 2 predict --models missing.h5,named=b.h5 --data data.h5 -o more
    cmp more/named.h5 b.alone.h5
    refused 2 'use -o FOLDER' 2 predict --models a.h5,b.h5 --data data.h5
}
