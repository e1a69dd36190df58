#!/bin/sh
# mb.py in a Python that has NumPy: on two ranks where it has mpi4py, too, else on one.
python=${MB_KERAS_PYTHON:-python3}
skip() {
    echo "1..0 # SKIP $1"
    exit 0
}
"$python" -c 'import numpy' >/dev/null 2>&1 || skip "$python has no NumPy"
[ "${MB_SANITIZERS-no}" = no ] || skip "an interpreter is not built with sanitizers"
export MB_LIBRARY="$MB_BUILDDIR/.libs/libmb.so"
[ -f "$MB_LIBRARY" ] || skip "no shared library in this build"
. "$MB_SRCDIR/tests/bindings/lib.sh"
export PYTHONPATH="$MB_SRCDIR/python" PYTHONDONTWRITEBYTECODE=1
make_digest
if "$python" -c 'import mpi4py.MPI' >/dev/null 2>&1; then
    cases "the Python program ends well" "$MPIEXEC" -np 2 "$python" "$MB_SRCDIR/tests/bindings/test_python.py" "$digest"
else
    cases "the Python program ends well" "$python" "$MB_SRCDIR/tests/bindings/test_python.py" "$digest"
fi
echo "1..$count"
