#!/bin/bash
# Each key of each layer's config at a value that is not the default.
#
#     make -C build
#     cd build && MB_KERAS_PYTHON=venv/bin/python bash ../tests/campaign/keys.sh RESULTS
#
# MB_KERAS_PYTHON has keras, h5py and torch, the quickest for it, or what MB_KERAS_BACKEND says. MB_KERAS_TENSORFLOW, if
# given, has TensorFlow and does the layers that want it. RESULTS is a file.
results=${1?a file for the results}
MB_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)
export MB_SRCDIR MB_BUILDDIR=$PWD MBRUN=$PWD/mbrun OMP_NUM_THREADS=1 JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=3
export XLA_FLAGS=--xla_backend_optimization_level=0
. "$MB_SRCDIR/tests/support/environment.sh"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export OMPI_MCA_orte_tmpdir_base=$scratch # see session.sh

go() { # BACKEND PYTHON [CLASS...]
    backend=$1 python=$2
    shift 2
    KERAS_BACKEND=$backend "$python" -W ignore "$MB_SRCDIR/tests/keras/keys.py" "$MBRUN" "$scratch" \
        "$MB_SRCDIR/tests/data/keras.json" 1 "$@" 2>"$scratch/log" || tail -n 3 "$scratch/log" >&2
}

go "${MB_KERAS_BACKEND-torch}" "$MB_KERAS_PYTHON" >"$results"
if [ -n "$MB_KERAS_TENSORFLOW" ]; then
    wants='# SKIP wants KERAS_BACKEND=tensorflow$'
    # shellcheck disable=SC2046 # names of keys
    go tensorflow "$MB_KERAS_TENSORFLOW" $(sed -n "s/^ok \(.*\) $wants/\1/p" "$results") >"$scratch/lookups"
    { grep -v "$wants" "$results" && cat "$scratch/lookups"; } >"$scratch/all"
    cp "$scratch/all" "$results"
fi
skipped=$(grep -c '^ok.*# SKIP' "$results")
refused=$(grep -c '^ok.*: refused by name' "$results")
alike=$(($(grep -c '^ok' "$results") - skipped - refused))
echo "$alike are as Keras', $refused refused by name, $skipped not compared here, $(grep -c '^not ok' "$results") do not hold"
! grep '^not ok' "$results"
