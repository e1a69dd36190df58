#!/bin/sh
# Every combination of schedule, threads and batch in every split, on the CPU, and on the deferred
# device with several seeds of its delays. Takes two hours on two cores. Run in the build folder
# after make check TESTS=; arguments: seeds of the deferred device (default: 1 2 3).
cd "${MB_BUILDDIR:-.}" || exit 1
MB_BUILDDIR=$PWD
MB_SRCDIR=${MB_SRCDIR-$(sed -n 's/^abs_top_srcdir = //p' Makefile)}
MPIEXEC=${MPIEXEC-$(sed -n 's/^MPIEXEC = //p' Makefile)}
MBRUN=$PWD/mbrun
export MB_BUILDDIR MB_SRCDIR MPIEXEC MBRUN
. "$MB_SRCDIR/tests/support/environment.sh"
make -s mbrun tests/mpi/test_layouts || exit 1
MB_LAYOUTS_TIMEOUT=7200
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"

run_layouts cpu 8
# Each split on each schedule, with forwards kept and computed again.
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13; do
    echo "# turn $turn"
    export MB_LAYOUTS_TURN=$turn
    run_layouts cpu 1
done
unset MB_LAYOUTS_TURN
[ $# -gt 0 ] || set -- 1 2 3
for seed in "$@"; do
    echo "# the deferred device with seed $seed"
    MB_DEFERRED_SEED=$seed MB_DEFERRED_DELAY=300
    export MB_DEFERRED_SEED MB_DEFERRED_DELAY
    run_layouts deferred 8
done
echo "1..$count"
