# Sourced by tests that train random models with mbrun and with Keras:
#
#     beside SCRIPT ROUNDS    runs tests/keras/SCRIPT MBRUN SCRATCH SEED ROUNDS, whose lines "ok NAME" and
#                             "not ok NAME" are the cases
python=$MB_KERAS_PYTHON
if [ -z "$python" ]; then
    echo "1..0 # SKIP MB_KERAS_PYTHON does not name a Python that has Keras"
    exit 0
fi
export KERAS_BACKEND=jax TF_CPP_MIN_LOG_LEVEL=3 JAX_PLATFORMS=cpu
if ! "$python" -c 'import keras, jax, h5py' >/dev/null 2>&1; then
    echo "1..0 # SKIP $python cannot import keras, jax and h5py"
    exit 0
fi

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

beside() {
    count=0
    "$python" -W ignore "$MB_SRCDIR/tests/keras/$1" "$MBRUN" "$scratch" "${MB_KERAS_SEED-1}" "$2" \
        >"$scratch/cases" 2>"$scratch/err"
    status=$?
    while read -r line; do
        case $line in
        "ok "* | "not ok "*)
            count=$((count + 1))
            echo "${line%%Keras*}$count - Keras${line#*Keras}"
            ;;
        esac
    done <"$scratch/cases"
    if [ $status -ne 0 ]; then
        count=$((count + 1))
        echo "not ok $count - $1 goes through all of them"
        tail -n 5 "$scratch/err" | sed 's/^/# /'
    fi
    echo "1..$count"
}
