#!/bin/bash
# Convolutions as Keras computes them (pooling.sh: the other layers over images): outputs, and a step of SGD that shows
# all gradients, over random configurations of each layer. MB_KERAS_SEED chooses others, MB_KERAS_CONFIGS their number,
# MB_KERAS_LAYERS names classes. MB_KERAS_PYTHON is an interpreter that has keras with jax, and h5py.
python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=${KERAS_BACKEND-jax} TF_CPP_MIN_LOG_LEVEL=3
if ! "$python" -c 'import keras, h5py' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import h5py and keras with $KERAS_BACKEND"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
seed=${MB_KERAS_SEED-1}
configs=${MB_KERAS_CONFIGS-20}
layers=${MB_KERAS_LAYERS-Conv1D Conv2D Conv3D DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D
    Conv1DTranspose Conv2DTranspose Conv3DTranspose}
script=$MB_SRCDIR/tests/keras/convolutions.py
count=0

result() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        tail -n 5 "$scratch/log" | sed 's/^/# /'
    fi
}

computed() {
    for model in "$scratch"/*.data.h5; do
        name=${model%.data.h5}
        "$MBRUN" predict "$name.h5" --data "$model" -o "$name.out.h5" &&
            "$MBRUN" "$name.h5" --data "$model" --no-shuffle --batch 3 --steps 1 --quiet \
                --run "$name.run" || return 1
    done
}

echo "# seed $seed, $configs configurations of each layer"
# shellcheck disable=SC2086 # names of classes
"$python" -W ignore "$script" make "$scratch" "$seed" "$configs" $layers >"$scratch/log" 2>&1
result $? "Keras writes the models"
computed >"$scratch/log" 2>&1
result $? "mbrun predicts and trains with all of them"
# shellcheck disable=SC2086
"$python" -W ignore "$script" check "$scratch" "$seed" "$configs" $layers >"$scratch/cases" 2>"$scratch/err"
while read -r line; do
    name=${line#not }
    name=${name#ok }
    grep "^$name: " "$scratch/err" >"$scratch/log"
    case $line in
    "ok "*) result 0 "$name agrees with Keras" ;;
    "not ok "*) result 1 "$name agrees with Keras" ;;
    esac
done <"$scratch/cases"
wanted=$(ls "$scratch"/*.data.h5 | wc -l)
tail -n 3 "$scratch/err" >"$scratch/log"
[ "$count" -eq $((wanted + 2)) ]
result $? "Keras was asked about all of them"
echo "1..$count"
