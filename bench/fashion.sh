#!/bin/sh
# Fashion-MNIST side by side with PyTorch: accuracy over seeds, samples a second, peak memory.
#
#     bench/fashion.sh MBRUN PYTHON [NETS] [EPOCHS] [SEEDS]
#
# MBRUN is the program, PYTHON one that has torch. Runs alternate, so that a machine that drifts
# drifts for both. One line a run, then medians. Uses all the cores there are on both sides.
set -eu
mbrun=$1 python=$2 nets=${3:-"mlp cnn"} epochs=${4:-"2 5"} seeds=${5:-"1 2 3 4 5"}
here=$(cd "$(dirname "$0")" && pwd)
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
threads=$(nproc)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

field() { # JSON on standard input
    "$python" -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}
median() {
    sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

"$mbrun" data "$images" -o "$folder/train.h5" >/dev/null
"$mbrun" data "$images:test" -o "$folder/test.h5" >/dev/null
for net in $nets; do
    for n in $epochs; do
        : >"$folder/ours" && : >"$folder/theirs" && : >"$folder/rate_ours" && : >"$folder/rate_theirs"
        for seed in $seeds; do
            "$mbrun" new "$net" -o "$folder/model.h5" --seed "$seed" --force >/dev/null
            /usr/bin/time -f %M -o "$folder/memory" mpirun -np 1 "$mbrun" train "$folder/model.h5" \
                --data "$folder/train.h5" --batch 128 --epochs "$n" --seed "$seed" --run "$folder/run" \
                --restart --checkpoint-every never --quiet >/dev/null
            accuracy=$("$mbrun" eval "$folder/run/final.h5" --data "$folder/test.h5" --batch 500 --json |
                field accuracy)
            # The rate of a whole run's steps, from the timings that the run keeps.
            rate=$("$python" -c '
import json, sys
d = json.load(open(sys.argv[1] + "/plan.json"))["measured"][0]
t = sum(a["seconds"] + a["wait_seconds"] for a in d["actions"].values())
print(round(60000 * int(sys.argv[2]) / t))' "$folder/run" "$n")
            theirs=$("$python" "$here/fashion_torch.py" "$net" 128 "$n" "$seed" "$threads")
            echo "$net epochs $n seed $seed: mbrun $accuracy, $rate samples/s, $(($(cat "$folder/memory") / 1024)) MiB; torch $theirs"
            echo "$accuracy" >>"$folder/ours"
            echo "$rate" >>"$folder/rate_ours"
            echo "$theirs" | field accuracy >>"$folder/theirs"
            echo "$theirs" | field samples_per_second >>"$folder/rate_theirs"
        done
        echo "median of $net after $n epochs: mbrun $(median <"$folder/ours") at $(median <"$folder/rate_ours")/s," \
            "torch $(median <"$folder/theirs") at $(median <"$folder/rate_theirs")/s"
    done
done
