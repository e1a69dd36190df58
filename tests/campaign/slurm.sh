#!/bin/bash
# Batch jobs on a real Slurm, in the long form: a limit of one minute, and at random moments signals to the
# script and to the ranks, a killed rank or a requeue by somebody else, on 1, 2 or 4 tasks; every run comes
# to the bits of a direct one. Run in the build folder:
#
#     bash ../tests/campaign/slurm.sh RESULTS [ROUNDS] [SEED]
#
# RESULTS gets a line a round and is gone on from: rounds that it has are not done again.
cd "${MB_BUILDDIR:-.}" || exit 1
MB_BUILDDIR=$PWD
MB_SRCDIR=${MB_SRCDIR-$(sed -n 's/^abs_top_srcdir = //p' Makefile)}
MBRUN=$PWD/mbrun
export MB_BUILDDIR MB_SRCDIR MBRUN
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/slurm/cluster.sh"
. "$MB_SRCDIR/tests/slurm/jobs.sh"
results=${1:?name a file for the results}
rounds=${2:-20}
seed=${3:-1}

jobs_begin
# Longer than a minute, for the limit.
options="--steps ${MB_SLURM_STEPS-4000} --batch 256 --replicas 4 --seed 3 --checkpoint-every 100 --quiet"
# shellcheck disable=SC2086
direct rounds $options
cluster_or_finish
export MB_OPTIONS=$options

# What the round's number and the seed make of it; the same on any machine.
random() { echo "$seed $round $1" | cksum | cut -d ' ' -f 1; }
tasks_of() { echo $((1 << $(random tasks) % 3)); }

ranks_of() { # JOB: processes of its ranks
    for environ in /proc/[0-9]*/environ; do
        tr '\0' '\n' 2>/dev/null <"$environ" | grep -q "^SLURM_JOB_ID=$1$" || continue
        process=${environ#/proc/}
        process=${process%/environ}
        tr '\0' '\n' 2>/dev/null <"$environ" | grep -q '^PMIX_RANK=' && echo "$process"
    done
}

# One disturbance of a job that runs, when it has made some more steps.
disturb() {
    wait_until 300 steps_done "$run" $((1 + $(random wait) % (${MB_SLURM_STEPS-4000} / 4))) || return 0
    case $1 in
    signal) timeout 20 scancel --batch --signal=USR1 "$job" ;;
    term) timeout 20 scancel --signal=TERM "$job" ;;
    rank) kill -KILL "$(ranks_of "$job" | shuf -n 1 --random-source=<(yes "$seed $round"))" 2>/dev/null ;;
    requeue) timeout 20 scontrol requeue "$job" ;;
    limit) ;; # of a minute: nothing to do but to wait
    esac
}

round() {
    run=$work/round-$round
    rm -rf "$run"
    how=$(echo "signal term rank requeue limit" | cut -d ' ' -f $((1 + $(random how) % 5)))
    limit=
    [ $how != limit ] || limit=--time=1
    script=$([ $(($(random script) % 2)) -eq 0 ] && echo one-node.sbatch || echo preemptible.sbatch)
    job=$(submit $script "$run" --ntasks="$(tasks_of)" $limit)
    disturb $how
    wait_until 900 ended || { echo "$round $how $script job $job does not end" && return; }
    until final "$run" || [ "$(state)" = COMPLETED ]; do
        [ "$((again = again + 1))" -le 5 ] || break
        job=$(submit $script "$run" --ntasks=$((1 + again % 4)))
        wait_until 900 ended
    done
    verdict=bits
    same_digests "round-$round rounds" || verdict=OTHER
    echo "$round $how $script $verdict restarts $(grep -c 'start [0-9]*: srun' "$work"/*.log | awk -F: '{ n += $2 } END { print n }')"
}
state() { field "$job" JobState; }
ended() { case $(state) in COMPLETED | FAILED | CANCELLED | TIMEOUT | '') true ;; *) false ;; esac; }

touch "$results"
round=1
while [ $round -le "$rounds" ]; do
    again=0
    grep -q "^$round " "$results" || round | tee -a "$results"
    rm -f "$work"/[0-9]*.log
    round=$((round + 1))
done
bad=$(grep -vc ' bits ' "$results")
check "of $rounds rounds all came to the bits of the direct run (seed $seed)" test "$bad" -eq 0
finish
