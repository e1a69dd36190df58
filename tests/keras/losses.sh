#!/bin/bash
# Every loss of Keras in random configurations (keys, reductions, shapes, sample and class weights): what it is in
# five steps of training, and what evaluation finds after them, is what Keras finds.
# MB_KERAS_PYTHON is an interpreter that has keras, one of its backends, and h5py. MB_KERAS_SEED and MB_KERAS_COUNT
# are the first seed and the configurations of each loss.
python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=${KERAS_BACKEND-jax} TF_CPP_MIN_LOG_LEVEL=3
if ! "$python" -c 'import keras, h5py; keras.losses.CategoricalGeneralizedCrossEntropy' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import h5py and a keras with all of these losses"
    exit 0
fi
seed=${MB_KERAS_SEED-$(date +%s)}
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
echo "# seed $seed"

"$python" -W ignore "$MB_SRCDIR/tests/keras/losses.py" make "$scratch" "$seed" "${MB_KERAS_COUNT-3}" \
    >"$scratch/log" 2>&1 || {
    tail -n 5 "$scratch/log" | sed 's/^/# /'
    echo "Bail out! Keras makes no models"
    exit 1
}
run_case() { # NAME BATCH OPTION...
    name=$1 batch=$2
    shift 2
    "$MBRUN" "$scratch/$name.h5" --data "$scratch/$name.data.h5" --no-shuffle --steps 5 --quiet --threads 1 \
        --run "$scratch/$name.run" "$@" >"$scratch/out" 2>&1 &&
        "$MBRUN" eval "$scratch/$name.run/final.h5" --data "$scratch/$name.data.h5" --batch "$batch" --json \
            >"$scratch/$name.eval" 2>>"$scratch/out"
}

while read -r name batch options; do
    # shellcheck disable=SC2086
    run_case "$name" "$batch" $options || sed "s/^/# $name: /" "$scratch/out"
done <"$scratch/cases"
"$python" -W ignore "$MB_SRCDIR/tests/keras/losses.py" check "$scratch" >"$scratch/checked" 2>"$scratch/err" ||
    sed 's/^/# /' "$scratch/err"
count=0
while read -r line; do
    case $line in
    'ok '* | 'not ok '*)
        count=$((count + 1))
        echo "${line%%ok *}ok $count - ${line#*ok }"
        ;;
    *) echo "$line" ;;
    esac
done <"$scratch/checked"
[ "$count" -eq 20 ] || echo "not ok $((count = count + 1)) - twenty losses are compared"
echo "1..$count"
