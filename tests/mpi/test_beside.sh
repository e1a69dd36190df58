#!/bin/sh
# Training and predicting beside a program of several ranks, as MPI starts and with threads that call
# it (Open MPI's and MPICH's words for that).
. "$MB_SRCDIR/tests/mpi/cases.sh"
MB_SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/mb-beside.XXXXXX")
export MB_SCRATCH
run_cases test_beside 2 3
export OMPI_MPI_THREAD_LEVEL=3 MPIR_CVAR_DEFAULT_THREAD_LEVEL=MPI_THREAD_MULTIPLE
run_cases test_beside 2
rm -rf "$MB_SCRATCH"
echo "1..$count"
