# Sourced by scripts that make the states which a crash may leave of a run that saves, and go on from them
# (tests/mpi/crash_states.c). The runs are those of failing_lib.sh.
#
#     record SCENARIO                     runs it, and records what it does to its files
#     states SCENARIO SEED COUNT [EVERY]  checks the states; every EVERY-th is kept as a sample
#     syncs SCENARIO                      looks for syncs without which nothing breaks
#     samples SCENARIO                    the numbers of the samples
#     resume SCENARIO NUMBER              starts the run again from a sample; true when all is as it should be,
#                                         else $why says what is not
SHIM=$MB_BUILDDIR/tests/support/recording_io.so
. "$MB_SRCDIR/tests/mpi/failing_lib.sh"
crash_scenarios="start start2 again again2 restart"

# Thousands of states are written and synced: into memory, where there is a file system of that.
laid=$(mktemp -d /dev/shm/mb-crash.XXXXXX 2>/dev/null) || { laid=$scratch/laid && mkdir "$laid"; }
trap 'rm -rf "$scratch" "$laid"' EXIT

record() {
    prepare "$1"
    rm -rf "$scratch/$1.before" "$scratch/$1.record"
    cp -r "$work" "$scratch/$1.before"
    launch "$1" env LD_PRELOAD="$SHIM" MB_RECORD_DIR="$work" MB_RECORD_LOG="$scratch/$1.record" ||
        { echo "$1 fails by itself: $(tail -n 5 "$scratch/err" | tr '\n' ' ')" && return 1; }
    digest >"$scratch/reference.$1"
}

# The run directory's name; with --restart what lies there is another run's.
run_of() {
    case $1 in
    restart*) echo =run ;;
    *) echo run ;;
    esac
}

states() {
    rm -rf "$scratch/$1.samples" "${laid:?}"/*
    mkdir "$scratch/$1.samples"
    "$MB_BUILDDIR/tests/mpi/crash_states" states "$scratch/$1.record" "$scratch/$1.before" "$laid" \
        "$(run_of "$1")" "$2" "$3" "${4-0}" "$scratch/$1.samples"
}

syncs() {
    "$MB_BUILDDIR/tests/mpi/crash_states" syncs "$scratch/$1.record" "$scratch/$1.before" "$laid" \
        "$(run_of "$1")" 0 0
}

samples() {
    ls "$scratch/$1.samples" | sort -n
}

# One line for each step, in order.
steps_in_log() {
    sed -n 's/.*"step": \([0-9]*\).*/\1/p' "$work/run/metrics.jsonl" | tr '\n' ' '
}

resume() {
    why=
    rm -rf "$work"
    cp -r "$scratch/$1.samples/$2" "$work"
    check_next "$1"
    [ "$(steps_in_log)" = "$(seq -s ' ' $steps) " ] || find_fault "metrics.jsonl has steps $(steps_in_log)"
    [ -z "$why" ]
}
