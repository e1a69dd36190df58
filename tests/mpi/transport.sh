#!/bin/sh
# Messages from shared memory and from memory that is apart, on 1 to 5 ranks.
. "$MB_SRCDIR/tests/mpi/cases.sh"
run_cases test_transport 1 2 3 4 5
echo "1..$count"
