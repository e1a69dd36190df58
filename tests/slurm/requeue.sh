#!/bin/bash
# The batch scripts on a real Slurm: a signal gives a checkpoint and a requeue, the job goes on with
# another number of tasks, over one node and over two, and ends with the bits of a direct run.
. "$MB_SRCDIR/tests/slurm/cluster.sh"

reason=$(cluster_missing)
if [ -n "$reason" ]; then
    echo "1..0 # SKIP $reason"
    exit 0
fi
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-slurm.XXXXXX")
trap 'cluster_stop; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

count=0
check() {
    name=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
    fi
}

finish() {
    echo "1..$count"
    exit 0
}

export MBRUN MB_MODEL=$work/model.h5 MB_DATA=$work/train.h5
# Few long steps: on cores that other tests use too, ranks wait for each other once a step, longer than they compute.
export MB_OPTIONS="--steps 150 --batch 256 --replicas 4 --seed 3 --checkpoint-every 50 --quiet"

make_inputs() {
    "$MBRUN" new mlp -o "$MB_MODEL" hidden=1024,1024 &&
        "$MBRUN" data "$images/t10k-images-idx3-ubyte.gz" "$images/t10k-labels-idx1-ubyte.gz" \
            -o "$MB_DATA"
}

digest() { "$MBRUN" inspect --digest "$1/final.h5"; }

field() { timeout 20 scontrol show job "$1" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
state_is() { [ "$(field "$1" JobState)" = "$2" ]; }
steps_done() { [ "$(cat "$1/metrics.jsonl" 2>/dev/null | wc -l)" -ge "$2" ]; }
requeued() { state_is "$1" PENDING && [ "$(field "$1" Restarts)" = 1 ]; }

# submit SCRIPT RUN OPTIONS...: prints the job's number.
submit() {
    script=$1
    run=$2
    shift 2
    MB_RUN=$run timeout 20 sbatch --parsable --chdir="$work" --output="$work/%j.log" "$@" \
        "$MB_SRCDIR/slurm/$script"
}

show_log() { sed 's/^/# /' "$work/$1.log" 2>/dev/null | tail -n 40; }

# A requeued job waits some seconds for its old credentials to expire: time to change its size.
stopped_and_resized() {
    job=$1
    run=$2
    resize=$3
    wait_until 120 steps_done "$run" 20 || return 1
    timeout 20 scancel --batch --signal=USR1 "$job" || return 1
    wait_until 120 requeued "$job" || return 1
    timeout 20 scontrol update JobId="$job" "$resize"
}

same_digest() { [ -n "$wanted" ] && [ "$(digest "$1")" = "$wanted" ]; }

images=${MB_FASHION_MNIST-/usr/share/datasets/fashion-mnist}
if [ ! -f "$images/t10k-images-idx3-ubyte.gz" ]; then
    echo "1..0 # SKIP no Fashion-MNIST in $images (package dataset-fashion-mnist)"
    exit 0
fi

if ! make_inputs >"$work/inputs.log" 2>&1; then
    sed 's/^/# /' "$work/inputs.log"
    check "the model and the data are made" false
    finish
fi
# shellcheck disable=SC2086
"$MBRUN" "$MB_MODEL" --data "$MB_DATA" --run "$work/direct" $MB_OPTIONS >"$work/direct.log" 2>&1
wanted=$(digest "$work/direct")
check "a direct run on one rank ends" test -n "$wanted"

if ! cluster_start "$work/slurm"; then
    sed 's/^/# /' "$work/slurm/daemons.log" "$work/slurm/slurmctld.log" | tail -n 40
    check "slurmctld and two slurmd come up" false
    finish
fi

# scenario SCRIPT RUN FIRST-TASKS THEN-TASKS RESIZE OPTIONS...
scenario() {
    script=$1
    run=$2
    first=$3
    then=$4
    resize=$5
    shift 5
    job=$(submit "$script" "$run" "$@")
    check "$script: a signal on $first tasks gives a checkpoint and a requeue" \
        stopped_and_resized "$job" "$run" "$resize"
    # Ranks on cores that other tests use too mostly wait for each other.
    check "$script: the job completes on $then tasks" wait_until 500 state_is "$job" COMPLETED
    check "$script: the second slot had $then tasks" grep -q " $then tasks, restart 1" "$work/$job.log"
    check "$script: the weights have the bits of the direct run" same_digest "$run"
    show_log "$job"
}

scenario one-node.sbatch "$work/one" 4 2 NumTasks=2
scenario many-nodes.sbatch "$work/many" 4 4 JobName=again --nodes=2 --ntasks-per-node=2 \
    --cpus-per-task=1

stopped_for_good() {
    wait_until 120 steps_done "$work/capped" 20 &&
        timeout 20 scancel --batch --signal=USR1 "$job" && wait_until 120 state_is "$job" FAILED
}
job=$(MB_MAX_RESTARTS=0 submit many-nodes.sbatch "$work/capped" --nodes=2 --ntasks-per-node=2 \
    --cpus-per-task=1)
check "many-nodes.sbatch: past its cap of restarts the job ends instead of going round" stopped_for_good
show_log "$job"
job=$(submit many-nodes.sbatch "$work/capped" --nodes=2 --ntasks-per-node=1 --cpus-per-task=1)
check "many-nodes.sbatch: submitted again on 2 tasks it goes on and completes" \
    wait_until 500 state_is "$job" COMPLETED
check "many-nodes.sbatch: the weights have the bits of the direct run" same_digest "$work/capped"
show_log "$job"
finish
