#!/bin/sh
# A net of MobileNetV2's blocks side by side with PyTorch: samples a second of training.
#
#     bench/mobilenet.sh MBRUN PYTHON [STEPS] [RUNS]
#
# MBRUN is the program, PYTHON one that has torch. Batches of 128 images of Fashion-MNIST, STEPS of them a run. Runs
# alternate, so that a machine that drifts drifts for both. One line a run, then medians. Both use THREADS threads, by
# default one for each core; PyTorch has channels last, as mbrun has. PYTHON "none": mbrun alone.
set -eu
mbrun=$1 python=$2 steps=${3:-40} runs=${4:-3}
here=$(cd "$(dirname "$0")" && pwd)
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
threads=${THREADS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
BENCH_SAMPLES=$((128 * steps))
export BENCH_SAMPLES

median() { # FILE
    sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

"$mbrun" data "$images" -o "$folder/train.h5" >/dev/null
"$mbrun" new mobilenet input=28x28x1 -o "$folder/model.h5" >/dev/null
: >"$folder/ours" && : >"$folder/theirs"
run=0
while [ "$run" -lt "$runs" ]; do
    run=$((run + 1))
    mpirun -np 1 "$mbrun" train "$folder/model.h5" --data "$folder/train.h5" --batch 128 --steps "$steps" \
        --run "$folder/run" --threads "$threads" --restart --checkpoint-every never --quiet >/dev/null
    # The sum of what the steps took, and waiting between them.
    awk -v samples="$BENCH_SAMPLES" 'BEGIN { RS = "," } /"(wait_)?seconds":/ { sub(/.*:/, ""); sum += $1 }
        END { printf "%.0f\n", samples / sum }' "$folder/run/plan.json" >>"$folder/ours"
    echo "run $run mbrun $(tail -n 1 "$folder/ours") samples/s"
    if [ "$python" != none ]; then
        "$python" "$here/fashion_torch.py" mobilenet 128 2 "$run" "$threads" |
            sed 's/.*"samples_per_second": \([0-9]*\).*/\1/' >>"$folder/theirs"
        echo "run $run torch $(tail -n 1 "$folder/theirs") samples/s"
    fi
done
echo "median mbrun $(median "$folder/ours") samples/s"
if [ "$python" != none ]; then echo "median torch $(median "$folder/theirs") samples/s"; fi
