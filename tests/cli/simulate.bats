#!/usr/bin/env bats
# mbrun simulate and mbrun trace: virtual ranks do what real ones do.
load helper

model() {
    "$MBRUN" new mlp -o m.h5 input=28x28x1 hidden=32,32,32,32 dropout=0.1
    layout="m.h5 --ranks 4 --stages 2 --replicas 2 --batch 48 --micro-batch 4"
}

# simulate ARGUMENTS...: of the layout, as JSON.
simulate() {
    # shellcheck disable=SC2086
    "$MBRUN" simulate $layout "$@" --json
}

@test "a simulation says a step's time, what each stage does in it, and what the links carry" {
    model
    # shellcheck disable=SC2086
    run -0 "$MBRUN" simulate $layout
    grep -q '^pipeline  *2 stages of 1 chunk, 2 groups: 4 ranks; 6 micro-batches of 4 samples' <<<"$output"
    grep -q '^step  *[0-9.e-]* s, [0-9.]*% ' <<<"$output"
    grep -q '^rank [0-3] out  *[0-9.]*%' <<<"$output"
    simulate --steps 3 >a.json
    json 'value["steps"] == 3 and abs(value["seconds"] - 3 * value["step_seconds"]) < 1e-9 * value["seconds"]' <a.json
    # A micro-batch's activation forward and its gradient back: 4 samples of 32 floats, 6 a group.
    json 'value["messages"] == 3 * 2 * 6 * 2 and value["bytes"] == value["messages"] * 4 * 32 * 4' <a.json
    json '[s["bytes_sent"] for s in value["per_stage"]] == [3 * 6 * 512] * 2' <a.json
}

@test "a seed's simulation is the same again, and slow ranks make it longer" {
    model
    for n in 1 2; do simulate --jitter 10% --seed 5 >$n.json; done
    cmp 1.json 2.json
    simulate --jitter 0.1 --seed 6 >3.json
    ! cmp -s 1.json 3.json
    simulate --straggler 1:3 >slow.json
    simulate --straggler random:3 --seed 2 >random.json
    simulate >even.json
    for slow in slow random; do
        [ "$(seconds <$slow.json)" -gt "$(seconds <even.json)" ]
    done
}

seconds() { # nanoseconds of a step
    sed 's/.*"step_seconds":\([^,]*\),.*/\1/' | awk '{ printf "%d", $1 * 1e9 }'
}

@test "a lost rank is named, and who waits for it" {
    model
    # shellcheck disable=SC2086
    refused 1 'rank 1 is lost from step 2 on (stage 1, group 0); rank 0: receiving the gradient of .*, step 2, stage 0, BW of micro-batch 0, peer rank 1; rank 3: adding up gradients' \
        1 simulate $layout --schedule 1f1b --steps 3 --lose 1@2
}

@test "a hardware file says what devices and links can do" {
    model
    cat >hw.json <<'END'
{"name": "slow links", "devices_per_node": 1, "flops": 1e12, "memory_bandwidth": 1e12, "overhead": 0,
 "memory": 1000000000, "inside": {"latency": 0, "bandwidth": 1e12}, "between": {"latency": 0.5, "bandwidth": 1e12}}
END
    simulate --schedule 1f1b --hardware hw.json >a.json
    # The last stage of 1F1B holds one micro-batch, so that each activation sets out when the one before it is done with:
    # six latencies; the last gradient takes another one, and the reduction of two groups two.
    json '4.5 <= value["step_seconds"] < 4.51' <a.json
}

@test "what cannot be simulated is refused with what can" {
    model
    for bad in "--jitter 5x" "--jitter 2" "--steps 0" "--straggler 4:2" "--straggler 1:0" "--straggler 1:2," \
        "--straggler 1" "--lose 1@0" "--lose 1@2.5" "--lose one@2" "--ranks 0" "--partition even" "--schedule zb" "--recompute half"; do
        # shellcheck disable=SC2086
        refused 2 "${bad%% *}\|${bad##* }" 1 simulate $layout $bad
    done
    # shellcheck disable=SC2086
    refused 1 'none.json' 1 simulate $layout --hardware none.json
    # shellcheck disable=SC2086
    refused 1 'nowhere/t.json: cannot be written' 1 simulate $layout --trace nowhere/t.json
}

@test "a run and its simulation do the same actions in the same order" {
    model
    fixture mlp
    for schedule in 1f1b zb-v interleaved; do
        same="m.h5 --stages 2 --replicas 1 --batch 24 --micro-batch 4 --schedule $schedule --partition counted"
        # shellcheck disable=SC2086
        ranks 2 $same --data data.h5 --steps 5 --quiet --trace --run $schedule.run
        # shellcheck disable=SC2086
        run -0 "$MBRUN" simulate $same --trace $schedule.json
        run -0 "$MBRUN" trace $schedule.run/trace.json $schedule.json
        grep -q "^trace  *$schedule.run/trace.json: 2 ranks, 4 steps" <<<"$output"
        grep -q "^order  *the same actions in the same order on all ranks" <<<"$output"
        grep -q "^they differ the most in" <<<"$output"
    done
    run -0 "$MBRUN" trace 1f1b.json zb-v.json
    grep -q "^order  *rank 0, action [0-9]*: .* and " <<<"$output"
    run -0 "$MBRUN" trace 1f1b.json zb-v.json --json
    json 'not value["same_order"] and len(value["traces"][0]["ranks"]) == 2' <<<"$output"
    [ ! -e model.run ]
    ranks 1 m.h5 --data data.h5 --steps 2 --quiet --run plain.run
    [ ! -e plain.run/trace.json ]
}

@test "a simulation takes what layers take from a run's profile, and cuts the model by it" {
    model
    fixture mlp
    same="m.h5 --stages 2 --replicas 1 --batch 24 --micro-batch 4"
    # shellcheck disable=SC2086
    ranks 2 $same --data data.h5 --steps 2 --quiet --trace --run r.run
    # shellcheck disable=SC2086
    run -0 "$MBRUN" simulate $same --profile r.run/profile.json --trace s.json
    run -0 "$MBRUN" trace r.run/trace.json s.json
    grep -q "^order  *the same actions in the same order on all ranks" <<<"$output"
    # A layer that takes a second: forward, of each of 6 micro-batches.
    sed 's/\(, *[0-9.e+-]*\)\(, *[0-9.e+-]*, *[0-9.e+-]*, *[0-9.e+-]*\]\)/, 1\2/' r.run/profile.json >slow.json
    # shellcheck disable=SC2086
    "$MBRUN" simulate $same --profile slow.json --json >a.json
    json 'value["step_seconds"] > 6' <a.json
    # shellcheck disable=SC2086
    refused 1 'r.run/trace.json: no profile of this model' 1 simulate $same --profile r.run/trace.json
}

@test "a trace has rows for ranks, an arrow for each transfer and a counter that ends at nothing" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    model
    simulate --schedule zb-v --trace t.json >a.json
    python3 - <<'END'
import json
events = json.load(open("t.json"))["traceEvents"]
result = json.load(open("a.json"))
names = [e["args"]["name"] for e in events if e["name"] == "process_name"]
assert names[3] == "rank 3: stage 1, group 1", names
slices = {}
for e in events:
    if e["ph"] == "X":
        slices.setdefault(e["pid"], []).append((e["ts"], e["ts"] + e["dur"]))
out = {e["id"]: e for e in events if e["ph"] == "s"}
into = {e["id"]: e for e in events if e["ph"] == "f"}
assert len(out) == result["messages"] == len(into) and out.keys() == into.keys()
for key, s in out.items():
    f = into[key]
    assert s["ts"] <= f["ts"] and s["pid"] != f["pid"], (s, f)
    for e in (s, f):
        # A slice's end is two numbers of three digits after the point, each rounded.
        assert any(a - 1.1e-3 <= e["ts"] <= b + 1.1e-3 for a, b in slices[e["pid"]]), e
for rank in range(4):
    held = [e["args"]["held"] for e in events if e["ph"] == "C" and e["pid"] == rank]
    assert held[-1] == 0 and min(held) == 0 and max(held) > 1, held
END
    refused 1 'traceEvents' 1 trace a.json
    refused 1 'none.json' 1 trace none.json
    echo '{"traceEvents": [{"ph": "X", "pid": -7}]}' >bad.json
    refused 1 'bad.json: event 0 is no action' 1 trace bad.json
    echo '{"traceEvents": [{"ph": "X", "pid": 1048575, "ts": 0, "dur": 1, "cat": "wait"}]}' >far.json
    refused 1 'rank 1048575' 1 trace far.json
}

@test "a thousand ranks with eight chunks each" {
    ! is_reduced || skip "slow with sanitizers"
    "$MBRUN" new gpt -o m.h5 layers=64 width=16 heads=2 length=16 vocabulary=50
    run -0 timeout 60 "$MBRUN" simulate m.h5 --ranks 1024 --stages 16 --replicas 64 --batch 8192 --micro-batch 1 \
        --schedule interleaved:8 --json
    json 'value["ranks"] == 1024 and value["chunks"] == 128 and value["micro_batches"] == 128' <<<"$output"
    json 'value["messages"] >= 64 * 128 * 2 * 127' <<<"$output"
}
