#!/bin/sh
# States that a crash may leave of runs that save, thousands of each: after each call, with calls that did not
# last missing, alone or torn, one by one and at random. Each is checked with the program's own functions
# (tests/support/crash_check.h), and some are resumed by the program, to the bits of a run that was never stopped.
#
#     tests/campaign/crash_states.sh RESULTS FIRST LAST [SCENARIO...]
#
# in a build folder; MB_SRCDIR names the sources (default: the folder above). FIRST to LAST are seeds: for each, a
# scenario is recorded anew and 20,000 random states are added to those that are made one by one. RESULTS gets a
# line for each seed and scenario, and those that have one are left out: the campaign goes on where it was stopped.
# Prints a Markdown table, and what failed. MB_CRASH_RESUMED is how many states of each are resumed (20).
[ $# -ge 3 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
results=$1 first=$2 last=$3
shift 3
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/mpi/crash_lib.sh"
[ $# -eq 0 ] || crash_scenarios=$*
for needed in tests/support/recording_io.so tests/mpi/crash_states; do
    [ -e "$MB_BUILDDIR/$needed" ] || { echo "make $needed first" && exit 2; }
done
touch "$results"

resume_some() {
    for number in $(samples "$1" | shuf -n "${MB_CRASH_RESUMED-20}" --random-source="$scratch/$1.record"); do
        resume "$1" "$number" || { echo "state $number: $why" && return; }
        resumed=$((resumed + 1))
    done
}

# try SCENARIO SEED: unless it has a result.
try() {
    grep -q "^$1 $2: " "$results" && return
    resumed=0 said=
    record "$1" >"$scratch/said" && states "$1" "$2" 20000 100 >"$scratch/said" && syncs "$1" >>"$scratch/said"
    outcome=$?
    totals=$(sed -n 's/^calls.*, states \([0-9]*\), faults 0$/\1/p' "$scratch/said" | head -n 1)
    [ $outcome -ne 0 ] || resume_some "$1" >"$scratch/resumed"
    if [ $outcome -eq 0 ] && [ ! -s "$scratch/resumed" ]; then
        echo "$1 $2: ok ${totals:-0} states, $resumed resumed, $(sed -n 's/^syncs \([0-9]*\),.*/\1/p' "$scratch/said") syncs"
    else
        echo "$1 $2: $(cat "$scratch/said" "$scratch/resumed" 2>/dev/null | tr '\n' ' ')"
    fi >>"$results"
}

for seed in $(seq "$first" "$last"); do
    for scenario in $crash_scenarios; do
        try "$scenario" "$seed"
    done
done
echo "| run | seeds | states | resumed | syncs | as it should be |"
echo "|---|---|---|---|---|---|"
for scenario in $crash_scenarios; do
    awk -v name="$scenario" '$1 == name { n++ }
        $1 == name && $3 == "ok" { good++; states += $4; resumed += $6; syncs = $8 }
        END { printf "| %s | %d | %d | %d | %d | %d |\n", name, n, states, resumed, syncs, good }' "$results"
done
! grep -v ': ok ' "$results"
