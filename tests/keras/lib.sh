# Sourced by tests that ask Keras itself.
#
#     MB_KERAS_PYTHON    an interpreter that has keras, h5py and jax; without it they are skipped
#     MB_KERAS_SEED      chooses other random cases
#     MB_KERAS_COUNT     how many of each; the few of a usual run are made more by tests/campaign/keras.sh
#
#     need_keras [EXPRESSION]   or the test is skipped; EXPRESSION names what not every Keras has
#     run NAME COMMAND...       a case: whether it succeeds
#     result STATUS NAME        a case, with the end of $scratch/log where it fails
#     ask SCRIPT ARGUMENT...    runs tests/keras/SCRIPT, whose lines "ok NAME" and "not ok NAME" are cases
#     asked N                   a case: it had N of them
#     train_models SCRIPT OPTION...   what tests/keras/SCRIPT makes in $scratch, $models of them: mbrun predicts and trains
#     plan                      the end
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
export KERAS_BACKEND=${MB_KERAS_BACKEND-jax} TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu
export XLA_FLAGS=--xla_backend_optimization_level=0
python=$MB_KERAS_PYTHON
seed=${MB_KERAS_SEED-1}
count=0
cases=0

found() { # MODULE...: looked for, as to import Keras takes seconds
    "$python" -c "import importlib.util, sys
sys.exit(any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))" "$@"
}

# Most of the time goes into compiling what is run once, half of it into fused loops. XLA ends a program at once for an
# option that it does not know.
compile_less() {
    less="$XLA_FLAGS --xla_cpu_use_fusion_emitters=false"
    if XLA_FLAGS=$less "$python" -c "import jax; jax.devices()" >/dev/null 2>&1; then XLA_FLAGS=$less; fi
}

need_keras() {
    if [ -z "$python" ]; then
        echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
        exit 0
    fi
    if ! found keras h5py "$KERAS_BACKEND" || ! "$python" -c "${1+import keras; $1}" >/dev/null 2>&1; then
        echo "1..0 # SKIP $python has no h5py and keras with $KERAS_BACKEND, or lacks ${1-nothing}"
        exit 0
    fi
    [ "$KERAS_BACKEND" != jax ] || compile_less
    echo "# seed $seed"
}

result() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        grep -v '^WARNING' "$scratch/log" | tail -n 8 | cut -c 1-400 | sed 's/^/# /'
    fi
}

run() {
    name=$1
    shift
    "$@" >"$scratch/log" 2>&1
    result $? "$name"
}

ask() {
    script=$1
    shift
    "$python" -W ignore "$MB_SRCDIR/tests/keras/$script" "$@" >"$scratch/cases" 2>"$scratch/log"
    status=$?
    cases=0
    while read -r line; do
        case $line in
        "ok "*) result 0 "${line#ok }" && cases=$((cases + 1)) ;;
        "not ok "*) result 1 "${line#not ok }" && cases=$((cases + 1)) ;;
        esac
    done <"$scratch/cases"
    [ $status -eq 0 ] || result 1 "$script goes through all of them"
}

asked() {
    [ "$cases" -eq "$1" ]
    result $? "$script has $1 cases"
}

train_models() {
    script=$1
    shift
    "$python" -W ignore "$MB_SRCDIR/tests/keras/$script" make "$scratch" "$seed" "$models" || return 1
    for data in "$scratch"/*.data.h5; do
        model=${data%.data.h5}
        file=$model.keras
        [ -e "$file" ] || file=$model.h5
        "$MBRUN" predict "$file" --data "$data" -o "$model.out.h5" &&
            "$MBRUN" "$file" --data "$data" --quiet --run "$model.run" "$@" || return 1
    done
}

plan() {
    echo "1..$count"
}
