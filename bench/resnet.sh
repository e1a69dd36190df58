#!/bin/sh
# A residual net of images of 32 x 32 (mbrun new resnet) side by side with PyTorch: samples a second.
#
#     bench/resnet.sh MBRUN PYTHON [RUNS] [BATCH] [STEPS]
#
# MBRUN is the program, PYTHON one that has torch. Runs alternate, so that a machine that drifts drifts for both. One line
# a run, then medians. Both use THREADS threads, by default one for each core; numbers are drawn at random.
set -eu
mbrun=$1 python=$2 runs=${3:-5} batch=${4:-32} steps=${5:-60}
here=$(cd "$(dirname "$0")" && pwd)
threads=${THREADS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

"$python" -c '
import sys, numpy
draw = numpy.random.default_rng(0)
numpy.savez(sys.argv[1], x=draw.random((1024, 32, 32, 3), dtype="f4"), y=draw.integers(0, 10, 1024).astype("i4"))
' "$folder/train.npz"
"$mbrun" data "$folder/train.npz" -o "$folder/train.h5" >/dev/null
"$mbrun" new resnet -o "$folder/model.h5" >/dev/null

ours() {
    mpirun -np 1 "$mbrun" train "$folder/model.h5" --data "$folder/train.h5" --batch "$batch" --steps "$steps" \
        --run "$folder/run" --threads "$threads" --restart --checkpoint-every never --quiet >/dev/null
    "$python" -c '
import json, sys
actions = json.load(open(sys.argv[1]))["measured"][0]["actions"]
seconds = sum(a["seconds"] + a["wait_seconds"] for a in actions.values())
print(round(int(sys.argv[2]) * int(sys.argv[3]) / seconds))' "$folder/run/plan.json" "$batch" "$steps"
}

theirs() {
    "$python" "$here/resnet_torch.py" "$batch" "$steps" "$threads" |
        "$python" -c 'import json, sys; print(json.load(sys.stdin)["samples_per_second"])'
}

median() { # FILE
    sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

: >"$folder/ours" && : >"$folder/theirs"
run=0
while [ "$run" -lt "$runs" ]; do
    run=$((run + 1))
    ours >>"$folder/ours"
    theirs >>"$folder/theirs"
    echo "run $run: mbrun $(tail -n 1 "$folder/ours"), PyTorch $(tail -n 1 "$folder/theirs") samples/s"
done
echo "median: mbrun $(median "$folder/ours"), PyTorch $(median "$folder/theirs") samples/s"
