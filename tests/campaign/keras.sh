#!/bin/bash
# Everything that is compared with Keras, over many random configurations of each (20), for hours rather than
# seconds:
#
#     make -C build && cd build && make check TESTS=         the programs
#     MB_KERAS_PYTHON=venv/bin/python bash ../tests/campaign/keras.sh RESULTS [COUNT [SEED [TEST...]]]
#
# Keys and graphs have campaigns of their own, keys.sh and graphs.sh, which go through all and train beside Keras.
# RESULTS is a folder that has the output of each test that is done: started again, it goes on with the others.
results=${1?a folder for the results}
export MB_KERAS_COUNT=${2-20} MB_KERAS_SEED=${3-1}
shift $(($# < 3 ? $# : 3))
tests=${*-operators convolutions pooling recurrent masks stateful losses metrics optimizers archives graphs keys}
export MB_SRCDIR MB_BUILDDIR=$PWD MBRUN=$PWD/mbrun MPIEXEC=${MPIEXEC-mpirun}
MB_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/support/session.sh"
mkdir -p "$results"
for test in $tests; do
    done=$results/$test.$MB_KERAS_SEED.$MB_KERAS_COUNT
    if [ ! -e "$done" ]; then
        MB_SHELL_TIMEOUT=0 sh "$MB_SRCDIR/tests/support/run-shell.sh" "$MB_SRCDIR/tests/keras/$test.sh" >"$done.part" && mv "$done.part" "$done"
    fi
    echo "$test: $(grep -c '^ok' "$done") agree, $(grep -c '^not ok' "$done") do not"
done
grep -h '^not ok' "$results"/*.* && exit 1
exit 0
