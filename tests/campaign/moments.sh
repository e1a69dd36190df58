#!/bin/sh
# What storing the moments in 8 bits costs a run that stops often: the loss after 1, 2, 5 and 10 cycles of
# saving and restoring against the same run without a stop, with exact moments and with 8 bits.
#
#     tests/campaign/moments.sh MODEL.h5 DATA.h5 HELD.h5 STEPS [OPTION...]
#
# MBRUN names the program (default: mbrun of this folder). Prints a Markdown table.
[ $# -ge 4 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" && exit 2; }
MBRUN=${MBRUN-$PWD/mbrun}
model=$1 data=$2 held=$3 steps=$4
shift 4
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-moments.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

# cycles K KIND OPTION...: to STEPS with K stops at equal distances.
cycles() {
    stops=$1 kind=$2
    shift 2
    for part in $(seq 1 $((stops + 1))); do
        "$MBRUN" "$model" --data "$data" --run "$scratch/$kind.$stops" --moments "$kind" --quiet \
            --checkpoint-every never --keep 1 --steps $((steps * part / (stops + 1))) "$@" || exit 1
    done
}

# Over the last tenth of the steps.
trained() {
    sed -n 's/.*"split": "train", "loss": \([^,]*\).*/\1/p' "$scratch/$1/metrics.jsonl" |
        tail -n $((steps / 10)) | awk '{ sum += $1 } END { printf "%.6f", sum / NR }'
}

tested() {
    "$MBRUN" eval "$scratch/$1/final.h5" --data "$held" 2>/dev/null |
        sed -n 's/^ *loss *\([0-9.]*\).*/\1/p'
}

row() {
    loss=$(tested "$1.$2") last=$(trained "$1.$2")
    bytes=$(stat -c %s "$scratch/$1.$2"/step-*.h5)
    awk -v kind="$1" -v k="$2" -v a="$whole" -v b="$loss" -v last="$last" -v bytes="$bytes" 'BEGIN {
        printf "| %s | %d | %.6f | %+.6f | %s | %d |\n", kind, k, b, b - a, last, bytes }'
}

echo "| moments | cycles | loss on held-out data | difference | loss of the last tenth | checkpoint, bytes |"
echo "|---|---|---|---|---|---|"
cycles 0 fp32 "$@"
whole=$(tested fp32.0)
row fp32 0
cycles 10 fp32 "$@"
row fp32 10
for k in 1 2 5 10; do
    cycles "$k" int8 "$@"
    row int8 "$k"
done
