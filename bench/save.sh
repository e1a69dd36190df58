#!/bin/sh
# What a checkpoint costs the steps, and how fast it is written, beside plain writes of the same bytes.
#
#     bench/save.sh BUILD FOLDER [ROUNDS] [RANKS]
#
# BUILD has mbrun and bench/save (make bench/save); FOLDER, which must not be there, is where files are written, on
# the disk that is meant. The GPT of bench/compare.sh with a checkpoint every 10 steps: never, sync and async by turns,
# ROUNDS times (5) on RANKS ranks (1), so that a machine that drifts drifts for all. Then 400 MB of weights and moments
# from 2 ranks. MPIEXEC starts the ranks (mpirun), PREFIX stands in front of it.
set -eu
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2; }
build=$1 folder=$2 rounds=${3:-5} ranks=${4:-1}
mkdir "$folder"
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
run() { # RANKS WORDS...
    n=$1
    shift
    ${PREFIX-} "${MPIEXEC:-mpirun}" -n "$n" "$build/bench/save" "$@"
}

"$build/mbrun" new gpt -o "$folder/gpt.h5" layers=6 width=384 heads=6 length=256 vocabulary=256 \
    --optimizer adamw --lr 1e-3 --clip 1 >/dev/null
seq 1 200000 >"$folder/text.txt"
"$build/mbrun" data "$folder/text.txt" -o "$folder/text.h5" >/dev/null
for round in $(seq "$rounds"); do
    for mode in never sync async; do
        every=checkpoint-every=10
        [ $mode != never ] || every=checkpoint-every=never
        run "$ranks" steps "$folder/gpt.h5" "$folder/text.h5" "$folder/run" batch=16 micro-batch=4 steps=35 \
            "$every" keep=1 checkpoint-mode="$(echo $mode | sed s/never/sync/)" >>"$folder/$mode"
    done
done
"$build/mbrun" new gpt -o "$folder/large.h5" layers=6 width=672 heads=6 length=64 vocabulary=256 --optimizer adamw >/dev/null
run 2 writes "$folder/large.h5" "$folder/text.h5" "$folder" "$rounds" stages=2 partition=counted batch=2 \
    checkpoint-mode=sync >"$folder/writes"
python3 - "$folder" <<'END'
import json, statistics, sys

def lines(name):
    return [json.loads(line) for line in open(sys.argv[1] + "/" + name)]

print("| checkpoints | median step | longest step | copy | stopped | written in |")
print("|---|---|---|---|---|---|")
median = {}
for mode in ("never", "sync", "async"):
    runs = lines(mode)
    of = lambda key: statistics.median(run[key] for run in runs)
    median[mode] = statistics.median(statistics.median(run["steps"]) for run in runs)
    longest = statistics.median(max(run["steps"]) for run in runs)
    print(f"| {mode} | {median[mode] * 1e3:.1f} ms ({100 * (median[mode] / median['never'] - 1):+.1f} %) "
          f"| {longest * 1e3:.1f} ms | {of('copy') * 1e3:.1f} ms | {of('stopped') * 1e3:.1f} ms | {of('total') * 1e3:.0f} ms |")
for one in lines("writes"):
    rate = {key: one["bytes"] / 1e6 / statistics.median(one[key]) for key in ("checkpoint", "plain")}
    print(f"\n{one['bytes'] / 1e6:.0f} MB from 2 ranks, fsync included: {rate['checkpoint']:.0f} MB/s, plain writes "
          f"{rate['plain']:.0f}: {rate['checkpoint'] / rate['plain']:.2f} times")
END
