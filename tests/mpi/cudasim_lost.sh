#!/bin/sh
# A rank on the simulated CUDA that is killed or stopped in the middle of a run, while others wait for its
# messages on their devices: all end in time, the launcher or one report of ours names the rank, and the same
# command then goes on to the bits of an undisturbed run.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
. "$MB_SRCDIR/tests/support/processes.sh"
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_DEVICES=4

deadline=3
fixtures=$MB_SRCDIR/tests/fixtures
first= # the launcher that runs
trap '[ -z "$first" ] || kill "$first"; rm -rf "$scratch"' EXIT

# launch TRANSPORT: two stages of two groups, in the background as $first.
launch() {
    "$MPIEXEC" -n 4 "$MBRUN" "$fixtures/shared.h5" --data "$fixtures/shared.ref.h5" \
        --run "$scratch/run.run" --device cudasim --transport "$1" --stages 2 --replicas 2 --batch 8 \
        --micro-batch 2 --steps 40 --checkpoint-every 5 --keep 1 --threads 1 --partition counted --quiet \
        --deadline ${deadline}s >"$scratch/out" 2>&1 </dev/null &
    first=$!
}

# finish: waits for the end of the launcher, up to 60 s.
finish() {
    become ended || kill -KILL "$first"
    wait "$first"
    code=$?
    first=
}

ended() {
    ! alive "$first"
}

has_steps() {
    [ "$(grep -c '"train"' "$scratch/run.run/metrics.jsonl")" -ge 10 ]
}

# disturb SIGNAL RANK
disturb() {
    become has_steps || return 1
    others=$(children "$first")
    begun=$(now)
    kill -"$1" "$(echo "$others" | sed -n "$(($2 + 1))p")"
    finish
    took=$(since "$begun")
    left=
    for process in $others; do
        for _ in 1 2 3 4 5 6 7 8 9 10; do alive "$process" && sleep 0.1; done
        if alive "$process"; then left="$left $process" && kill -KILL "$process"; fi
    done
    echo "# rank $2, signal $1: $took s, code $code, left:$left $(grep 'mbrun: error' "$scratch/out")"
}

# resumes TRANSPORT
resumes() {
    launch "$1"
    finish
    [ "$code" -eq 0 ] && [ "$(digests run)" = "$wanted" ]
}

# in_time SECONDS: ended with a code of its own, and no process is left.
in_time() {
    [ "$code" -ne 0 ] && [ -z "$left" ] &&
        awk -v took="$took" -v most="$1" 'BEGIN { exit !(took <= most) }'
}

for transport in nccl staged; do
    rm -rf "$scratch/run.run"
    launch $transport
    finish
    wanted=$(digests run)
    [ "$code" -eq 0 ] && [ -n "$wanted" ]
    result $? "$transport: an undisturbed run"
    rm -rf "$scratch/run.run"
    launch $transport && disturb KILL 2 && in_time 10 &&
        grep -q 'process rank 2 .*signal 9' "$scratch/out" && resumes $transport
    result $? "$transport: rank 2 is killed, the others end, and the run goes on to the same bits"
    stopped="0 3"
    [ $transport = nccl ] || stopped=3
    for rank in $stopped; do
        rm -rf "$scratch/run.run"
        launch $transport && disturb STOP $rank && in_time $((deadline + 10)) &&
            [ "$(grep -c 'mbrun: error' "$scratch/out")" -eq 1 ] &&
            grep -q "^mbrun: error.*: rank $rank on [^ ]* has said nothing for .*" "$scratch/out" &&
            resumes $transport
        result $? "$transport: rank $rank is stopped, one report names it, and the run goes on"
    done
done
echo "1..$count"
