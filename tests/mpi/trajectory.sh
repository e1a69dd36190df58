#!/bin/sh
# The models that Keras wrote are trained as Keras trained them, on one rank.
. "$MB_SRCDIR/tests/mpi/cases.sh"
export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0 # see leaks.h
run_cases test_trajectory 1
echo "1..$count"
