#!/bin/bash
# Each key of each layer's config at a value that is not the default.
#
#     make -C build
#     cd build && MB_KERAS_PYTHON=venv/bin/python bash ../tests/campaign/keys.sh RESULTS
#
# MB_KERAS_PYTHON has keras, h5py and torch, the quickest for it, or what MB_KERAS_BACKEND says. MB_KERAS_TENSORFLOW and
# MB_KERAS_JAX, if given, have those and do the keys that want them. RESULTS is a file.
results=${1?a file for the results}
MB_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)
export MB_SRCDIR MB_BUILDDIR=$PWD MBRUN=$PWD/mbrun OMP_NUM_THREADS=1 JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=3
export XLA_FLAGS=--xla_backend_optimization_level=0
. "$MB_SRCDIR/tests/support/environment.sh"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export OMPI_MCA_orte_tmpdir_base=$scratch # as tests/support/session.sh says

go() { # BACKEND PYTHON [CLASS...]
    backend=$1 python=$2
    shift 2
    KERAS_BACKEND=$backend "$python" -W ignore "$MB_SRCDIR/tests/keras/keys.py" "$MBRUN" "$scratch" \
        "$MB_SRCDIR/tests/data/keras.json" 1 "$@" 2>"$scratch/log" || tail -n 3 "$scratch/log" >&2
}

others() { # BACKEND PYTHON: what was skipped for it
    [ -n "$2" ] || return 0
    wants="# SKIP wants KERAS_BACKEND=$1.*"
    keys=$(sed -n "s/^ok \(.*\) $wants/\1/p" "$results")
    [ -n "$keys" ] || return 0
    # shellcheck disable=SC2086 # names of keys
    go "$1" "$2" $keys >"$scratch/others"
    { grep -v "$wants" "$results" && cat "$scratch/others"; } >"$scratch/all"
    cp "$scratch/all" "$results"
}

go "${MB_KERAS_BACKEND-torch}" "$MB_KERAS_PYTHON" >"$results"
others tensorflow "$MB_KERAS_TENSORFLOW"
others jax "$MB_KERAS_JAX"
skipped=$(grep -c '^ok.*# SKIP' "$results")
refused=$(grep -c '^ok.*: refused by name' "$results")
alike=$(($(grep -c '^ok' "$results") - skipped - refused))
echo "$alike are as Keras', $refused refused by name, $skipped not compared here, $(grep -c '^not ok' "$results") do not hold"
! grep '^not ok' "$results"
