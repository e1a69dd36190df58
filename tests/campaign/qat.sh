#!/bin/sh
# What training through rounded weights saves: a trained model is trained on for some steps as it is and
# rounded afterwards, and for as many through weights rounded to the format. Losses of what is stored.
#
#     tests/campaign/qat.sh TRAINED.h5 DATA.h5 HELD.h5 FORMAT [OPTION...]
#
# MBRUN names the program (default: mbrun of this folder). Prints a Markdown table.
[ $# -ge 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 2; }
MBRUN=${MBRUN-$PWD/mbrun}
model=$1 data=$2 held=$3 format=$4
shift 4
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-qat.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

row() { # WHAT FILE
    "$MBRUN" eval "$2" --data "$held" --activations float 2>/dev/null |
        sed -n "s/^ *loss *\([0-9.]*\) *\(accuracy \)*\([0-9.]*\).*/| $1 | \1 | \3 |/p"
}

for run in plain rounded; do
    [ $run = plain ] && set -- "$@" || set -- "$@" --qat "$format"
    "$MBRUN" "$model" --data "$data" --run "$scratch/$run" --quiet --checkpoint-every never \
        --checkpoint-dtype "$format" "$@" || exit 1
done
echo "| $format | loss on held-out data | accuracy |"
echo "|---|---|---|"
row "not rounded" "$scratch"/plain/step-*.h5
row "rounded after training" "$scratch/plain/final.h5"
row "trained through it" "$scratch/rounded/final.h5"
