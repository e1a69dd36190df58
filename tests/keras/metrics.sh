#!/bin/bash
# Every metric of Keras on random models and data whose last batch is partial: mbrun eval says what
# Keras' evaluate says, with the same digits on 1, 2 and 4 ranks, and a run that does not learn logs it.
# MB_KERAS_PYTHON is an interpreter that has keras and h5py; its own backend, numpy, is enough and compiles
# nothing. MB_TEST_SEED repeats a run.
models=32

python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=numpy TF_CPP_MIN_LOG_LEVEL=3
if ! "$python" -c 'import keras, h5py; keras.metrics.ConcordanceCorrelation' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import h5py and a keras of today"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
seed=${MB_TEST_SEED:-$RANDOM}
echo "# MB_TEST_SEED=$seed"
count=0

run() { # NAME COMMAND...
    name=$1
    shift
    count=$((count + 1))
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        tail -n 5 "$scratch/log" | sed 's/^/# /'
    fi
}

made() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/metrics.py" make "$seed" "$models" "$scratch"
}

batch_of() { # NUMBER
    sed -n 's/^{"batch": \([0-9]*\),.*/\1/p' "$scratch/$1.json"
}

evaluated() {
    for number in $(seq 0 $((models - 1))); do
        batch=$(batch_of "$number")
        for ranks in 1 2 4; do
            "$MPIEXEC" -n "$ranks" "$MBRUN" eval "$scratch/$number.h5" --data \
                "$scratch/$number.data.h5" --batch "$batch" --json >"$scratch/$number.$ranks.json" ||
                return 1
        done
    done
}

trained() {
    for number in $(seq 0 $((models - 1))); do
        "$MBRUN" "$scratch/$number.h5" --data "$scratch/$number.data.h5" --batch \
            "$(batch_of "$number")" --no-shuffle --epochs 2 --lr 0 --quiet \
            --run "$scratch/run" || return 1
        mv "$scratch/run/metrics.jsonl" "$scratch/$number.metrics.jsonl"
        rm -r "$scratch/run"
    done
}

run "Keras makes $models models and evaluates them" made
run "mbrun evaluates them on 1, 2 and 4 ranks" evaluated
run "mbrun runs two epochs of them without learning" trained
"$python" "$MB_SRCDIR/tests/keras/metrics.py" check "$scratch" >"$scratch/cases" 2>"$scratch/err"
while read -r line; do
    count=$((count + 1))
    echo "${line%%model*}$count - model${line#*model}"
done <"$scratch/cases"
sed 's/^/# /' "$scratch/err"
run "all models were looked at" test "$(grep -c 'ok model' "$scratch/cases")" -eq "$models"
echo "1..$count"
