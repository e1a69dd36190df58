#!/bin/sh
# Sums over replicas have the bits of the tree, for 1 to 5 groups and up to 8 replicas.
. "$MB_SRCDIR/tests/mpi/cases.sh"
run_cases test_reduce 1 2 3 4 5
echo "1..$count"
