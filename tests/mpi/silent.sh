#!/bin/sh
# A rank that is stopped in the middle of a run: the report begins with it and says where it was,
# and all ranks end in time.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
. "$MB_SRCDIR/tests/support/processes.sh"

deadline=2
first= # the launcher that runs
trap '[ -z "$first" ] || kill "$first"; rm -rf "$scratch"' EXIT

has_children() {
    [ "$(children "$first" | wc -l)" -ge "$1" ]
}

# start RANKS COMMAND...: in the background, as $first.
start() {
    on=$1
    shift
    "$MPIEXEC" -n "$on" "$MBRUN" "$@" --deadline ${deadline}s --threads 1 >"$scratch/out" 2>&1 \
        </dev/null &
    first=$!
    become has_children "$on"
}

ended() {
    ! alive "$first"
}

# stop RANK: stops it, and waits for the end of the job.
stop() {
    ranks=$(children "$first")
    victim=$(echo "$ranks" | sed -n "$(($1 + 1))p")
    begun=$(now)
    kill -STOP "$victim"
    become ended || kill -KILL "$first"
    wait "$first"
    code=$?
    first=
    took=$(since "$begun")
    left=0
    for process in $ranks; do
        # The kernel takes a moment to end a process that was just killed.
        for _ in 1 2 3 4 5 6 7 8 9 10; do alive "$process" && sleep 0.1; done
        if alive "$process"; then left=1 && kill -KILL "$process"; fi
    done
    echo "# rank $1 stopped, $took s, code $code, left $left: $(grep 'mbrun: error' "$scratch/out")"
}

# reported RANK PLACE: code, one report that begins with the rank and its place and goes on with what every other
# rank waited for, or did, a line each; time, no one left.
reported() {
    place="rank $1 on [^ ]* has said nothing for [2-6] s; it was last $2"
    [ "$code" -eq 1 ] && [ "$left" -eq 0 ] &&
        [ "$(grep -c 'mbrun: error' "$scratch/out")" -eq 1 ] &&
        grep -Eqx "mbrun: error( \(rank 1\))?: $place" "$scratch/out" &&
        [ "$(grep -Eo '^  rank [0-9]+' "$scratch/out" | sort -u | wc -l)" -eq $((on - 1)) ] &&
        ! grep -q "^  rank $1 " "$scratch/out" &&
        awk -v took="$took" -v most=$((deadline + 5)) 'BEGIN { exit !(took <= most) }'
}

# worked RANK: it has used a second and a half of a processor, and so is past its start.
worked() {
    rank_pid=$(children "$first" | sed -n "$(($1 + 1))p")
    ticks=$(sed 's/.*) //' "/proc/$rank_pid/stat" | awk '{ print $12 + $13 }')
    [ "${ticks:-0}" -ge 150 ]
}

# A step of many micro-batches without checkpoints: hardly anything else happens, but for a moment between two steps.
for rank in 0 1 2; do
    rm -rf "$scratch/run.run"
    start 3 "$model" --data "$scratch/data.h5" --run "$scratch/run.run" --epochs 1000000 \
        --batch 640 --micro-batch 2 --stages 3 --schedule 1f1b --checkpoint-every 1000000 --trace &&
        become test -s "$scratch/run.run/metrics.jsonl" && become worked $rank &&
        stop $rank &&
        reported $rank "in stage $rank, (after step [1-9][0-9]*|step [1-9][0-9]*, .*(F|BW) of micro-batch [0-9]+(, layer '[^']*')?)"
    result $? "stopped in training, rank $rank is named with stage, step, action and micro-batch"
    trace=$scratch/run.run/trace.json
    "$MBRUN" trace "$trace" | grep -q '3 ranks, [1-9][0-9]* steps\{0,1\} ' &&
        ! grep -q "\"ph\":\"X\",\"pid\":$rank," "$trace" &&
        [ "$(grep -o '"ph":"X","pid":[0-2],' "$trace" | sort -u | wc -l)" -eq 2 ] &&
        ! ls "$scratch/run.run" | grep -q tmp
    result $? "the trace of the others is there"
done

# Wide layers and micro-batches of one sample: an evaluation that lasts.
samples=20000
printf '\0\0\10\3\0\0\116\040\0\0\0\034\0\0\0\034' >"$scratch/x-images-idx3-ubyte"
head -c $((samples * 784)) /dev/zero >>"$scratch/x-images-idx3-ubyte"
printf '\0\0\10\1\0\0\116\040' >"$scratch/x-labels-idx1-ubyte"
head -c $samples /dev/zero >>"$scratch/x-labels-idx1-ubyte"
"$MBRUN" new mlp hidden=2048,2048 -o "$scratch/wide.h5" >/dev/null
start 2 eval "$scratch/wide.h5" --data "$scratch/x-images-idx3-ubyte" --stages 2 --micro-batch 1 &&
    become worked 1 && stop 1 &&
    reported 1 "in stage 1, evaluation step [1-9][0-9]*, .*F of micro-batch [0-9]+(, layer '.*')?"
result $? "stopped in an evaluation of two ranks, rank 1 is named with stage, step and micro-batch"

# Groups that exchange nothing: the others have samples of their own for longer than the deadline.
start 3 predict "$scratch/wide.h5" --data "$scratch/x-images-idx3-ubyte" -o "$scratch/out.h5" \
    --batch 1 && become worked 2 && stop 2 &&
    reported 2 "in stage 0, .*F of micro-batch [0-9]+(, layer '.*')?" && [ ! -e "$scratch/out.h5" ]
result $? "stopped in a prediction of independent groups, rank 2 is named in time"

echo "1..$count"
