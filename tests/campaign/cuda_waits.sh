#!/bin/sh
# Whether every wait between streams, and of the host for one, is needed: each is taken away alone, in a copy
# of the sources, and runs on the simulated CUDA must then differ from the undisturbed ones, fail or hang.
#
#     tests/campaign/cuda_waits.sh FOLDER [FILE:LINE...]
#
# in a build folder that has mbcudasim.so; MB_SRCDIR names the sources (default: the folder above). FOLDER gets
# the copy, its build, and a line in FOLDER/results for each wait; waits that have one are left out, so the
# campaign goes on where it was stopped. SEEDS (1 2 3) are those of the simulation, RUNS names the runs to make.
# Prints a Markdown table. Fails when a wait was not missed.
[ $# -ge 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MPIEXEC=${MPIEXEC-mpirun}
mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit 1
shift
SEEDS=${SEEDS-1 2 3}
RUNS=${RUNS-nccl staged aware summed validated resumed clipped predicted evaluated quantized failing}
. "$MB_SRCDIR/tests/support/environment.sh"
results=$folder/results
touch "$results"

scratch=$folder/scratch
rm -rf "$scratch" && mkdir -p "$scratch"

# ---- the copy: one build, whose waits are left out by name

# disturb FILE NAME: each wait w becomes MB_WITHOUT("NAME:LINE") ? MB_OK : w, and a query answers yes.
# Prints the names and calls to fd 3.
disturb() {
    awk -v name="$2" '
    BEGIN {
        object = "([a-z_]+(\\([a-z]*\\))?->)*"
        call = object "(mb_lane_follow|mb_lane_lead|mb_lane_wait|stream_wait_event|mb_exec_await|mb_exec_sync" \
            "|stream_sync|cudaStreamSynchronize|cudaStreamWaitEvent|mb_channel_settle|event_query)\\("
        print "#include \"mb_without.h\"\n#line 1"
    }
    /^ / && match($0, call) {
        at = RSTART
        what = substr($0, at, RLENGTH - 1)
        kept = "MB_OK"
        if (what ~ /^cuda/)
            kept = "cudaSuccess"
        if (what ~ /event_query$/) {
            done = substr($0, at + RLENGTH)
            sub(/^[^,]*, /, "", done)
            sub(/\).*/, "", done)
            kept = "mb_without_asking(" done ")"
        }
        sub(/.*->/, "", what)
        printf "%s:%d %s\n", name, FNR, what | "cat >&3"
        $0 = substr($0, 1, at - 1) "MB_WITHOUT(\"" name ":" FNR "\") ? " kept " : " substr($0, at)
    }
    { print }' "$1"
}

# The CPU's streams have nothing to wait for.
files() {
    (cd "$MB_SRCDIR" && find src/device src/comm src/engine src/infer src/train src/compress -name '*.c' \
        ! -path 'src/device/cpu/*' | sort)
}

write_header() {
    cat <<'END'
char *getenv(const char *name);
int strcmp(const char *a, const char *b);
#define MB_WITHOUT(name) (getenv("MB_WITHOUT") != NULL && strcmp(getenv("MB_WITHOUT"), name) == 0)
#define mb_without_asking(done) (*(done) = true, MB_OK)
END
}

copy_sources() {
    rm -rf "$folder/source" "$folder/waits"
    mkdir -p "$folder/source"
    (cd "$MB_SRCDIR" && tar -cf - --exclude=./.git --exclude=./build --exclude='*.o' .) |
        (cd "$folder/source" && tar -xf -) || exit 1
    write_header >"$folder/source/src/mb_without.h"
    for file in $(files); do
        disturb "$MB_SRCDIR/$file" "${file#src/}" >"$scratch/disturbed" 3>"$scratch/waits"
        [ -s "$scratch/waits" ] || continue
        cp "$scratch/disturbed" "$folder/source/$file"
        cat "$scratch/waits" >>"$folder/waits"
    done
}

# Kernels and the simulation have no waits: their objects serve as they are.
build() {
    [ ! -e "$folder/source/build/complete" ] || return 0
    copy_sources
    mkdir -p "$folder/source/build" && cd "$folder/source/build" || exit 1
    eval "../configure $("$MB_BUILDDIR/config.status" --config)" >"$folder/build.log" 2>&1 &&
        mkdir -p kernels tests/cudasim && cp "$MB_BUILDDIR"/kernels/*.simo kernels &&
        cp "$MB_BUILDDIR"/tests/cudasim/*.simo tests/cudasim &&
        make -j "${JOBS-2}" mbrun mbcudasim.so >>"$folder/build.log" 2>&1 && touch complete ||
        { tail -n 5 "$folder/build.log" && exit 1; }
}

build
MBRUN=$folder/source/build/mbrun
export MB_PLUGINS=$folder/source/build OMP_WAIT_POLICY=passive
export MB_CUDASIM_DEVICES=4 MB_CUDASIM_PAGEABLE=late MB_CUDASIM_SEED

# ---- the runs: each prints what must not change

fixtures=$MB_SRCDIR/tests/fixtures
cp "$fixtures"/*.h5 "$folder" && chmod u+w "$folder"/*.h5 && rm -f "$folder"/*.ref.h5
"$MBRUN" new mlp -o "$folder/mlp_dropout.h5" hidden=24,20,16 activation=tanh dropout=0.3 --force >/dev/null || exit 1

# on RANKS COMMAND...: says how it ended where it failed.
on() {
    ranks=$1
    shift
    timeout -k 5 "${LIMIT-60}" "$MPIEXEC" -n "$ranks" "$MBRUN" "$@" --device cudasim --threads 1 \
        >"$scratch/out" 2>&1 </dev/null
    status=$?
    [ $status -eq 0 ] || echo "exit code $status"
}

# train RANKS MODEL OPTION...: many more micro-batches than a stage has slots, so that every buffer is used again.
train() {
    rm -rf "$scratch/run"
    more "$@"
}

more() {
    ranks=$1 name=$2
    shift 2
    on "$ranks" "$folder/$name.h5" --data "$fixtures/${name%_*}.ref.h5" --run "$scratch/run" \
        --batch 48 --micro-batch 2 --quiet "$@"
    "$MBRUN" inspect --digest "$scratch/run/final.h5" 2>&1
    sed -n 's/.*"step": \([0-9]*\).*"split": "\([a-z]*\)", "loss": \([^,]*\).*/\1 \2 \3/p' "$scratch/run/metrics.jsonl"
}

run_nccl() {
    train 4 mlp_dropout --transport nccl --stages 2 --replicas 2 --steps 3
    train 2 mlp --transport nccl --stages 1 --replicas 2 --steps 3
}

run_staged() {
    train 3 mlp_dropout --transport staged --stages 3 --replicas 1 --steps 3
    train 4 mlp --transport staged --stages 2 --replicas 2 --steps 3
}

run_aware() {
    MB_MPI_CUDA_AWARE=1 MB_CUDASIM_PROTECT=0
    export MB_MPI_CUDA_AWARE MB_CUDASIM_PROTECT
    train 4 mlp_dropout --transport mpi --stages 2 --replicas 2 --steps 3
    unset MB_MPI_CUDA_AWARE MB_CUDASIM_PROTECT
}

run_summed() {
    train 4 mlp_dropout --transport nccl --reduce nccl --stages 2 --replicas 2 --steps 3
    train 2 mlp --transport nccl --reduce nccl --stages 1 --replicas 2 --steps 3
}

# Only the first group's ranks wait for their devices at each step's loss: the others run ahead.
run_validated() {
    train 2 regularized --stages 2 --replicas 1 --val-split 0.2 --epochs 2 --batch 128
    train 2 mlp --stages 1 --replicas 2 --val-split 0.2 --epochs 2 --batch 128
}

run_resumed() {
    train 2 mlp --stages 2 --replicas 2 --steps 2 --optimizer adam
    more 2 mlp --stages 1 --replicas 2 --steps 4 --optimizer adam
}

run_clipped() {
    train 2 scaled --stages 2 --replicas 1 --steps 3 --dtype fp16 --clip 0.1
}

run_predicted() {
    rm -f "$scratch/outputs.h5"
    on 2 predict "$fixtures/mlp.h5" --data "$fixtures/mlp.ref.h5" --stages 2 --batch 8 -o "$scratch/outputs.h5"
    cksum <"$scratch/outputs.h5"
}

run_evaluated() {
    on 2 eval "$fixtures/mlp.h5" --data "$fixtures/mlp.ref.h5" --stages 2 --micro-batch 4
    grep -E 'loss|accuracy' "$scratch/out"
}

# quantize NAME FORMAT OPTION...
quantize() {
    name=$1 format=$2
    shift 2
    rm -f "$scratch/small.h5"
    on 1 quantize "$fixtures/$name.h5" --data "$fixtures/$name.ref.h5" --samples 64 --batch 16 --format "$format" \
        -o "$scratch/small.h5" "$@"
    "$MBRUN" inspect --digest "$scratch/small.h5" 2>&1
    grep -E 'loss|accuracy' "$scratch/out"
    on 1 eval "$scratch/small.h5" --data "$fixtures/$name.ref.h5"
    grep -E 'loss|accuracy' "$scratch/out"
}

run_quantized() {
    quantize regularized int8
    quantize cnn int4 --method gptq
    quantize mlp int4 --max-drop 0.1%
}

# A rank whose device fails takes the other along, which waits for it on its own device. How far they came is
# left to chance.
run_failing() {
    MB_CUDASIM_FAIL=cudaGraphLaunch:4:1
    export MB_CUDASIM_FAIL
    train 2 mlp --transport nccl --stages 2 --replicas 1 --steps 3 | grep 'exit code'
    unset MB_CUDASIM_FAIL
}

# ---- the judgement

# make_run NAME SEED: what must not change, in $scratch/found.
make_run() {
    MB_CUDASIM_SEED=$2
    "run_$1" >"$scratch/found" 2>&1
}

# A seed chooses algorithms of products too, whose sums differ; what else differs is no use here.
undisturbed() {
    [ ! -e "$folder/expected.$1.$2" ] || return 0
    make_run "$1" "$2"
    mv "$scratch/found" "$scratch/expected"
    make_run "$1" "$2"
    diff "$scratch/expected" "$scratch/found" || { echo "$1: the undisturbed build differs with seed $2" && exit 1; }
    mv "$scratch/expected" "$folder/expected.$1.$2"
}

# first_runs WAIT: those that are likely to miss it.
first_runs() {
    case $1 in
    comm/transport_staged* | comm/transport_queue*) echo staged aware ;;
    comm/transport_aware*) echo aware ;;
    comm/reduce_link*) echo summed ;;
    compress/* | engine/stage_values* | train/stored_sums*) echo quantized ;;
    infer/predictor*) echo predicted ;;
    train/moments*) echo resumed ;;
    train/update*) echo clipped ;;
    train/evaluate* | train/score*) echo validated ;;
    esac
}

difference() {
    diff "$folder/expected.$1.$2" "$scratch/found" | sed -n 's/^> //p' | grep -m 1 'exit code' ||
        echo "other results"
}

judge() {
    export MB_WITHOUT="$1"
    for seed in $SEEDS; do
        for run in $(first_runs "$1") $RUNS; do
            make_run "$run" "$seed"
            cmp -s "$scratch/found" "$folder/expected.$run.$seed" && continue
            echo "$1 $2 missed: $run, seed $seed: $(difference "$run" "$seed")" >>"$results"
            return
        done
    done
    echo "$1 $2 not missed" >>"$results"
}

for seed in $SEEDS; do
    for run in $RUNS; do
        undisturbed "$run" "$seed"
    done
done
while read -r wait call; do
    [ $# -eq 0 ] || case " $* " in *" $wait "*) ;; *) continue ;; esac
    grep -q "^$wait " "$results" || judge "$wait" "$call" </dev/null
done <"$folder/waits"

echo "| wait | call | missed by |"
echo "|---|---|---|"
sed 's/^\([^ ]*\) \([^ ]*\) \(missed: \)\{0,1\}/| `\1` | `\2` | /; s/$/ |/' "$results"
! grep ' not missed$' "$results" >/dev/null
