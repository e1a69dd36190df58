#!/bin/sh
# The models that Keras wrote are trained as Keras trained them, on one rank.
. "$MB_SRCDIR/tests/mpi/cases.sh"
run_cases test_trajectory 1
echo "1..$count"
