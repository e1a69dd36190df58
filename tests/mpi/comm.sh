#!/bin/sh
# Small collective calls, the one wait, and how failures spread, on 1 to 5 ranks.
. "$MB_SRCDIR/tests/mpi/cases.sh"
run_cases test_comm 1 2 3 4 5
echo "1..$count"
