#!/bin/sh
# Random SIGKILLs of ranks, at random instants or while a checkpoint is written; the run is started again,
# killed again, and then left to end: to the same bits, with one line of metrics for each step and nothing
# temporary left.
#
#     tests/campaign/kills.sh RESULTS FIRST LAST
#
# in a build folder; MB_SRCDIR names the sources (default: the folder above). The cases have the numbers
# FIRST to LAST, which are their seeds. RESULTS gets a line for each, and cases that have one are left out: the
# campaign goes on where it was stopped. Prints a Markdown table, and what failed.
[ $# -eq 3 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
results=$1
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/support/processes.sh"
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-kills.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
touch "$results"

# A number below $2 that follows from the case's seed and a word.
draw() {
    echo "$seed $1" | cksum | awk -v most="$2" '{ print $1 % most }'
}

cp "$MB_SRCDIR/tests/fixtures/mlp.h5" "$scratch/model.h5"
cp "$MB_SRCDIR/tests/fixtures/mlp.ref.h5" "$scratch/data.h5"
mkdir "$scratch/ranks"
steps=24

# start RANKS RUN: as many stages as the model has room for, the rest in groups. Each rank leaves its process' number.
start() {
    rm -f "$scratch"/ranks/*
    # shellcheck disable=SC2016 -- the rank's own shell expands it
    timeout -k 5 300 "$MPIEXEC" -n "$1" sh -c 'echo $$ >"$0/ranks/$$" && exec "$@"' "$scratch" \
        "$MBRUN" "$scratch/model.h5" --data "$scratch/data.h5" --run "$2" --threads 1 --quiet --batch 32 \
        --replicas 2 --stages $(($1 < 3 ? $1 : 2)) --steps $steps --checkpoint-every 2 --keep 2 \
        >"$scratch/out" 2>&1 </dev/null
}

find_fault() {
    [ -n "$why" ] || why=$1
}

# Mostly few: more ranks than cores are slow.
draw_ranks() {
    echo 1 1 2 2 2 2 3 4 | cut -d ' ' -f $((1 + $(draw "ranks $1" 8)))
}

# The bits, which are the same on any number of ranks, and what a run takes on so many, in milliseconds.
reference() {
    [ ! -e "$scratch/milliseconds.$1" ] || return 0
    begun=$(now)
    start "$1" "$scratch/reference" || { echo "a run on $1 ranks fails: $(cat "$scratch/out")" && exit 1; }
    since "$begun" | awk '{ print int(1000 * $1) }' >"$scratch/milliseconds.$1"
    "$MBRUN" inspect --digest "$scratch/reference/final.h5" >"$scratch/digest"
    rm -rf "$scratch/reference"
}

pause() {
    sleep "$(awk -v m="$1" 'BEGIN { print m / 1000 }')"
}

# wait_for_save JOB ROUND: until some checkpoint is being written, and some milliseconds more.
wait_for_save() {
    saved=$(draw "saved $2" $((steps / 2)))
    while alive "$1"; do
        [ "$(find "$scratch/run" -name 'step-*.tmp-*' 2>/dev/null | wc -l)" -eq 0 ] || saved=$((saved - 1))
        [ $saved -ge 0 ] || break
        sleep 0.01
    done
    pause "$(draw "after $2" 12)"
}

# kill_once ROUND: starts on 1 to 4 ranks and kills one of them, or all; at some time, or in a save.
kill_once() {
    ranks=$(draw_ranks "$1")
    reference "$ranks"
    start "$ranks" "$scratch/run" &
    job=$!
    if [ "$(draw "how $1" 2)" -eq 0 ]; then
        when="$(draw "delay $1" "$(cat "$scratch/milliseconds.$ranks")") ms"
        pause "${when% ms}"
    else
        when="a save"
        wait_for_save $job "$1"
    fi
    all=$(ls "$scratch/ranks")
    chosen=$(echo "$all" | sed -n "$((1 + $(draw "victim $1" $((ranks + 1)))))p")
    # shellcheck disable=SC2086 -- one word for each
    kill -KILL ${chosen:-$all} 2>/dev/null && kills=$((kills + 1))
    wait $job
    [ $? -ne 124 ] || find_fault "round $1 on $ranks ranks hangs"
    told="$told $ranks at $when,"
}

check_end() {
    ranks=$(draw_ranks last)
    start "$ranks" "$scratch/run" || find_fault "the last start fails: $(tr '\n' ' ' <"$scratch/out")"
    reference "$ranks"
    "$MBRUN" inspect --digest "$scratch/run/final.h5" 2>/dev/null | cmp -s - "$scratch/digest" ||
        find_fault "it has other bits"
    left=$(find "$scratch/run" -name '*.tmp*' -o -name lease)
    [ -z "$left" ] || find_fault "$left is left"
    had=$(sed -n 's/.*"step": \([0-9]*\).*/\1/p' "$scratch/run/metrics.jsonl" | tr '\n' ' ')
    [ "$had" = "$(seq -s ' ' $steps) " ] || find_fault "metrics.jsonl has steps $had"
}

# try SEED: one run, killed one to four times.
try() {
    seed=$1 why= told= kills=0
    grep -q "^$seed: " "$results" && return
    rm -rf "$scratch/run"
    for round in $(seq $((1 + $(draw rounds 4)))); do
        kill_once "$round"
    done
    check_end
    echo "$seed: ${why:-ok} ($kills kills:${told%,})" | tr '\n' ' ' | sed 's/ *$//' >>"$results"
    echo >>"$results"
}

for case in $(seq "$2" "$3"); do
    try "$case"
done
awk '{ n++; good += / ok /; match($0, /\([0-9]+ kills/); kills += substr($0, RSTART + 1, RLENGTH - 7) }
    END { print "| runs | kills | same bits |\n|---|---|---|"; printf "| %d | %d | %d |\n", n, kills, good }' "$results"
! grep -v ': ok ' "$results"
