#!/bin/bash
# The batch scripts on a real Slurm: a signal gives a checkpoint and a requeue, the job goes on with
# another number of tasks, over one node and over two, and ends with the bits of a direct run.
. "$MB_SRCDIR/tests/slurm/cluster.sh"
. "$MB_SRCDIR/tests/slurm/jobs.sh"

jobs_begin
# shellcheck disable=SC2086
direct long $long_options
export MB_OPTIONS=$long_options
cluster_or_finish

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
    check "$script: the weights have the bits of the direct run" same_digests "${run##*/} long"
    show_log "$job"
}

scenario one-node.sbatch "$work/one" 4 2 NumTasks=2
scenario many-nodes.sbatch "$work/many" 4 4 JobName=again --nodes=2 --ntasks-per-node=2 \
    --cpus-per-task=1

stopped_for_good() {
    wait_until 120 steps_done "$work/capped" 20 &&
        timeout 20 scancel --batch --signal=USR1 "$job" && wait_until 120 state_is "$job" FAILED
}
job=$(MB_REQUEUES=0 submit many-nodes.sbatch "$work/capped" --nodes=2 --ntasks-per-node=2 \
    --cpus-per-task=1)
check "many-nodes.sbatch: past its cap of restarts the job ends instead of going round" stopped_for_good
show_log "$job"
job=$(submit many-nodes.sbatch "$work/capped" --nodes=2 --ntasks-per-node=1 --cpus-per-task=1)
check "many-nodes.sbatch: submitted again on 2 tasks it goes on and completes" \
    wait_until 500 state_is "$job" COMPLETED
check "many-nodes.sbatch: the weights have the bits of the direct run" same_digests "capped long"
show_log "$job"
finish
