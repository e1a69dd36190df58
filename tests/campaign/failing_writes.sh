#!/bin/sh
# Every write, sync, truncation, rename, removal ... of every command that writes made to fail, once with a
# full disk and once with an error of the device, and every write the first on a disk that stays full.
#
#     tests/campaign/failing_writes.sh RESULTS [SCENARIO...]
#
# in a build folder; MB_SRCDIR names the sources (default: the folder above). RESULTS gets a line for each
# case, and cases that have one are left out: the campaign goes on where it was stopped. Prints a Markdown
# table, and what failed.
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2; }
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
[ -e "$SHIM" ] || { echo "make tests/support/failing_io.so first" && exit 2; }
touch "$results"

# try CASE...: unless it has a result.
try() {
    grep -q "^$*: " "$results" && return
    if attempt "$@"; then echo "$*: ok"; else echo "$*: $why" | tr '\n' ' ' && echo; fi >>"$results"
}

for scenario in $scenarios; do
    for rank in $(ranks_of "$scenario"); do
        for kind in $kinds; do
            for k in $(seq "$(calls "$scenario" "$rank" "$kind")"); do
                try "$scenario" "$rank" "$kind" "$k" 28
                try "$scenario" "$rank" "$kind" "$k" 5
                [ "$kind" != write ] || try "$scenario" "$rank" write "$k" 28 rest
            done
        done
    done
done

echo "| command | cases | as it should be |"
echo "|---|---|---|"
for scenario in $scenarios; do
    awk -v name="$scenario" '$1 == name { n++; good += / ok$/ }
        END { printf "| %s | %d | %d |\n", name, n, good }' "$results"
done
! grep -v ' ok$' "$results"
