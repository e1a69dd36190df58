#!/bin/sh
# Works that take turns on each rank, on 1 to 4 ranks.
. "$MB_SRCDIR/tests/mpi/cases.sh"
run_cases test_turns 1 2 3 4
echo "1..$count"
