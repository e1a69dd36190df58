#!/bin/sh
# The same bits on every layout, on the CPU and on a device that keeps its memory apart and runs later
# what it is told.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
if [ -n "${MB_TEST_REDUCED-}" ]; then
    run_layouts cpu 1
    run_layouts deferred 1 mlp shared
else
    run_layouts cpu 8
    run_layouts deferred 1
fi
echo "1..$count"
