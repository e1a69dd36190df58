#!/bin/sh
# Random faults in random runs: ranks killed, stopped, out of memory, disks that fail or are full, MPI calls that fail,
# hang or lose their message, a NaN in the data, a host cut off (for that and for full disks it must be root's).
#
#     tests/campaign/faults.sh RESULTS SEED FIRST LAST
#
# in a build folder; MB_SRCDIR names the sources (default: the folder above). RESULTS gets a line for each fault, and
# those that have one are left out: the campaign goes on where it was stopped, and several may share out the numbers.
# MB_FAULT_SECONDS ends it after a while, MB_FAULT_DEADLINE (10) is the runs' deadline in seconds. Prints a Markdown
# table, and what failed.
[ $# -eq 4 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
results=$1 seed=$2
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/mpi/faults_lib.sh"
for part in tests/support/failing_io.so tests/support/failing_mpi.so tests/mpi/poison; do
    [ -e "$MB_BUILDDIR/$part" ] || { echo "make $part first" && exit 2; }
done
touch "$results"

until=$(awk -v seconds="${MB_FAULT_SECONDS-1000000}" '{ print int($1 + seconds) }' /proc/uptime)
for number in $(seq "$3" "$4"); do
    [ "$(now | cut -d. -f1)" -lt "$until" ] || break
    ! grep -q "^$seed $number: " "$results" || continue
    if fault "$seed" "$number"; then end=ok; else end=$(echo "$why" | tr '\n' ' '); fi
    echo "$seed $number: $what; $took s; $end" >>"$results"
done

echo "| fault | runs | went on | as it should be | longest, s |"
echo "|---|---|---|---|---|"
for kind in $(echo "$kinds" | tr ' ' '\n' | sort -u); do
    awk -v kind="$kind" '$3 == kind {
        n++; good += / ok$/; on += /goes on/
        split($0, part, "; "); took = part[2] + 0
        if (took > most && !/goes on/) most = took
    } END { printf "| %s | %d | %d | %d | %.1f |\n", kind, n, on, good, most }' "$results"
done
! grep -v ' ok$' "$results"
