#!/bin/sh
# A rank that computes for a third of the time only: the run says which, on which host, by how much and since when;
# and says nothing of ranks whose stages are uneven.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
. "$MB_SRCDIR/tests/support/processes.sh"

launcher= braker=
trap '[ -z "$braker" ] || kill "$braker"; [ -z "$launcher" ] || kill "$launcher"; rm -rf "$scratch"' EXIT

# brake PROCESS: it runs 10 ms of every 30.
brake() {
    while kill -STOP "$1"; do
        sleep 0.02
        kill -CONT "$1"
        sleep 0.01
    done 2>/dev/null
}

has_steps() {
    [ "$(wc -l <"$scratch/run.run/metrics.jsonl")" -ge "$1" ]
}

warned() {
    grep -q 'warning: rank 0 ' "$scratch/run.run/log.txt"
}

# Signs of life come five times a deadline, and five of them are a window. The first stage has nearly all of the work.
"$MPIEXEC" -n 2 "$MBRUN" "$model" --data "$scratch/data.h5" --run "$scratch/run.run" --stages 2 --partition counted \
    --batch 64 --micro-batch 4 --epochs 1000000 --threads 1 --deadline 1.5s --json \
    --checkpoint-every 1000000 >"$scratch/out" 2>&1 </dev/null &
launcher=$!
become test -s "$scratch/run.run/metrics.jsonl" && sleep 5
! grep 'warning: rank' "$scratch/run.run/log.txt"
result $? "of uneven stages none straggles"

victim=$(children "$launcher" | sed -n 1p)
brake "$victim" &
braker=$!
become warned
kill "$braker"
braker=
kill -CONT "$victim"
warning=$(grep 'warning: rank 0 ' "$scratch/run.run/log.txt" | head -n 1)
echo "# $warning"
echo "$warning" | grep -Eq '^warning: rank 0 on [^ ]+ \(stage 0\) takes [1-9][0-9.]* times as long for its part of a step as before, since step [1-9][0-9]*, [0-9.]+ m?s ago; the other ranks wait [1-9][0-9]* % of their time$'
result $? "a rank that is slowed down is named, with host, stage, factor and the step since when"
grep -Eq '^\{"event":"straggler","rank":0,"host":"[^"]+","stage":0,"factor":[1-9]' "$scratch/out"
result $? "and in the lines of JSON"
[ "$(grep -c 'warning: rank 0 ' "$scratch/run.run/log.txt")" -eq 1 ]
result $? "it is told of once"
kill -USR1 "$launcher" && wait "$launcher"
[ $? -eq 85 ]
result $? "the run goes on, and stops on request"
launcher=
echo "1..$count"
