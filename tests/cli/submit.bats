#!/usr/bin/env bats
# mbrun submit: the script that it makes of a plan, and how it is handed over. A real Slurm takes one in
# tests/slurm/scripts.sh.
load helper

# fake CODE: an sbatch that keeps what it was called with.
fake() {
    mkdir -p bin
    printf '#!/bin/sh\necho "$*" >"%s/called"\necho "417;cluster"\nexit %s\n' "$PWD" "$1" >bin/sbatch
    chmod +x bin/sbatch
    PATH=$PWD/bin:$PATH
}

@test "wrong usage is said, with the ways out" {
    fixture mlp
    refused 2 "submit wants how long the job may take: --time 24h" 1 submit model.h5 --nodes 2
    refused 2 "do you mean '--nodes'" 1 submit model.h5 --node 2 --time 1h
    refused 2 "--nodes: '0' is not a whole number from 1" 1 submit model.h5 --nodes 0 --time 1h
    refused 2 "--time: '24' is not a time: 90min" 1 submit model.h5 --time 24
    refused 2 "7 ranks do not share out evenly over 2 nodes: use --ranks 8" 1 submit model.h5 \
        --nodes 2 --ranks 7 --time 1h
    refused 2 "not srun or mpirun: do you mean srun" 1 submit model.h5 --time 1h --launcher srn
    refused 2 "submit has no option '--restart'" 1 submit model.h5 --time 1h --restart
    refused 1 "nowhere.h5" 1 submit nowhere.h5 --time 1h
}

@test "--dry-run shows a script of the plan's layout, and leaves nothing" {
    fixture mlp
    run -0 "$MBRUN" submit model.h5 --data data.h5 --nodes 2 --gpus-per-node 4 --time 1h30min \
        --partition gpu --sbatch=--qos=long --epochs 3 --seed 7 --no-shuffle --keras-optimizer \
        --quiet --batch 64 --dry-run
    echo "$output"
    grep -v '^==[0-9]*==' <<<"$output" | bash -n # a sanitizer warns of fibers
    for line in '--nodes=2' '--ntasks-per-node=4' '--gpus-per-node=4' '--time=01:30:00' '--partition=gpu' \
        '--qos=long' '--requeue' '--job-name=model'; do
        grep -q "^#SBATCH $line\b" <<<"$output" || { echo "no $line"; return 1; }
    done
    grep -q "^exec $MBRUN supervise --requeue 50 --max-restarts 3 -- " <<<"$output"
    for option in --data=data.h5 --epochs=3 --seed=7 --shuffle=none --keras-optimizer --quiet --batch=64; do
        grep -q -- "^    $option\b" <<<"$output" || { echo "no $option"; return 1; }
    done
    # The first layout of mbrun plan.
    "$MBRUN" plan model.h5 --data data.h5 --ranks 8 --batch 64 --json >plan.json
    for key in stages replicas micro_batch; do
        value=$(sed "s/.*\"best\":\[{//; s/.*\"$key\":\([0-9]*\).*/\1/; t; d" plan.json)
        [ "$(sed "s/.*\"best\":\[{\([^}]*\)}.*/\1/; s/.*\"$key\":\([0-9]*\).*/\1/" plan.json)" = \
            "$(sed -n "s/^    --$(tr _ - <<<$key)=\([0-9]*\).*/\1/p" <<<"$output")" ] || { echo "$key"; return 1; }
    done
    [ ! -e model.sbatch ]
}

@test "words that a shell would take apart stay whole" {
    fixture mlp
    cp data.h5 "it's data.h5"
    run -0 "$MBRUN" submit model.h5 --data "it's data.h5" --ranks 2 --time 1h --dry-run
    echo "$output"
    sed -n '/^exec/,$p' <<<"$output" | sed 's/^exec [^ ]*/printf "<%s>"/' >words
    bash words | grep -qF "<--data=it's data.h5>"
}

@test "mpirun may start the ranks" {
    fixture mlp
    run -0 "$MBRUN" submit model.h5 --data data.h5 --ranks 2 --cpus-per-task 3 --launcher mpirun \
        --time 1h --dry-run
    grep -q '^    mpirun -np 2 --map-by slot:PE=3' <<<"$output"
}

@test "the script is written and submitted, and the job's number said" {
    fixture mlp
    fake 0
    run -0 "$MBRUN" submit model.h5 --data data.h5 --ranks 2 --time 1h
    echo "$output"
    [ "$(cat called)" = '--parsable model.sbatch' ]
    grep -q '^job 417, script model.sbatch$' <<<"$output"
    grep -q 'tail -f model-417.log' <<<"$output"
    grep -q 'scancel 417;' <<<"$output"
    bash -n model.sbatch
    # Again, over its own script; another's is left alone.
    run -0 "$MBRUN" submit model.h5 --data data.h5 --ranks 4 --time 1h
    grep -q -- '--ntasks=4' model.sbatch
    echo 'echo mine' >own.sbatch
    run -1 "$MBRUN" submit model.h5 --data data.h5 --ranks 2 --time 1h -o own.sbatch
    grep -q 'own.sbatch.* was not written by mbrun submit' <<<"$output"
    [ "$(cat own.sbatch)" = 'echo mine' ]
}

@test "without sbatch, or refused by it, the script is left and its place said" {
    fixture mlp
    mkdir empty
    PATH=$PWD/empty run -1 "$MBRUN" submit model.h5 --data data.h5 --ranks 2 --time 1h
    echo "$output"
    grep -q '^mbrun: error: sbatch is not installed here: the script is in model.sbatch' <<<"$output"
    [ -s model.sbatch ]
    fake 1
    run -1 "$MBRUN" submit model.h5 --data data.h5 --ranks 2 --time 1h -o other.sbatch
    grep -q 'sbatch ended with exit code 1: the script is in other.sbatch' <<<"$output"
}

@test "a run that was begun keeps its replicas and micro-batches" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 1 --replicas 3 --micro-batch 5 --batch 30 --quiet
    run -0 "$MBRUN" submit model.h5 --data data.h5 --ranks 6 --time 1h --steps 2 --dry-run
    echo "$output"
    run ! grep -q -- '--replicas\|--micro-batch' <<<"$output"
    run -0 "$MBRUN" submit model.h5 --data data.h5 --ranks 6 --time 1h --steps 2 --dry-run
    grep -q ' x 3 replicas' <<<"$output"
}
