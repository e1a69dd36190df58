#!/usr/bin/env bats
# Runs: what they say and keep, going on with them, which option counts.
load helper

stop_after_start() {
    local pid=$1 directory=$2 code=0
    wait_for 60 test -s "$directory/metrics.jsonl" || true
    sleep 0.3
    kill -USR1 "$pid"
    wait "$pid" || code=$?
    [ $code -eq 85 ]
}

@test "a run says where its results lie, and keeps what it said" {
    fixture mlp
    run -0 ranks 1 model.h5 --data data.h5 --epochs 2
    grep -q '^model: *model.run/final.h5' <<<"$output"
    grep -q '^epoch 1/2  step 1/40  loss [0-9.]* ' <<<"$output"
    grep -q '^epoch 2/2  step 40/40 ' <<<"$output"
    grep -q '^epoch 2/2  step 40/40 ' model.run/log.txt
    [ "$(wc -l <model.run/metrics.jsonl)" -eq 40 ]
    run -0 "$MBRUN" inspect --verify model.run/final.h5
}

@test "a finished run says so and ends with 0" {
    fixture mlp
    run -0 ranks 1 model.h5 --data data.h5 --steps 3
    before=$(digest model.run/final.h5)
    for n in 1 3; do
        run -0 ranks $n model.h5 --data data.h5 --steps 3 --replicas 1
        grep -q 'finished: 3 of 3 steps' <<<"$output"
        grep -q -- '--epochs' <<<"$output"
        grep -q -- '--restart' <<<"$output"
    done
    [ "$before" = "$(digest model.run/final.h5)" ]
}

@test "losses have nine significant digits" {
    fixture mlp
    run -0 ranks 1 model.h5 --data data.h5 --steps 1
    [[ $output =~ loss\ [0-9]\.[0-9]{8}\  ]]
}

@test "quiet prints nothing" {
    fixture mlp
    run -0 ranks 1 model.h5 --data data.h5 --steps 2 --quiet
    [ -z "$output" ]
    grep -q 'step 2/2' model.run/log.txt
}

@test "json is one object a line on stdout, and nothing on stderr" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    fixture mlp
    ranks 1 model.h5 --data data.h5 --epochs 2 --val-split 0.2 --json >out 2>err
    [ ! -s err ]
    python3 - out <<'END'
import json, sys
events = [json.loads(line) for line in open(sys.argv[1])]
kinds = [event["event"] for event in events]
assert kinds[0] == "start" and kinds[-1] == "end", kinds
assert {"step", "validation", "saved"} <= set(kinds), kinds
assert events[-1]["state"] == "done" and events[-1]["step"] == 32, events[-1]
assert events[0]["batch"] == 32 and events[0]["samples"] == 512, events[0]
END
}

@test "the metrics are valid JSON lines" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    fixture mlp
    ranks 1 model.h5 --data data.h5 --epochs 2 --val data.h5 --quiet
    python3 - model.run/metrics.jsonl <<'END'
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert [line["step"] for line in lines if line["split"] == "train"] == list(range(1, 41))
assert [line["step"] for line in lines if line["split"] == "val"] == [20, 40]
END
}

@test "float16 trains under a loss scale, which the metrics and checkpoints tell" {
    fixture scaled
    ranks 1 model.h5 --data data.h5 --steps 3 --batch 16 --emulate --quiet
    [ "$(grep -o '"loss_scale": [0-9]*' model.run/metrics.jsonl | tr '\n' ' ')" = \
        '"loss_scale": 134217728 "loss_scale": 67108864 "loss_scale": 33554432 ' ]
    "$MBRUN" inspect model.run/final.h5 | grep -q '^loss scale *16777216, 3 steps left out'
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 2 --dtype fp16 --emulate --run half.run --quiet
    [ "$(field loss_scale half.run/metrics.jsonl)" = 32768 ]
    both 1 'keras-optimizer.*LossScaleOptimizer' model.h5 --data data.h5 --steps 2 --dtype fp16 \
        --emulate --keras-optimizer --run other.run
}

@test "the CPU refuses TF32, naming what it has" {
    fixture mlp
    both 1 'no TF32.*--dtype fp32, or bf16' model.h5 --data data.h5 --steps 2 --dtype tf32
}

@test "a run's model is evaluated and predicts in the type it was trained in" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 3 --dtype bf16 --emulate --quiet
    for how in '' '--dtype bf16' '--dtype fp32'; do
        ranks 1 eval model.run/final.h5 --data data.h5 $how | head -n 1 >"eval$how"
        ranks 1 predict model.run/final.h5 --data data.h5 -o "out$how.h5" $how >/dev/null
    done
    cmp eval 'eval--dtype bf16'
    cmp out.h5 'out--dtype bf16.h5'
    run ! cmp -s eval 'eval--dtype fp32'
    run ! cmp -s out.h5 'out--dtype fp32.h5'
}

@test "SIGUSR1 stops with 85, and another layout goes on to the same bits" {
    fixture mlp
    options="--data data.h5 --replicas 2 --micro-batch 8 --threads 1 --checkpoint-every never"
    "$MPIEXEC" -n 2 "$MBRUN" model.h5 $options --epochs 100000 --run parts.run --stages 2 --trace \
        >out 2>&1 3>&- &
    stop_after_start $! parts.run
    grep -q 'stopped on request after step' out
    [ ! -e parts.run/final.h5 ]
    run -0 "$MBRUN" trace parts.run/trace.json
    grep -q 'parts.run/trace.json: 2 ranks, 4 steps' <<<"$output"
    steps=$(($(field step parts.run/metrics.jsonl) + 5))
    run -0 ranks 3 model.h5 $options --steps $steps --run parts.run --stages 1
    grep -q 'going on from step' <<<"$output"
    ranks 1 model.h5 $options --steps $steps --run whole.run --quiet
    [ "$(digest whole.run/final.h5)" = "$(digest parts.run/final.h5)" ]
    cut -d, -f1-4 whole.run/metrics.jsonl >a
    cut -d, -f1-4 parts.run/metrics.jsonl >b
    cmp a b
}

@test "on a terminal one live line is rewritten and erased" {
    script -qec true /dev/null >/dev/null 2>&1 || skip "script (bsdutils) is not installed"
    fixture mlp
    script -qec "$MBRUN model.h5 --data data.h5 --epochs 2" typescript >/dev/null
    tr '\r' '\n' <typescript >lines
    grep -q 'step 1/20 .*samples/s' lines
    grep -q 'epoch 2/2  step 40/40  loss' lines
    grep -q "$(printf '\033')\[K" lines
    ! grep -q "$(printf '\033')" model.run/log.txt
}

@test "SIGINT and SIGTERM stop with 85 after a checkpoint" {
    fixture mlp
    for signal in INT TERM; do
        rm -rf model.run
        # A shell starts what runs in its background with SIGINT ignored; env puts that right.
        env --default-signal=INT "$MBRUN" model.h5 --data data.h5 --epochs 100000 --quiet 3>&- &
        first=$!
        wait_for 30 test -s model.run/metrics.jsonl
        kill -$signal $first
        code=0
        wait $first || code=$?
        [ $code -eq 85 ]
        "$MBRUN" inspect --verify "$(ls model.run/step-*.h5 | tail -n 1)"
    done
}

@test "SIGUSR2 says where every rank stands, and the run goes on" {
    fixture mlp
    "$MPIEXEC" -n 2 "$MBRUN" model.h5 --data data.h5 --epochs 100000 --stages 2 >out 2>&1 3>&- &
    first=$!
    wait_for 60 test -s model.run/metrics.jsonl
    kill -USR2 $first
    wait_for 20 grep -q '^rank 1 on .*stage 1' out || true
    stop_after_start $first model.run
    grep -q '^rank 0 on .*: stage 0' out
    grep -q '^rank 1 on .*: stage 1' out
}

@test "going on with another seed, batch or data is refused, with the ways out" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 2 --quiet
    for option in '--seed 7' '--batch 16' '--lr 0.5' '--replicas 2'; do
        both 2 '--run NEW.*--restart' model.h5 --data data.h5 --steps 4 $option
    done
    images 320 28 28 >x-images-idx3-ubyte
    labels 320 '\1' >x-labels-idx1-ubyte
    both 2 '--run NEW.*--restart' model.h5 --data x-images-idx3-ubyte --steps 4
    run -0 ranks 1 model.h5 --data data.h5 --steps 4
    grep -q 'going on from step 2 ' <<<"$output"
}

@test "ranks whose bits would differ are refused, and a run that goes on so says what differs" {
    [ "$(uname -m)" = x86_64 ] || skip "oneDNN has one instruction set here"
    fixture mlp
    run -1 "$MPIEXEC" -n 1 "$MBRUN" model.h5 --data data.h5 --steps 2 : \
        -n 1 env ONEDNN_MAX_CPU_ISA=SSE41 "$MBRUN" model.h5 --data data.h5 --steps 2
    grep -q '^mbrun: error: rank 0 on .* computes with "isa 0x.*" and rank 1 on .* with "isa 0x1"' \
        <<<"$output"
    ranks 1 model.h5 --data data.h5 --steps 2 --quiet
    run -0 ranks 1 model.h5 --data data.h5 --steps 3
    run ! grep 'computed with' <<<"$output"
    ONEDNN_MAX_CPU_ISA=SSE41 run -0 ranks 1 model.h5 --data data.h5 --steps 4
    grep -q 'so far the run computed with "isa 0x.*", from here on with "isa 0x1"' <<<"$output"
}

@test "ranks stay on the cores that mpirun was given, and on those they are bound to" {
    command -v taskset >/dev/null || skip "taskset is not installed"
    [ "$(nproc)" -gt 1 ] || skip "there is one core"
    fixture mlp
    first=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
    options="model.h5 --data data.h5 --steps 1 --restart"
    for bind in "" "--bind-to core" "--bind-to none"; do
        run -0 taskset -c "$first" "$MPIEXEC" -n 2 $bind "$MBRUN" $options
        echo "$output" && grep -q "CPU: 1 thread, .*, cores $first, all that" <<<"$output"
    done
    run -0 taskset -c "$first" "$MBRUN" $options
    grep -q "CPU: 1 thread, .*, cores $first, all that the ranks were bound to" <<<"$output"
    run -0 "$MPIEXEC" -n 1 "$MBRUN" $options
    run ! grep -q 'all that' <<<"$output"
}

@test "restart begins again" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --steps 2 --quiet
    ranks 1 model.h5 --data data.h5 --steps 3 --seed 5 --restart --quiet
    ranks 1 model.h5 --data data.h5 --steps 3 --seed 5 --run other.run --quiet
    [ "$(digest model.run/final.h5)" = "$(digest other.run/final.h5)" ]
    [ "$(wc -l <model.run/metrics.jsonl)" -eq 3 ]
}

@test "the command line wins over the file, and the file over Keras" {
    fixture mlp
    keras=$(ranks 1 model.h5 --data data.h5 --steps 2 --run a.run --quiet && field lr a.run/metrics.jsonl)
    "$MBRUN" configure model.h5 --data data.h5 --steps 2 --lr 0.25 --batch 16
    ranks 1 model.h5 --run b.run --quiet
    ranks 1 model.h5 --run c.run --quiet --lr 0.125 --steps 3
    [ "$keras" = 0.00100000005 ]
    [ "$(field lr b.run/metrics.jsonl)" = 0.25 ]
    [ "$(field lr c.run/metrics.jsonl)" = 0.125 ]
    [ "$(field step c.run/metrics.jsonl)" = 3 ]
    "$MBRUN" inspect b.run/final.h5 | grep -q 'batch = 16'
}

@test "a line to a reader that goes away does not end the run" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --epochs 3 2>&1 | head -n 1
    [ "${PIPESTATUS[0]}" -eq 0 ]
    [ -f model.run/final.h5 ]
}

@test "a log that cannot be written does not stop the run" {
    fixture mlp
    mkdir -p model.run/log.txt
    run -0 ranks 1 model.h5 --data data.h5 --steps 2
    [ -f model.run/final.h5 ]
}

@test "a rank that hangs ends the run within its deadline, and is named" {
    fixture mlp
    "$MPIEXEC" -n 3 "$MBRUN" model.h5 --data data.h5 --epochs 100000 --replicas 3 --deadline 2s \
        >out 2>&1 3>&- &
    first=$!
    wait_for 60 test -s model.run/metrics.jsonl
    victim=$(children $first | sed -n 2p)
    [ -n "$victim" ] || skip "the ranks are no children of the launcher"
    kill -STOP "$victim"
    code=0
    timeout 60 tail --pid=$first -f /dev/null
    wait $first || code=$?
    kill -CONT "$victim" 2>/dev/null || true
    cat out
    [ $code -eq 1 ]
    grep -q '^mbrun: error.*rank' out
}

@test "a vision transformer of mbrun new gives the same bits on any layout" {
    fixture cnn
    "$MBRUN" new vit -o vit.h5 input=28x28x1 patch=7 width=16 depth=2 heads=2 mlp=24 dropout=0.1
    options="vit.h5 --data data.h5 --steps 4 --batch 16 --micro-batch 4 --replicas 2 --threads 1 --quiet"
    # shellcheck disable=SC2086
    ranks 1 $options --run a.run
    # shellcheck disable=SC2086
    ranks 2 $options --stages 2 --schedule gpipe --run b.run && ranks 4 $options --stages 2 --run c.run
    [ "$(digest a.run/final.h5)" = "$(digest b.run/final.h5)" ]
    [ "$(digest a.run/final.h5)" = "$(digest c.run/final.h5)" ]
}

@test "a file may go back in any order when that is asked for, with bits that follow its order alone" {
    fixture mlp
    "$MBRUN" new mlp -o s.h5 input=28x28x1 hidden=12,12,12 dropout=0.1
    options="s.h5 --data data.h5 --steps 3 --batch 24 --micro-batch 4 --replicas 2 --threads 1 --quiet"
    echo "F0.0 F0.1 F0.2 BW0.2 BW0.1 BW0.0 F0.3 F0.4 F0.5 BW0.5 BW0.3 BW0.4" >one.txt
    {
        echo "F0.0 F0.1 F0.2 B0.0 B0.2 B0.1 W0.2 W0.1 W0.0 F0.3 F0.4 F0.5 BW0.5 BW0.3 BW0.4"
        echo "F1.0 BW1.0 F1.1 F1.2 BW1.2 BW1.1 F1.3 F1.4 F1.5 BW1.5 BW1.3 BW1.4"
    } | sed 's/F1.0 BW1.0 F1.1 F1.2 BW1.2 BW1.1/F1.0 F1.1 F1.2 B1.0 BW1.2 BW1.1 W1.0/' >two.txt
    echo "F0.0 F0.1 F0.2 BW0.0 BW0.1 BW0.2 F0.3 F0.4 F0.5 BW0.3 BW0.4 BW0.5" >ordered.txt
    # shellcheck disable=SC2086
    ranks 1 $options --run a.run
    # shellcheck disable=SC2086
    ranks 1 $options --stages 1 --schedule unordered:ordered.txt --run b.run
    [ "$(digest a.run/final.h5)" = "$(digest b.run/final.h5)" ]
    # shellcheck disable=SC2086
    ranks 1 ${options% --quiet} --stages 1 --schedule unordered:one.txt --run c.run >said 2>&1
    grep -q 'one.txt: micro-batches go back out of order.*their bits depend on this schedule' said
    # shellcheck disable=SC2086
    ranks 2 $options --stages 2 --schedule unordered:two.txt --run d.run
    # shellcheck disable=SC2086
    ranks 2 $options --stages 2 --schedule unordered:two.txt --recompute full --run e.run
    [ "$(digest c.run/final.h5)" = "$(digest d.run/final.h5)" ]
    [ "$(digest c.run/final.h5)" = "$(digest e.run/final.h5)" ]
    [ "$(digest a.run/final.h5)" != "$(digest c.run/final.h5)" ]
    "$MBRUN" plan s.h5 --ranks 2 --stages 2 --batch 24 --micro-batch 4 --replicas 2 --schedule unordered:two.txt >/dev/null
    # shellcheck disable=SC2086
    refused 1 'one.txt: stage 0: BW0.2 stands twice or out of order.*unordered:PATH' 1 $options --stages 1 --schedule file:one.txt --run f.run
    sed 's/BW0.5/BW0.0/; s/BW0.0/BW0.5/' one.txt >mixed.txt
    # shellcheck disable=SC2086
    refused 1 'mixed.txt: stage 0: BW0.5 stands in front of its forward' 1 $options --stages 1 --schedule unordered:mixed.txt --run f.run
    echo "F0.0 F0.1 F0.2 F0.3 F0.4 F0.5 BW0.2 BW0.3 BW0.1 BW0.0 BW0.5 BW0.4" >mixed.txt
    # shellcheck disable=SC2086
    refused 2 'mixed.txt: chunk 0 goes back over micro-batch . among those of another replica' 1 $options --stages 1 --schedule unordered:mixed.txt --run f.run
}

@test "schedules from files and of several chunks give the same bits, and what does not fit is said" {
    fixture mlp
    "$MBRUN" new mlp -o s.h5 input=28x28x1 hidden=12,12,12 dropout=0.1
    options="s.h5 --data data.h5 --steps 3 --batch 12 --micro-batch 4 --replicas 1 --threads 1 --quiet"
    # The example of the documentation.
    sed -n '/^    # three stages/,/^$/p' "$MB_SRCDIR/doc/schedules.md" >v.txt
    [ "$(grep -c F v.txt)" -eq 3 ]
    # shellcheck disable=SC2086
    ranks 1 $options --run a.run
    # shellcheck disable=SC2086
    ranks 3 $options --stages 3 --schedule file:v.txt --run b.run
    grep -q '"schedule": "file:v.txt"' b.run/plan.json
    # shellcheck disable=SC2086
    ranks 2 $options --stages 2 --schedule zb-v --run c.run
    # shellcheck disable=SC2086
    ranks 2 $options --stages 2 --schedule auto --run e.run
    for run in b c e; do
        [ "$(digest a.run/final.h5)" = "$(digest $run.run/final.h5)" ]
    done
    sed 's/ F0.2//' v.txt >short.txt
    # shellcheck disable=SC2086
    refused 1 'short.txt: stage 0: B0.2 stands in front of its forward' 1 $options --stages 1 --schedule file:short.txt --run d.run
    # shellcheck disable=SC2086
    refused 2 'v.txt: a schedule of 3 stages.*--stages 3' 1 $options --schedule file:v.txt --run d.run
    # shellcheck disable=SC2086
    refused 2 "schedule 'zb-h' is not known.*the nearest one is zb-h1" 1 $options --schedule zb-h --run d.run
    # shellcheck disable=SC2086
    refused 2 'at most . stages of several chunks, not 3' 3 $options --stages 3 --schedule interleaved:5 --run d.run
}

# gradients_of FILE: KiB that a run's start says.
gradients_of() {
    sed -n 's/^memory .*gradients \([0-9.]*\) KiB.*/\1/p' "$1" | head -n 1
}

@test "summed gradients shared out over groups take less memory where a group has one micro-batch" {
    fixture gpt
    all="model.h5 --data data.h5 --batch 12 --replicas 4 --micro-batch 3 --threads 1 --stages 1 --bucket 1KiB --checkpoint-every 1"
    # shellcheck disable=SC2086
    ranks 1 $all --steps 3 --run a.run 2>a.err
    # shellcheck disable=SC2086
    ranks 4 $all --steps 1 --zero 1 --run b.run 2>b.err
    # shellcheck disable=SC2086
    ranks 4 $all --steps 2 --zero 2 --run b.run 2>c.err
    # shellcheck disable=SC2086
    ranks 2 $all --steps 3 --run b.run 2>d.err
    [ "$(digest a.run/step-00000003.h5)" = "$(digest b.run/step-00000003.h5)" ]
    echo "gradients: $(gradients_of b.err) KiB, $(gradients_of c.err) KiB"
    awk -v kept="$(gradients_of b.err)" -v less="$(gradients_of c.err)" \
        'BEGIN { exit !(less > 0 && less < 0.7 * kept) }'
    # shellcheck disable=SC2086
    refused 2 'zero=2: each of 2 groups .* 2 micro-batches a step.*--replicas 2 --micro-batch 6' 2 $all --zero 2 --run c.run
    fixture shared
    refused 1 "model.h5: zero=2: layer 'twice' is called more than once" 2 model.h5 --data data.h5 --batch 12 --replicas 2 --micro-batch 6 --stages 1 --zero 2 --run c.run
}

@test "the optimizer's state shared out over groups gives the same bits in less memory" {
    fixture mlp
    "$MBRUN" new mlp -o m.h5 input=28x28x1 hidden=64,64,64,64 dropout=0.1
    options="m.h5 --data data.h5 --batch 24 --micro-batch 2 --replicas 4 --threads 1 --stages 1"
    for optimizer in adam:use_ema=true,gradient_accumulation_steps=2 adafactor lamb muon; do
        all="$options --clip 0.1 --optimizer $optimizer"
        # shellcheck disable=SC2086
        ranks 1 $all --steps 3 --run "$optimizer.run" 2>a.err
        for n in 2 3 4; do
            # shellcheck disable=SC2086
            ranks $n $all --steps 3 --zero 1 --run "$optimizer.$n.run" 2>b.err
            [ "$(digest "$optimizer.run/final.h5")" = "$(digest "$optimizer.$n.run/final.h5")" ]
        done
    done
    all="$options --optimizer adam --checkpoint-every 1"
    # shellcheck disable=SC2086
    ranks 1 $all --steps 4 --run a.run 2>a.err
    # shellcheck disable=SC2086
    ranks 2 $all --steps 1 --run b.run 2>b.err
    # shellcheck disable=SC2086
    ranks 3 $all --steps 3 --zero 1 --run b.run 2>c.err
    # shellcheck disable=SC2086
    ranks 1 $all --steps 4 --run b.run 2>d.err
    [ "$(digest a.run/step-00000004.h5)" = "$(digest b.run/step-00000004.h5)" ]
    kept=$(sed -n 's/^memory .*moments \([0-9.]*\) KiB.*/\1/p' b.err | head -n 1)
    less=$(sed -n 's/^memory .*moments \([0-9.]*\) KiB.*/\1/p' c.err | head -n 1)
    echo "moments: $kept KiB, $less KiB"
    awk -v kept="$kept" -v less="$less" 'BEGIN { exit !(less > 0 && less < 0.9 * kept) }'
    # shellcheck disable=SC2086
    refused 2 'zero=3: there are 0, 1 .* and 2' 1 $all --zero 3 --run c.run
    # shellcheck disable=SC2086
    refused 2 'offload=all: there are none, activations' 1 $all --offload all --run c.run
    # shellcheck disable=SC2086
    refused 1 'offload=moments: device cpu computes in host memory' 1 $all --offload moments --run c.run
}

@test "forwards computed again give the same bits in less memory" {
    fixture mlp
    "$MBRUN" new mlp -o m.h5 input=28x28x1 hidden=64,64,64,64,64 dropout=0.1
    options="m.h5 --data data.h5 --steps 3 --batch 32 --micro-batch 4 --replicas 1 --threads 1"
    options+=" --stages 2 --schedule gpipe --partition counted"
    # shellcheck disable=SC2086
    ranks 2 $options --run a.run 2>a.err
    # shellcheck disable=SC2086
    ranks 2 $options --recompute full --run b.run 2>b.err
    [ "$(digest a.run/final.h5)" = "$(digest b.run/final.h5)" ]
    grep -q '"R": {"count": 24' b.run/plan.json
    kept=$(sed -n 's/^memory .*activations \([0-9.]*\) KiB.*/\1/p' a.err | head -n 1)
    less=$(sed -n 's/^memory .*activations \([0-9.]*\) KiB.*/\1/p' b.err | head -n 1)
    echo "activations: $kept KiB, $less KiB"
    awk -v kept="$kept" -v less="$less" 'BEGIN { exit !(less > 0 && less < 0.7 * kept) }'
    # shellcheck disable=SC2086
    ranks 2 $options --recompute 'dropout*,dense_1' --run d.run 2>d.err
    [ "$(digest a.run/final.h5)" = "$(digest d.run/final.h5)" ]
    # The second stage's: the dropouts are there.
    for run in a b d; do
        sed -n 's/.*stage 1: .*activations \([0-9.]*\) KiB.*/\1/p' $run.err | head -n 1
    done >activations
    cat activations
    awk 'NR == 1 { kept = $1 } NR == 2 { less = $1 } END { exit !(NR == 3 && less < $1 && $1 < kept) }' activations
    # shellcheck disable=SC2086
    ranks 1 $options --stages 1 --recompute auto --run e.run 2>e.err
    grep -q 'recompute=auto: nothing is computed again without a limit' e.err
    # shellcheck disable=SC2086
    refused 2 "recompute=some: no layer's name matches 'some'" 1 m.h5 --data data.h5 --recompute some --run c.run
    "$MB_BUILDDIR/tests/cli/samples"
    cp "$MB_SRCDIR/tests/data/stateful.h5" k.h5
    refused 1 'k.h5 has layers that keep states' 1 k.h5 --data s.h5 --loss mse --recompute full --run c.run
}
