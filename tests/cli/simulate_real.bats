#!/usr/bin/env bats
# mbrun simulate --compute real: ranks of one process compute what ranks over MPI do.
load helper

model() {
    "$MBRUN" new mlp -o m.h5 input=28x28x1 hidden=24,24,24,24 dropout=0.1
    fixture mlp
    fixed="m.h5 --replicas 4 --batch 24 --micro-batch 2 --seed 3 --data data.h5 --steps 3"
}

# trains NAME RANKS OPTION...: over MPI; losses and digest in NAME.
trains() {
    local name=$1 ranks=$2
    shift 2
    # shellcheck disable=SC2086
    ranks "$ranks" $fixed --threads 1 --quiet --run "$name.run" "$@"
    sed 's/.*"loss": \([^,]*\),.*/\1/' "$name.run/metrics.jsonl" >"$name"
    digest "$name.run/final.h5" | sed -n 's/^weights *//p' >>"$name"
}

# computes NAME RANKS OPTION...: the same in one process.
computes() {
    local name=$1 ranks=$2
    shift 2
    # shellcheck disable=SC2086
    "$MBRUN" simulate $fixed --compute real --ranks "$ranks" --json "$@" >"$name.json"
    sed 's/.*"losses":\[\([^]]*\)\],"weights":"\([^"]*\)".*/\1,\2/' "$name.json" | tr ',' '\n' >"$name"
}

@test "losses and weights have the bits of a run over MPI, on any layout" {
    model
    trains one 1
    [ "$(wc -l <one)" -eq 4 ]
    trains two 4 --stages 2 --schedule zb-h1
    cmp one two
    trains three 2 --stages 2 --schedule interleaved --recompute full
    cmp one three
    trains four 2 --stages 2 --schedule 1f1b --recompute full:2
    cmp one four
    computes a 1
    computes b 4 --stages 2 --schedule zb-h1
    computes c 8 --stages 2 --schedule interleaved --zero 1 --recompute full
    computes d 6 --stages 3 --bucket 2000
    computes e 9 --stages 2 --schedule zb-v
    computes h 8 --stages 2 --schedule zb-h1 --recompute full:2
    for name in a b c d e h; do cmp one $name; done
    # The model that is kept is the one that was digested.
    computes f 16 --stages 4 --clip 0.5 -o f.h5
    digest f.h5 | grep -q "^weights  $(tail -n 1 f)$"
    computes g 1 --clip 0.5
    cmp f g
    ! cmp -s a f
    [ ! -e m.run ]
}

# At 1 KiB most buckets are a layer, and more are under way than there are rooms for them. Clipping
# and the loss scale see all parts; averages and sums of several steps' gradients are shared out.
@test "summed gradients shared out over groups leave the bits as they are" {
    local options=(--clip 0.5 --optimizer adam:use_ema=true,gradient_accumulation_steps=2)
    fixture gpt
    for n in 2 3 4; do
        fixed="model.h5 --replicas $n --batch 12 --micro-batch $((12 / n)) --seed 3 --data data.h5 --steps 3 --bucket 1KiB"
        computes one 1 "${options[@]}"
        computes a "$n" "${options[@]}" --stages 1 --zero 1
        computes b "$n" "${options[@]}" --stages 1 --zero 2
        computes c $((2 * n)) "${options[@]}" --stages 2 --schedule interleaved --zero 2
        computes d $((2 * n)) "${options[@]}" --stages 2 --schedule zb-v --recompute full --zero 2
        for name in a b c d; do cmp one $name; done
    done
    fixture scaled
    fixed="model.h5 --replicas 4 --batch 12 --micro-batch 3 --data data.h5 --steps 4 --bucket 200 --emulate"
    computes one 1
    computes two 8 --stages 2 --zero 2
    cmp one two
}

@test "hundreds of ranks compute what one does" {
    "$MBRUN" new mlp -o m.h5 input=28x28x1 hidden=8,8,8
    fixture mlp
    fixed="m.h5 --replicas 128 --batch 256 --micro-batch 1 --data data.h5 --steps 2"
    computes one 1
    computes many 256 --stages 2 --schedule gpipe
    cmp one many
    is_reduced || {
        computes most 512 --stages 4 --zero 1
        cmp one most
    }
}

@test "a step of one pipeline takes as long as where it is only timed" {
    model
    for schedule in 1f1b zb-h1 interleaved; do
        same="m.h5 --stages 2 --ranks 2 --replicas 1 --batch 24 --micro-batch 2 --schedule $schedule --jitter 10% --straggler 1:1.5 --json"
        # shellcheck disable=SC2086
        "$MBRUN" simulate $same >timed.json
        # shellcheck disable=SC2086
        "$MBRUN" simulate $same --compute real --data data.h5 | sed 's/,"losses".*/}/' >real.json
        cmp timed.json real.json
    done
}

# step_of OPTION...: both ways, on a hardware file whose links groups and pipelines crowd on.
takes_as_long() {
    "$MBRUN" simulate "$@" --json >timed.json
    "$MBRUN" simulate "$@" --json --compute real --data data.h5 | sed 's/,"losses".*/}/' >real.json
    cmp timed.json real.json || { printf '%s: ' "$*" && cat timed.json real.json && false; }
}

@test "a step of several groups takes as long as where it is only timed" {
    model
    cat >hw.json <<'END'
{"name": "slow links", "devices_per_node": 2, "flops": 1e9, "memory_bandwidth": 1e9, "overhead": 0, "memory": 1000000000,
 "inside": {"latency": 1e-6, "bandwidth": 1e8, "occupies": 0.5}, "between": {"latency": 1e-5, "bandwidth": 3e7}}
END
    same="m.h5 --stages 2 --batch 24 --micro-batch 2 --hardware hw.json --jitter 10% --straggler 1:1.5 --seed 3"
    # shellcheck disable=SC2086
    {
        takes_as_long $same --ranks 4 --replicas 2
        takes_as_long $same --ranks 4 --replicas 4 --schedule zb-h1 --bucket 4KiB
        takes_as_long $same --ranks 8 --replicas 4 --schedule interleaved --bucket 4KiB --zero 1
        takes_as_long $same --ranks 6 --replicas 3 --schedule zb-v --recompute full
        takes_as_long $same --ranks 10 --replicas 12 --bucket 1KiB
        takes_as_long $same --ranks 24 --replicas 12 --bucket 1KiB --zero 2
        takes_as_long $same --ranks 22 --replicas 11 --bucket 1KiB --zero 1 --stages 1 --batch 22
    }
}

@test "a fault in a rank's step ends both with one message" {
    model
    images 64 28 28 >x-images-idx3-ubyte
    { labels 63 '\1' && printf '\12'; } >y-labels-idx1-ubyte
    { idx 8 64 && head -c 63 /dev/zero && printf '\12'; } >x-labels-idx1-ubyte
    wrong="m.h5 --replicas 1 --batch 16 --micro-batch 2 --stages 2 --data x-images-idx3-ubyte --steps 4 --no-shuffle"
    # shellcheck disable=SC2086
    refused 1 'rank 1 on [^ ]* in stage 1, step 4, [^:]*: .*x-labels-idx1-ubyte.*sample 63:.*10.*0 to 9' 2 $wrong --threads 1 --trace
    grep '^mbrun: error' <<<"$output" | sed 's/ on [^ ]* in / in /' >over_mpi
    # shellcheck disable=SC2086
    refused 1 'rank 1 .*sample 63' 1 simulate $wrong --ranks 2 --compute real --trace sim.json
    grep '^mbrun: error' <<<"$output" | cmp - over_mpi
    # What each rank had done until then is in both traces; nothing else of that is left behind.
    for trace in m.run/trace.json sim.json; do
        run -0 "$MBRUN" trace $trace
        grep -q "^trace  *$trace: 2 ranks, [34] steps" <<<"$output"
    done
    run -0 ls m.run
    run -1 grep tmp <<<"$output"
}

@test "a layer that fails does so in both, with one message" {
    own=$MB_SRCDIR/examples/plugin
    fault='s/^    return mb->map(run, "multiply", 2, factors, &dbeta);/    (void)factors, (void)dbeta;\n    return mb->error(MB_ERR_NUMERIC, "a seeded fault");/'
    sed "$fault" "$own/swish2.c" >swish2.c
    ! cmp -s swish2.c "$own/swish2.c"
    # shellcheck disable=SC2086
    ${CC-cc} -fPIC -shared -I "$MB_SRCDIR/include" -I "$own" -o bad.so swish2.c "$own"/{own,soft_clip,pinball,wave}.c -lm
    wrong="$own/model.h5 --plugin ./bad.so --data $own/train.wave --batch 32 --replicas 1 --micro-batch 8 --stages 2 --schedule zb-h1 --steps 2"
    # shellcheck disable=SC2086
    refused 1 "layer 'swish2.*: a seeded fault" 2 $wrong --threads 1 --run bad.run
    grep '^mbrun: error' <<<"$output" >over_mpi
    # shellcheck disable=SC2086
    refused 1 'a seeded fault' 1 simulate $wrong --ranks 2 --compute real
    grep '^mbrun: error' <<<"$output" | cmp - over_mpi
}

@test "weights are digested without a file" {
    model
    # shellcheck disable=SC2086
    TMPDIR=$PWD/nowhere run -0 "$MBRUN" simulate $fixed --ranks 4 --stages 2 --compute real --steps 1 -o kept.h5
    weights=$(sed -n 's/^weights *//p' <<<"$output")
    ls >before
    # shellcheck disable=SC2086
    TMPDIR=$PWD/nowhere run -0 "$MBRUN" simulate $fixed --ranks 4 --stages 2 --compute real --steps 1
    grep -q "^weights $weights$" <<<"$output"
    digest kept.h5 | grep -q "^weights  *$weights$"
    ls | grep -vx before | cmp - <(grep -vx before before)
}

@test "a lost rank is named, and who waits for it, and what led to it is traced" {
    model
    # shellcheck disable=SC2086
    refused 1 'rank 1 is lost from step 2 on (stage 1, group 0); rank 0: receiving the gradient of .*, step 2, stage 0, micro-batch 0, peer rank 1' \
        1 simulate $fixed --ranks 4 --stages 2 --compute real --lose 1@2 --trace t.json
    run -0 "$MBRUN" trace t.json
    grep -q '^trace  *t.json: 4 ranks, 2 steps' <<<"$output"
}

@test "a run and its simulation do the same actions in the same order" {
    model
    trains run 4 --stages 2 --schedule zb-v --trace --partition counted
    computes sim 4 --stages 2 --schedule zb-v --trace t.json --partition counted
    run -0 "$MBRUN" trace run.run/trace.json t.json
    grep -q "^order  *the same actions in the same order on all ranks" <<<"$output"
    cmp run sim
}

@test "what cannot be computed is refused" {
    model
    timed="m.h5 --ranks 2 --stages 2"
    # shellcheck disable=SC2086
    {
        refused 2 '--compute reel: there are timed and real' 1 simulate $timed --compute reel
        refused 2 '--clip: .*--compute real' 1 simulate $timed --clip 1
        refused 2 '--output: .*--compute real' 1 simulate $timed -o out.h5
        refused 2 'm.h5: no data to train on' 1 simulate $timed --compute real
        refused 1 'none.h5' 1 simulate $timed --compute real --data none.h5
        refused 1 'nowhere/out.h5' 1 simulate $timed --compute real --data data.h5 -o nowhere/out.h5
    }
}
