# Sourced by the layout tests: run_layouts DEVICE[:DTYPE][@TRANSPORT] VARIANTS [MODEL...] runs test_layouts on 8 ranks,
# or as many as $job says, and gives its lines as TAP; in_process does so with all ranks in one process.
count=0
job=8

if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
# Threads that share a core must not wait by spinning.
export OMP_WAIT_POLICY=passive

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-layouts.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
"$MBRUN" new mlp -o "$scratch/mlp.h5" input=12 hidden=24,20,16 classes=5 activation=tanh \
    dropout=0.3 >"$scratch/new" 2>&1 &&
    cp "$scratch/mlp.h5" "$scratch/mlp_weighed.h5" &&
    "$MBRUN" new cnn -o "$scratch/cnn.h5" input=8x8x2 filters=4,6 dense=16 classes=5 \
        batchnorm=yes dropout=0.25 >>"$scratch/new" 2>&1 &&
    cp "$MB_SRCDIR/tests/data/branches.h5" "$MB_SRCDIR"/tests/data/recurrent*.h5 "$MB_SRCDIR/tests/data/masks.h5" \
        "$MB_SRCDIR"/tests/data/cnn_*.h5 "$scratch" || {
    sed 's/^/# /' "$scratch/new"
    echo "Bail out! mbrun new does not make the models"
    exit 1
}

tap_lines() { # FILE STATUS WHAT
    blamed=0
    while read -r line; do
        case $line in
        'ok '*) ;;
        'not ok '*) blamed=1 ;;
        *) continue ;;
        esac
        count=$((count + 1))
        echo "${line%%ok *}ok $count - ${line#*ok }"
    done <"$1"
    if [ ! -s "$1" ]; then
        count=$((count + 1))
        echo "not ok $count - $3 does something"
    elif [ "$2" -ne 0 ] && [ "$blamed" -eq 0 ]; then
        count=$((count + 1))
        echo "not ok $count - $3 ends with status 0 (found $2)"
    fi
}

run_bytes() {
    export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0 # see leaks.h
    mkdir "$scratch/bytes"
    "$MBRUN" new mlp -o "$scratch/bytes/mlp_wide.h5" input=12 hidden=300,200,160,120 classes=5 \
        >"$scratch/new" 2>&1
    timeout -k 5 "${MB_LAYOUTS_TIMEOUT:-600}" "$MPIEXEC" -np 8 \
        "$MB_BUILDDIR/tests/mpi/test_bytes" "$scratch/bytes" >"$scratch/out"
    tap_lines "$scratch/out" $? test_bytes
}

# run_with "LAUNCHER OPTION..." DEVICE VARIANTS MODEL...
run_with() {
    export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0 # see leaks.h
    launcher=$1
    shift
    directory=$scratch/$1
    mkdir -p "$directory" && rm -rf "$directory"/*.run && cp "$scratch"/*.h5 "$directory"
    timeout -k 5 "${MB_LAYOUTS_TIMEOUT:-600}" $launcher \
        "$MB_BUILDDIR/tests/mpi/test_layouts" "$directory" "$@" >"$scratch/out"
    tap_lines "$scratch/out" $? "test_layouts $1"
}

run_layouts() {
    run_with "$MPIEXEC -np $job" "$@"
}

in_process() {
    run_with "env MB_TEST_RANKS=$job" "$@"
}
