#!/bin/bash
# Each key of each layer's config at a value that is not the default.
#
#     make -C build
#     cd build && MB_KERAS_PYTHON=venv/bin/python bash ../tests/campaign/keys.sh RESULTS
#
# MB_KERAS_PYTHON has keras, h5py and jax, or what MB_KERAS_BACKEND says. RESULTS is a file.
results=${1?a file for the results}
MB_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)
export MB_SRCDIR MB_BUILDDIR=$PWD MBRUN=$PWD/mbrun OMP_NUM_THREADS=1 JAX_PLATFORMS=cpu
export KERAS_BACKEND=${MB_KERAS_BACKEND-jax} XLA_FLAGS=--xla_backend_optimization_level=0
. "$MB_SRCDIR/tests/support/environment.sh"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
"$MB_KERAS_PYTHON" -W ignore "$MB_SRCDIR/tests/keras/keys.py" "$MBRUN" "$scratch" "$MB_SRCDIR/tests/data/keras.json" 1 \
    >"$results" 2>"$scratch/log" || tail -n 3 "$scratch/log"
echo "$(grep -c '^ok' "$results") hold, $(grep -c '^not ok' "$results") do not"
! grep '^not ok' "$results"
