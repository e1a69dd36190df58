#!/usr/bin/env bats
# Models whose layers keep states from batch to batch: 8 rows of them, and 48 samples.
load helper

stateful() {
    "$MB_BUILDDIR/tests/cli/samples"
    cp "$MB_SRCDIR/tests/data/stateful.h5" model.h5 && chmod u+w model.h5
}

@test "a stateful model is trained in its own batches, in the data's order" {
    stateful
    run -0 ranks 1 model.h5 --data s.h5 --epochs 2
    grep -q 'taken in the data.s order, as with --shuffle none' <<<"$output"
    grep -q '"batch": 8' model.run/plan.json
    ranks 1 model.h5 --data s.h5 --epochs 2 --quiet --batch 8 --no-shuffle --run same.run
    ranks 1 model.h5 --data s.h5 --epochs 2 --quiet --shuffle full --run other.run
    [ "$(digest model.run/final.h5)" = "$(digest same.run/final.h5)" ]
    [ "$(digest model.run/final.h5)" != "$(digest other.run/final.h5)" ]
}

@test "a run that was stopped goes on with its states on another layout" {
    stateful
    how="--data s.h5 --quiet --replicas 3 --micro-batch 2 --val s.h5"
    ranks 1 model.h5 $how --steps 10 --run whole.run
    ranks 3 model.h5 $how --steps 4 --stages 1 --run parts.run
    ranks 2 model.h5 $how --steps 7 --stages 2 --schedule gpipe --run parts.run
    ranks 1 model.h5 $how --steps 10 --run parts.run
    [ "$(digest whole.run/final.h5)" = "$(digest parts.run/final.h5)" ]
    # Validation has states of its own.
    ranks 1 model.h5 ${how% --val s.h5} --steps 10 --run alone.run
    [ "$(digest whole.run/final.h5)" = "$(digest alone.run/final.h5)" ]
}

@test "states are zeros again in each epoch where that is asked for" {
    stateful
    for when in never epoch; do
        ranks 2 model.h5 --data s.h5 --epochs 1 --quiet --replicas 2 --micro-batch 4 --reset-states $when --run $when.run
    done
    [ "$(digest never.run/final.h5)" = "$(digest epoch.run/final.h5)" ]
    for when in never epoch; do
        ranks 2 model.h5 --data s.h5 --epochs 2 --quiet --replicas 2 --micro-batch 4 --reset-states $when --run $when.run
    done
    [ "$(digest never.run/final.h5)" != "$(digest epoch.run/final.h5)" ]
    both 2 'there are never and epoch' model.h5 --data s.h5 --reset-states weekly --run a.run
    fixture mlp
    both 2 'has no layer that keeps states' model.h5 --data data.h5 --reset-states epoch --run b.run
}

@test "batches that are not the model's are refused" {
    stateful
    both 2 'batch=16: the model keeps states for 8 rows' model.h5 --data s.h5 --batch 16
    head -n 46 s.csv >part.csv
    both 1 '45 samples are not whole batches of 8' model.h5 --data part.csv --label kind
    both 1 '45 samples are not whole batches of 8' model.h5 --data s.csv --label kind --val part.csv
    both 1 '45 samples are not whole batches of 8' eval model.h5 --data part.csv --label kind
    both 1 '45 samples are not whole batches of 8' predict model.h5 --data part.csv --label kind -o p.h5
    both 2 'batch=16: the model keeps states for 8 rows' eval model.h5 --data s.h5 --batch 16
}

# Each array lies on 64 bytes: 512 for the weights, as much for each moment, 128 for a state of 8 rows of 3.
@test "the copy that checkpoints are written from is counted with states, and has the bytes" {
    stateful
    for mode in sync async; do
        ranks 1 model.h5 --data s.h5 --quiet --steps 4 --replicas 1 --checkpoint-every 1 --keep 9 \
            --checkpoint-mode $mode --run $mode.run
        planned[${#mode}]=$(grep -o '"planned": [0-9]*' $mode.run/plan.json | grep -o '[0-9]*')
    done
    [ $((planned[5] - planned[4])) -eq $((3 * 512 + 128)) ]
    for step in 1 2 3; do
        cmp {sync,async}.run/step-0000000$step.h5
    done
}
