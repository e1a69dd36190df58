#!/bin/sh
# Training on the simulated CUDA with N seeds of the order in which its streams and the threads of its blocks
# run: two replicas on 2 ranks, each with both replicas of a stage, and on 4 ranks in 2 stages and in 4, must all
# leave the same bits.
#
#     tests/campaign/interleavings.sh RESULTS [FIRST [N]]
#
# in a build folder after make mbrun cudasim; FIRST seed 1 and N 200 by default. RESULTS gets a line for each
# run, and runs that have one are left out: the campaign goes on where it was stopped.
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
. "$MB_SRCDIR/tests/support/environment.sh"
[ -e "$MB_BUILDDIR/mbcudasim.so" ] || { echo "make cudasim first" && exit 2; }
results=$1 first=${2-1} seeds=${3-200}
export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_DEVICES=4 MB_CUDASIM_ALGORITHMS=1 OMP_WAIT_POLICY=passive
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-interleavings.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
touch "$results" || exit 1

# train MODEL RANKS STAGES SEED: a digest, or what was said instead.
train() {
    rm -rf "$scratch/run"
    MB_CUDASIM_SEED=$4 timeout -k 5 600 "$MPIEXEC" -np "$2" "$MBRUN" \
        "$MB_SRCDIR/tests/fixtures/$1.h5" --data "$MB_SRCDIR/tests/fixtures/$1.ref.h5" \
        --device cudasim --run "$scratch/run" --stages "$3" --replicas 2 --batch 16 --micro-batch 4 --steps 3 \
        --checkpoint-every never --quiet >"$scratch/said" 2>&1 &&
        "$MBRUN" inspect --digest "$scratch/run/final.h5" 2>&1 | sed -n 's/^full *//p' || tail -n 1 "$scratch/said"
}

# try MODEL RANKS STAGES SEED: unless it has a result.
try() {
    grep -q "^$1 $2 $3 $4: " "$results" || echo "$1 $2 $3 $4: $(train "$@")" >>"$results"
}

began=$(date +%s)
for seed in $(seq "$first" $((first + seeds - 1))); do
    for model in mlp gpt; do
        try $model 2 2 "$seed"
        try $model 4 2 "$seed"
        try $model 4 4 "$seed"
    done
done

echo "| model | runs | digests |"
echo "|---|---:|---:|"
for model in mlp gpt; do
    awk -v model=$model '$1 == model && $5 ~ /^[0-9a-f]+$/ { runs++; digests += !seen[$5]++ }
        END { printf "| %s | %d | %d |\n", model, runs, digests }' "$results"
done
echo "# $(($(date +%s) - began)) s"
# Each run has a digest, and each model one.
awk '$5 !~ /^[0-9a-f]+$/ || NF > 5 || ($1 in digest && digest[$1] != $5) { print; bad = 1 }
    { digest[$1] = $5 } END { exit bad }' "$results"
