#!/bin/sh
# A folder of JPEG images beside the training that it feeds, on two cores: images a second of the decoder alone, and
# samples a second of a CNN from the folder and from the same samples in an HDF5 file, in the first epoch, which decodes,
# and in the third, which takes what was kept; and what part of the time the CNN waited for its data.
#
#     bench/images.sh MBRUN SAMPLES [COUNT] [RUNS] [SIDE]
#
# SAMPLES is tests/cli/samples of the build, which makes COUNT images of 160 x 160 pixels; the CNN takes SIDE x SIDE.
# Medians of alternating runs. A CNN that waits for nothing is not held up; decoding takes its part of the same two cores
# all the same.
set -eu
mbrun=$(realpath "$1") samples=$(realpath "$2") count=${3:-1500} runs=${4:-5} side=${5:-64}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
cd "$folder"
"$samples" photos "$count" 160 160
"$mbrun" new cnn input="${side}x${side}x3" classes=3 -o model.h5 >/dev/null
"$mbrun" data photos --size "${side}x${side}x3" -o photos.h5 >/dev/null

now() { date +%s.%N; }
# rates NAME DATA: samples a second at the end of epochs 1 and 3.
rates() {
    taskset -c 0,1 "$mbrun" train model.h5 --data "$2" --batch 32 --epochs 3 --run run --restart --threads 2 \
        --checkpoint-every never --json >events 2>/dev/null
    for epoch in 1 3; do
        sed -n 's/.*"event":"step".*"epoch":'$epoch',.*"samples_per_second":\([0-9.]*\).*/\1/p' events |
            tail -n 1 >>"$1.$epoch.rates"
    done
    tr ',' '\n' <run/plan.json | awk '/"data_wait_seconds"/ { wait = $NF } / "seconds"/ { all += $NF }
        END { print 100 * wait / all }' >>"$1.waits"
}
for _ in $(seq "$runs"); do
    begin=$(now)
    taskset -c 0,1 "$mbrun" data photos --size "${side}x${side}x3" -o again.h5 >/dev/null
    echo "$(now) $begin $count" | awk '{ print $3 / ($1 - $2) }' >>decoder.rates
    rates from_hdf5 photos.h5
    rates from_folder photos
done
for name in decoder from_hdf5.1 from_folder.1 from_hdf5.3 from_folder.3; do
    sort -n "$name.rates" | awk -v name="$name" '{ v[NR] = $1 }
        END { printf "%s: median %.0f a second, of %d runs\n", name, v[int((NR + 1) / 2)], NR }'
done
for name in from_hdf5 from_folder; do
    sort -n "$name.waits" | awk -v name="$name" '{ v[NR] = $1 }
        END { printf "%s: waited for data %.2f %% of the time, median of %d runs\n", name, v[int((NR + 1) / 2)], NR }'
done
