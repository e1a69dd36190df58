#!/bin/sh
# A few random faults, of a fixed seed (tests/campaign/faults.sh has many): the run ends in time, names the rank, and goes
# on to the bits of a run without faults.
count=0
MB_FAULT_DEADLINE=${MB_FAULT_DEADLINE-2} MB_FAULT_STEPS=${MB_FAULT_STEPS-40}
. "$MB_SRCDIR/tests/mpi/faults_lib.sh"
all="kill stop slow memory disk full mpi-fail mpi-hang mpi-lose nan"
for kinds in ${MB_FAULT_ONLY-$all}; do
    count=$((count + 1))
    if fault "${MB_FAULT_SEED-13}" "$count"; then
        echo "ok $count - $what: $took s, and the same command comes to the same bits"
    else
        echo "not ok $count - $what: $why"
        sed 's/^/# /' "$scratch/failed" 2>/dev/null
    fi
done
echo "1..$count"
