# Sourced by scripts that compare whole runs of one small model.
#
#     train RANKS RUN OPTION...   a run of $model in $scratch/RUN.run
#     weights RUN                 digest of the weights of its final.h5
#     digests RUN                 digests of weights, and of weights, moments and step
#     last_loss RUN               of the last step
#     evaluate FILE OPTION...     the loss on the training data
#     near A B BOUND              |A - B| <= BOUND * |A|
#     result STATUS NAME          a line of TAP
if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
export OMP_WAIT_POLICY=passive
export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0

count=0
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-runs.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
cp "$MB_SRCDIR/tests/fixtures/mlp.h5" "$scratch/model.h5"
cp "$MB_SRCDIR/tests/fixtures/mlp.ref.h5" "$scratch/data.h5"
chmod u+w "$scratch"/*.h5
model=$scratch/model.h5

train() {
    on=$1 into=$2
    shift 2
    timeout -k 5 300 "$MPIEXEC" -n "$on" "$MBRUN" "$model" --data "$scratch/data.h5" \
        --run "$scratch/$into.run" --threads 1 "$@" >"$scratch/out" 2>&1 </dev/null ||
        { sed 's/^/# /' "$scratch/out" && return 1; }
}

weights() {
    "$MBRUN" inspect --digest "$scratch/$1.run/final.h5" | sed -n 's/^weights *//p'
}

digests() {
    "$MBRUN" inspect --digest "$scratch/$1.run/final.h5"
}

last_loss() {
    sed -n 's/.*"split": "train", "loss": \([^,]*\).*/\1/p' "$scratch/$1.run/metrics.jsonl" |
        tail -n 1
}

evaluate() {
    evaluated=$1
    shift
    "$MBRUN" eval "$evaluated" --data "$scratch/data.h5" "$@" 2>/dev/null |
        sed -n 's/^ *loss *\([0-9.]*\).*/\1/p'
}

near() {
    awk -v a="$1" -v b="$2" -v bound="$3" 'BEGIN {
        d = a > b ? a - b : b - a
        printf "# %s and %s: relatively %.2g apart, %s allowed\n", a, b, d / a, bound
        exit !(a > 0 && b > 0 && d <= bound * a) }'
}

result() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else echo "not ok $count - $2"; fi
}
