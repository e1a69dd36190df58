#!/bin/sh
# The same bits on every layout, on the CPU and on a device that keeps its memory apart and runs later
# what it is told.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
run_layouts cpu 2
run_layouts deferred 1
echo "1..$count"
