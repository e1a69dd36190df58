#!/bin/bash
# Random recurrent layers give what Keras' own do: outputs, and all gradients by one step of SGD.
# MB_KERAS_PYTHON is an interpreter that has keras, one of its backends, and h5py; RECURRENT_SEED chooses the
# layers.
python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=${KERAS_BACKEND-torch} TF_CPP_MIN_LOG_LEVEL=3
if ! "$python" -c 'import keras, h5py' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import keras and h5py"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
seed=${RECURRENT_SEED:-1}
count=0
echo "# seed $seed"

give() { # STATUS NAME
    count=$((count + 1))
    echo "$([ "$1" -eq 0 ] || printf 'not ')ok $count - $2"
    [ "$1" -eq 0 ] || sed 's/^/# /' "$scratch/log" | tail -n 8
}

trained() {
    "$python" -W ignore "$MB_SRCDIR/tests/keras/recurrent.py" make "$scratch" "$seed" || return 1
    for data in "$scratch"/*.data.h5; do
        model=${data%.data.h5}
        "$MBRUN" predict "$model.h5" --data "$data" -o "$model.out.h5" &&
            "$MBRUN" "$model.h5" --data "$data" --no-shuffle --batch 9 --steps 1 --quiet --run "$model.run" ||
            return 1
    done
}

trained >"$scratch/log" 2>&1
give $? "Keras writes the models, and mbrun predicts and trains with them"
"$python" -W ignore "$MB_SRCDIR/tests/keras/recurrent.py" check "$scratch" >"$scratch/cases" 2>"$scratch/log"
give $? "Keras does the same"
while read -r line; do
    case $line in
    "ok "*) give 0 "${line#ok }" ;;
    "not ok "*) give 1 "${line#not ok }" ;;
    esac
done <"$scratch/cases"
[ "$(grep -c '^ok\|^not ok' "$scratch/cases")" -eq 30 ]
give $? "all layers were compared"
echo "1..$count"
