#!/bin/bash
# Random graphs of 3 to 40 nodes over all layers: MODELS of them trained beside Keras, and a fifth as many over ranks.
#
#     make -C build
#     cd build && MB_KERAS_PYTHON=venv/bin/python bash ../tests/campaign/graphs.sh RESULTS [MODELS [SEED]]
#
# MB_KERAS_PYTHON has keras, h5py and torch. RESULTS is a folder that has the output of each part that is done: started
# again, it goes on with the others.
results=${1?a folder for the results}
models=${2-500}
seed=${3-1}
part=20
export MB_SRCDIR MB_BUILDDIR=$PWD MBRUN=$PWD/mbrun MPIEXEC=${MPIEXEC-mpirun}
MB_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)
. "$MB_SRCDIR/tests/support/environment.sh"
export KERAS_BACKEND=${MB_KERAS_BACKEND-torch} JAX_ENABLE_X64=1 OMP_NUM_THREADS=1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export OMPI_MCA_orte_tmpdir_base=$scratch # as tests/support/session.sh says
mkdir -p "$results"

go() { # WHAT MODELS [MPIEXEC]
    for first in $(seq 0 $part $(($2 - 1))); do
        done=$results/$1.$seed.$first
        count=$(($2 - first < part ? $2 - first : part))
        [ -e "$done" ] ||
            "$MB_KERAS_PYTHON" -W ignore "$MB_SRCDIR/tests/keras/graphs.py" "$1" "$MBRUN" "$scratch" "$seed" "$first" \
                "$count" $3 >"$done.part" 2>"$scratch/log" && mv "$done.part" "$done"
        [ -e "$done" ] || tail -n 3 "$scratch/log"
    done
    echo "$1: $(cat "$results/$1.$seed".* | grep -c '^ok') hold, $(cat "$results/$1.$seed".* | grep -c '^not ok') do not"
}

go keras "$models"
go ranks $((models / 5)) "$MPIEXEC"
grep -h '^not ok' "$results"/*."$seed".* && exit 1
exit 0
