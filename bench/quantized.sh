#!/bin/sh
# What quantized execution gains: prediction of the same model as float32 and quantized, runs alternating.
#
#     bench/quantized.sh MBRUN PYTHON [PART...]
#
# Parts: batch    an MLP 2048 wide and a BERT-sized encoder, batches, int8 against float32
#        one      one sample at a time through a model larger than the cache, int8 and int4
#        memory   peak memory (the kernel's counter) of predict beside the stored size
#        stages   2 stages x 1 thread against one rank
# PYTHON needs h5py. THREADS threads (default 1). RUNS runs of each (default 5); medians are printed.
set -eu
mbrun=$1 python=$2
shift 2
parts=${*:-"batch one memory stages"}
threads=${THREADS:-1} runs=${RUNS:-5}
here=$(cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# data NAME SAMPLES WIDTH: random inputs; ids NAME SAMPLES LENGTH: random tokens
data() {
    "$python" -c 'import h5py, numpy as n, sys
f, s, w = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
h5py.File(f, "w")["x"] = n.random.default_rng(1).standard_normal((s, w), dtype="f4")' "$folder/$1" "$2" "$3"
}
ids() {
    "$python" -c 'import h5py, numpy as n, sys
f, s, w = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
h5py.File(f, "w")["tokens"] = n.random.default_rng(1).integers(0, 256, (s, w + 1)).astype("i4")' "$folder/$1" "$2" "$3"
}
# quantize MODEL FORMAT: without data, rounding to the nearest, since only speed is asked for
quantize() { "$mbrun" quantize "$1.h5" -o "$1-$2.h5" --format "$2" --method nearest --force >/dev/null; }

# predict MODEL DATA BATCH [OPTION...] -> samples a second, latency, peak KiB
predict() {
    model=$1 input=$2 batch=$3
    shift 3
    /usr/bin/time -f %M -o "$folder/kib" "$mbrun" predict "$folder/$model.h5" --data "$folder/$input" -o "$folder/out.h5" \
        --batch "$batch" --threads "$threads" --json "$@" >"$folder/line"
    "$python" -c 'import json, sys
r = json.load(open(sys.argv[1])); print(r["samples_per_second"], r["batch_seconds"], open(sys.argv[2]).read().strip())' \
        "$folder/line" "$folder/kib"
}
# compare INPUT BATCH MODEL...: the first is what the others are compared with
compare() {
    input=$1 batch=$2
    shift 2
    for model; do : >"$folder/times-$model"; done
    for _ in $(seq "$runs"); do
        for model; do predict "$model" "$input" "$batch" >>"$folder/times-$model"; done
    done
    "$python" "$here/quantized_medians.py" "$folder" "$@"
}

for part in $parts; do
    case $part in
    batch)
        "$mbrun" new mlp -o "$folder/mlp.h5" input=2048 hidden=2048,2048,2048,2048 classes=1000 >/dev/null
        "$mbrun" new gpt -o "$folder/encoder.h5" layers=12 width=768 heads=12 length=128 >/dev/null
        data mlp.in 8192 2048
        ids encoder.in 32 128
        for model in mlp encoder; do quantize "$folder/$model" int8; done
        echo "batch prediction, $threads thread(s)"
        compare mlp.in 256 mlp mlp-int8
        compare encoder.in 8 encoder encoder-int8
        rm -f "$folder"/*.h5
        ;;
    one)
        "$mbrun" new mlp -o "$folder/large.h5" input=8192 hidden=8192,8192,8192,8192,8192,8192 classes=8192 >/dev/null
        data large.in 24 8192
        for format in int8 int4; do quantize "$folder/large" "$format"; done
        echo "one sample at a time, 7 matrices of 8192 x 8192, $threads thread(s)"
        compare large.in 1 large large-int8 large-int4
        rm -f "$folder"/large*.h5
        ;;
    memory)
        "$mbrun" new mlp -o "$folder/wide.h5" input=8192 hidden=8192,8192,8192,8192,8192,8192,8192 classes=8192 >/dev/null
        data wide.in 64 8192
        for format in bf16 int8 int4; do
            quantize "$folder/wide" "$format"
            predict "wide-$format" wide.in 16 >"$folder/peak"
            stored=$(stat -c %s "$folder/wide-$format.h5")
            awk -v f="$format" -v s="$stored" '{ printf "peak memory, %s: %.1f MiB, %.3f x the stored %.1f MiB\n",
                f, $3 / 1024, $3 * 1024 / s, s / 1048576 }' "$folder/peak"
            rm -f "$folder/wide-$format.h5"
        done
        rm -f "$folder"/wide*
        ;;
    stages)
        "$mbrun" new mlp -o "$folder/even.h5" input=2048 hidden=2048,2048,2048,2048,2048,2048,2048 classes=2048 >/dev/null
        data even.in 16384 2048
        : >"$folder/times-even" && : >"$folder/times-even2"
        for _ in $(seq "$runs"); do
            for ranks in 1 2; do
                mpirun -np "$ranks" --bind-to none "$mbrun" predict "$folder/even.h5" --data "$folder/even.in" \
                    -o "$folder/out.h5" --batch 128 --threads 1 --stages "$ranks" --json |
                    "$python" -c 'import json, sys
r = json.load(sys.stdin); print(r["samples_per_second"], r["batch_seconds"], 0)' >>"$folder/times-even$([ "$ranks" = 1 ] || echo 2)"
            done
        done
        echo "2 stages x 1 thread beside one rank x 1 thread (2.000 would be ideal)"
        "$python" "$here/quantized_medians.py" "$folder" even even2
        rm -f "$folder"/even*
        ;;
    esac
done
