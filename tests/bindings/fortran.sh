#!/bin/sh
# The module mb in a Fortran program of two ranks.
if [ ! -x "$MB_BUILDDIR/tests/bindings/test_fortran" ]; then
    echo "1..0 # SKIP configure found no Fortran compiler that MPI has its module mpi_f08 for (package gfortran)"
    exit 0
fi
. "$MB_SRCDIR/tests/bindings/lib.sh"
make_digest
cases "the Fortran program ends well" "$MPIEXEC" -np 2 "$MB_BUILDDIR/tests/bindings/test_fortran" "$digest"
"$MB_BUILDDIR/tests/bindings/test_fortran" fail >log 2>&1
[ $? -ne 0 ] && grep -q '^mb: .*absent.h5' log
result $? "a failure without ierr ends the program with the message"
echo "1..$count"
