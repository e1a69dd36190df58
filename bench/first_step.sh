#!/bin/sh
# Seconds from the start of mpirun to the end of the first step, beside an MPI program that does nothing.
#
#     bench/first_step.sh MBRUN [RANKS] [RUNS]
#
# The MLP at batch 128 on Fashion-MNIST as mbrun data writes it. Medians of alternating runs.
set -eu
mbrun=$1 ranks=${2:-2} runs=${3:-9}
here=$(cd "$(dirname "$0")" && pwd)
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
mpicc -O2 "$here/empty_mpi.c" -o "$folder/empty"
"$mbrun" data "$images" -o "$folder/train.h5" >/dev/null
"$mbrun" new mlp -o "$folder/model.h5" >/dev/null

now() { date +%s.%N; }
for _ in $(seq "$runs"); do
    begin=$(now)
    mpirun -np "$ranks" --oversubscribe "$folder/empty"
    echo "$(now) $begin" | awk '{ print $1 - $2 }' >>"$folder/empty.times"
    begin=$(now)
    mpirun -np "$ranks" --oversubscribe "$mbrun" train "$folder/model.h5" --data "$folder/train.h5" \
        --batch 128 --steps 2 --run "$folder/run" --restart --json 2>/dev/null |
        while read -r line; do
            case $line in *'"event":"step","step":1,'*)
                echo "$(now) $begin" | awk '{ print $1 - $2 }' >>"$folder/mbrun.times"
                ;;
            esac
        done
done
for name in empty mbrun; do
    sort -n "$folder/$name.times" | awk -v name="$name" '{ v[NR] = $1 }
        END { printf "%s: median %.3f s, least %.3f s\n", name, v[int((NR + 1) / 2)], v[1] }'
done
