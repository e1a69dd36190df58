#!/bin/sh
# Every call that reads or looks for a file, and every allocation, of every command that writes made to fail once:
# what tests/campaign/failing_writes.sh does for calls that write.
#
#     tests/campaign/failing_calls.sh RESULTS [SCENARIO...]
#
# in a build folder; MB_SRCDIR names the sources (default: the folder above). RESULTS gets a line for each
# case, and cases that have one are left out: the campaign goes on where it was stopped. MB_FAIL_EVERY=N takes
# each N-th call alone; MB_FAIL_PLACES=1 takes, of the allocations, the first and the last that each place of the
# code makes. Prints a Markdown table, and what failed.
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
SHIM=$MB_BUILDDIR/tests/support/failing_io.so
results=$1
shift
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/mpi/failing_lib.sh"
[ $# -eq 0 ] || scenarios=$*
for needed in failing_io failing_memory; do
    [ -e "$MB_BUILDDIR/tests/support/$needed.so" ] || { echo "make tests/support/$needed.so first" && exit 2; }
done
touch "$results"

# try COMMAND CASE...: unless the case has a result.
try() {
    command=$1
    shift
    grep -q "^$*: " "$results" && return
    if $command "$@"; then echo "$*: ok"; else echo "$*: $why" | tr '\n' ' ' && echo; fi >>"$results"
}

try_memory() {
    attempt_memory "$1" "$2" "$4"
}

# Of "K PLACE", in the order of K: which to fail.
choose() {
    if [ -n "${MB_FAIL_PLACES-}" ]; then
        awk '!($2 in first) { first[$2] = $1 } { last[$2] = $1 }
            END { for (place in first) { print first[place]; if (last[place] != first[place]) print last[place] } }' |
            sort -n
    else
        awk -v every="${MB_FAIL_EVERY-1}" '(NR - 1) % every == 0 { print $1 }'
    fi
}

for scenario in $scenarios; do
    for rank in $(ranks_of "$scenario"); do
        for kind in $reading_kinds; do
            for k in $(seq 1 "${MB_FAIL_EVERY-1}" "$(calls "$scenario" "$rank" "$kind")"); do
                try attempt "$scenario" "$rank" "$kind" "$k" 5
            done
        done
        for k in $(allocations "$scenario" "$rank" | choose); do
            try try_memory "$scenario" "$rank" memory "$k"
        done
    done
done

echo "| command | calls that read | as it should be | allocations | as it should be |"
echo "|---|---|---|---|---|"
for scenario in $scenarios; do
    awk -v name="$scenario" '$1 == name { m = $3 == "memory"; n[m]++; good[m] += / ok$/ }
        END { printf "| %s | %d | %d | %d | %d |\n", name, n[0], good[0], n[1], good[1] }' "$results"
done
! grep -v ' ok$' "$results"
