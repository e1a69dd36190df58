#!/bin/sh
# Two equal models on 2 ranks, one after the other and in one run (mbrun --models), under GPipe.
#
#     bench/models.sh MBRUN [MICROS] [STEPS] [RUNS]
#
# MBRUN is the program; MICROS micro-batches of 128 samples of Fashion-MNIST a step, one thread a rank. A run of few steps
# is taken from each run of STEPS more, so that no start counts. Runs alternate. One line a run, seconds, then medians.
set -eu
mbrun=$1 micros=${2:-2} steps=${3:-60} runs=${4:-5}
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

"$mbrun" data "$images" -o "$folder/train.h5" >/dev/null
for model in a b; do
    "$mbrun" new mlp hidden=512,512,512,512,512,512,512,512 -o "$folder/$model.h5" --optimizer sgd >/dev/null
done

seconds() { # STEPS MODEL...: of the whole run
    begun=$(date +%s.%N)
    n=$1
    shift
    mpirun -np 2 "$mbrun" train "$@" --data "$folder/train.h5" --stages 2 --schedule gpipe --partition counted \
        --replicas 1 --micro-batch 128 --batch $((128 * micros)) --steps "$n" --threads 1 --restart \
        --checkpoint-every never --quiet >/dev/null
    echo "$begun $(date +%s.%N)" | awk '{ print $2 - $1 }'
}

training() { # MODEL...: of STEPS steps
    echo "$(seconds 5 "$@") $(seconds $((steps + 5)) "$@")" | awk '{ print $2 - $1 }'
}

median() { # FILE
    sort -n "$1" | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'
}

: >"$folder/apart" && : >"$folder/together"
run=0
while [ "$run" -lt "$runs" ]; do
    run=$((run + 1))
    echo "$(training "$folder/a.h5") $(training "$folder/b.h5")" | awk '{ print $1 + $2 }' >>"$folder/apart"
    training --models "$folder/a.h5,$folder/b.h5" >>"$folder/together"
    echo "run $run: one after the other $(tail -n 1 "$folder/apart") s, together $(tail -n 1 "$folder/together") s"
done
echo "median: one after the other $(median "$folder/apart") s, together $(median "$folder/together") s"
