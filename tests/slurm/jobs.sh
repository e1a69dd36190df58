# Sourced by the tests of batch scripts, behind cluster.sh: a model and its data, direct runs, jobs.

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

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

make_inputs() {
    "$MBRUN" new mlp -o "$MB_MODEL" hidden=1024,1024 &&
        "$MBRUN" data "$images/t10k-images-idx3-ubyte.gz" "$images/t10k-labels-idx1-ubyte.gz" \
            -o "$MB_DATA"
}

# Skips where there is no Slurm, and makes what all jobs are started with.
jobs_begin() {
    reason=$(cluster_missing)
    [ -z "$reason" ] || skip_all "$reason"
    PATH=$PATH:/usr/sbin:/sbin
    images=${MB_FASHION_MNIST-/usr/share/datasets/fashion-mnist}
    [ -f "$images/t10k-images-idx3-ubyte.gz" ] ||
        skip_all "no Fashion-MNIST in $images (package dataset-fashion-mnist)"
    work=$(mktemp -d "${TMPDIR:-/tmp}/mb-slurm.XXXXXX")
    trap 'cluster_stop; rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM
    export MBRUN MB_MODEL=$work/model.h5 MB_DATA=$work/train.h5
    # Few long steps: on cores that other tests use too, ranks wait for each other once a step, longer than they compute.
    long_options="--steps 150 --batch 256 --replicas 4 --seed 3 --checkpoint-every 50 --quiet"
    if ! make_inputs >"$work/inputs.log" 2>&1; then
        sed 's/^/# /' "$work/inputs.log"
        check "the model and the data are made" false
        finish
    fi
}

cluster_or_finish() {
    cluster_start "$work/slurm" && return
    sed 's/^/# /' "$work/slurm/daemons.log" "$work/slurm/slurmctld.log" | tail -n 40
    check "slurmctld and two slurmd come up" false
    finish
}

digest() { "$MBRUN" inspect --digest "$1/final.h5"; }
final() { [ -e "$1/final.h5" ]; }

# direct NAME OPTION...: an uninterrupted run on one rank.
direct() {
    direct=$1
    shift
    "$MBRUN" "$MB_MODEL" --data "$MB_DATA" --run "$work/direct-$direct" --quiet "$@" >"$work/direct.log" 2>&1
    check "a direct run on one rank ends ($direct)" final "$work/direct-$direct"
}

# same_digests "RUN DIRECT"...: whether the runs in the folder have the bits of the direct ones.
same_digests() {
    for pair; do
        wanted=$(digest "$work/direct-${pair#* }")
        [ -n "$wanted" ] && [ "$(digest "$work/${pair% *}")" = "$wanted" ] || return 1
    done
}

field() { timeout 20 scontrol show job "$1" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
state_is() { [ "$(field "$1" JobState)" = "$2" ]; }
steps_done() { [ "$(cat "$1/metrics.jsonl" 2>/dev/null | wc -l)" -ge "$2" ]; }
requeued() { state_is "$1" PENDING && [ "$(field "$1" Restarts)" = 1 ]; }
no_chain() { [ -z "$(timeout 20 squeue -h --name=mbrun-chain 2>/dev/null)" ]; }

# submit SCRIPT RUN OPTION...: prints the job's number.
submit() {
    script=$1
    run=$2
    shift 2
    MB_RUN=$run timeout 20 sbatch --parsable --chdir="$work" --output="$work/%j.log" "$@" \
        "$MB_SRCDIR/slurm/$script"
}

# completes NAME JOB RUN DIRECT
completes() {
    # Ranks on cores that other tests use too mostly wait for each other.
    check "$1: the job completes" wait_until 500 state_is "$2" COMPLETED
    check "$1: the weights have the bits of the direct run" same_digests "$3 $4"
}

show_logs() {
    for log in "$work"/*.log; do
        echo "# ${log##*/}"
        sed 's/^/# /' "$log" | tail -n "${1:-25}"
    done
}
