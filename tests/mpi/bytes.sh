#!/bin/sh
# What a rank holds and sends, counted, on layouts of 1 to 8 ranks.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
run_bytes
echo "1..$count"
