#!/bin/bash
# Optimizers and schedules of random configurations, and each of their keys, against real Keras over 20 steps;
# then whole runs under each of them, whose files Keras loads.
# MB_KERAS_PYTHON is an interpreter that has keras, one of its backends, and h5py. MB_SEED: another seed.
python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=${KERAS_BACKEND-jax} TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu
if ! "$python" -c 'import keras, h5py' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import keras and h5py"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0
seed=${MB_SEED-20}
echo "# seed $seed"

# compare EXPECTED SCRIPT ARGUMENT...: its lines as cases, EXPECTED of them, with what it said of those that
# failed.
compare() {
    expected=$1 script=$2
    shift 2
    "$python" -W ignore "$MB_SRCDIR/tests/keras/$script" "$@" "$seed" >"$scratch/cases" 2>"$scratch/err"
    status=$?
    while read -r line; do
        case $line in
        "ok "* | "not ok "*)
            count=$((count + 1))
            echo "${line%%Keras*}$count - Keras${line#*Keras}"
            ;;
        esac
    done <"$scratch/cases"
    [ $status -eq 0 ] && [ "$(grep -c '^ok\|^not ok' "$scratch/cases")" -eq "$expected" ]
    good=$?
    count=$((count + 1))
    [ $good -eq 0 ] && echo "ok $count - $script asked about all" || echo "not ok $count - $script asked about all"
    if [ $good -ne 0 ] || grep -q '^not ok' "$scratch/cases"; then tail -n 40 "$scratch/err" | cut -c 1-400 | sed 's/^/# /'; fi
}

optimize=$MB_BUILDDIR/tests/keras/optimize
compare 6 optimizers.py "$optimize" "$scratch" schedules
compare 13 optimizers.py "$optimize" "$scratch" random
# So many that compiling each would take minutes.
KERAS_BACKEND=numpy compare 13 optimizers.py "$optimize" "$scratch" keys
compare 26 optimizers_trained.py "$MBRUN" "$scratch"
echo "1..$count"
