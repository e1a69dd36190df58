#!/usr/bin/env bats
# Runs that stop by themselves, in time for a last checkpoint. How much in time is in test_time_limit,
# whose clock no other work disturbs.
load helper

@test "--max-time stops with 85 and a complete checkpoint, and the run goes on to the same bits" {
    fixture mlp
    options="--data data.h5 --replicas 2 --micro-batch 8 --threads 1 --checkpoint-every never"
    # shellcheck disable=SC2086
    run -85 ranks 2 model.h5 $options --epochs 100000 --max-time 1.5s --run parts.run
    echo "$output"
    grep -q '^note  *stops with a checkpoint in time before the end of --max-time 1.5s, in ' <<<"$output"
    [ "$(grep -c '^stopped .* the end of --max-time 1.5s (a step took up to .*, a checkpoint .*) after step [0-9]* of' \
        <<<"$output")" -eq 1 ]
    step=$(field step parts.run/metrics.jsonl)
    [ -f "parts.run/step-$(printf %08d "$step").h5" ]
    # shellcheck disable=SC2086
    ranks 1 model.h5 $options --steps $((step + 3)) --run parts.run --quiet --max-time 1h
    # shellcheck disable=SC2086
    ranks 1 model.h5 $options --steps $((step + 3)) --run whole.run --quiet
    [ "$(digest whole.run/final.h5)" = "$(digest parts.run/final.h5)" ]
}

@test "a run stops in time before the end of its batch job, whichever end is nearer" {
    fixture mlp
    export SLURM_JOB_END_TIME=$(($(date +%s) + 11))
    run -85 ranks 1 model.h5 --data data.h5 --epochs 100000 --max-time 1-00:00:00
    grep -q "^stopped .* before the job's end (" <<<"$output"
    SLURM_JOB_END_TIME=$(($(date +%s) + 86400))
    run -85 ranks 1 model.h5 --data data.h5 --epochs 100000 --max-time 1s
    grep -q '^stopped .* the end of --max-time 1s (' <<<"$output"
}

@test "several models stop in time together" {
    fixture mlp
    run -85 ranks 1 model.h5 --data data.h5 --epochs 100000 --max-time 1.5s --ensemble 2
    [ "$(grep -c '^seed-[01]: stopped .* --max-time 1.5s' <<<"$output")" -eq 2 ]
    "$MBRUN" inspect --verify "$(ls model.run/seed-1/step-*.h5 | tail -n 1)"
}

@test "a time without a unit is refused, since Slurm would mean minutes" {
    both 2 "'90' is not a time: 90s, 30min, 2h, 1-12:00:00" model.h5 --max-time 90
    refused 2 "do you mean '--max-time'" 1 model.h5 --maxtime 90s
}
