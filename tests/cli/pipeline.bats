#!/usr/bin/env bats
# mbrun plan: what is said of a pipeline is what a run of it does.
load helper

model() {
    fixture mlp
    "$MBRUN" new mlp -o m.h5 input=28x28x1 hidden=32,32,32,32 dropout=0.1
    layout="m.h5 --stages 2 --replicas 1 --batch 24 --micro-batch 4"
}

@test "plan shows the layout's stages and every schedule, and messages are those of a run" {
    model
    for schedule in 1f1b zb-v auto; do
        # shellcheck disable=SC2086
        run -0 "$MBRUN" plan $layout --schedule $schedule
        grep -q "^pipeline  *2 stages of . chunks\?, $schedule; 6 micro-batches of 4 samples" <<<"$output"
        for other in gpipe 1f1b interleaved zb-h1 zb-h2 zb-v auto; do
            grep -q "^$other  *[0-9.]*  *[0-9.]*%  *[0-9.]* [KM]iB" <<<"$output"
        done
        # shellcheck disable=SC2086
        "$MBRUN" plan $layout --schedule $schedule --partition counted --threads 1 --json >plan.json
        json 'len(value["schedules"]) == 7 and value["micro_batches"] == 6' <plan.json
        json 'all(0 < s["efficiency"] <= 1 for s in value["schedules"])' <plan.json
        # shellcheck disable=SC2086
        ranks 2 $layout --schedule $schedule --partition counted --threads 1 --data data.h5 \
            --steps 2 --quiet --run $schedule.run
        [ "$(counted <plan.json)" = "$(taken $schedule.run)" ]
        planned=$(json_values 'value["schedules"][0]["per_stage"]' bytes_sent <plan.json)
        sent=$(json_values 'value["measured"]' bytes_sent <$schedule.run/plan.json)
        json 'all(m["memory"]["peak"] > m["memory"]["before"] > 0 and m["memory"]["planned"] > 0 for m in value["measured"])' \
            <$schedule.run/plan.json
        echo "$schedule: planned $planned, sent in two steps $sent"
        [ "$(awk '{ for (i = 1; i <= NF; i++) printf "%d ", 2 * $i }' <<<"$planned")" = "$sent " ]
    done
}

# What the first layout takes of a rank's memory, counted.
counted() {
    python3 -c '
import json, sys
best = json.load(sys.stdin)["layouts"]["best"][0]
print(int(best["memory"]) if best["memory_counted"] else "not counted")'
}

# What the rank planned that took most, in a run.
taken() {
    python3 -c '
import json, sys
print(max(m["memory"]["planned"] for m in json.load(open(sys.argv[1] + "/plan.json"))["measured"]))' "$1"
}

# same_bytes RANKS LAYOUT...: of a model and its data.
same_bytes() {
    local n=$1
    shift
    "$MBRUN" plan model.h5 --data data.h5 --partition counted --threads 1 --ranks "$n" "$@" --json >plan.json
    ranks "$n" model.h5 --data data.h5 --partition counted --threads 1 --steps 1 --quiet --run model.run --restart "$@"
    echo "$*: counted $(counted <plan.json), taken $(taken model.run)"
    [ "$(counted <plan.json)" = "$(taken model.run)" ]
}

@test "plan counts the bytes that a run's ranks take" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    fixture cnn
    same_bytes 2 --stages 1 --replicas 2 --batch 8 --micro-batch 2 --zero 1
    same_bytes 3 --stages 1 --replicas 3 --batch 6 --micro-batch 2 --zero 2 --bucket 1K
    same_bytes 3 --stages 1 --replicas 5 --batch 10 --micro-batch 1
    fixture gpt
    same_bytes 2 --stages 2 --replicas 2 --batch 8 --micro-batch 1 --schedule zb-h1 --recompute full
    same_bytes 2 --stages 2 --replicas 1 --batch 8 --micro-batch 1 --schedule interleaved --optimizer sgd
    # What is too large to be laid out is of a formula, and says so.
    run -0 "$MBRUN" plan model.h5 --data data.h5 --ranks 2000 --stages 2 --replicas 1000 --batch 2000
    grep -q ' ~[0-9.]* [KM]iB ' <<<"$output"
    grep -q '^~: of a formula, not counted' <<<"$output"
}

json_values() { # LIST KEY: the key's values of the objects in the list
    python3 -c "
import json, sys
value = json.load(sys.stdin)
print(*[item['$2'] for item in $1])"
}

@test "plan draws a picture with a box for each action" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    model
    cp m.h5 'a&<b.h5'
    for schedule in gpipe zb-v; do
        # shellcheck disable=SC2086
        run -0 "$MBRUN" plan 'a&<b.h5' ${layout#m.h5} --schedule $schedule --draw $schedule.svg
        python3 - $schedule.svg <<'END'
import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
space = "{http://www.w3.org/2000/svg}"
texts = [t.text for t in root.iter(space + "text")]
assert texts[0].startswith("a&<b.h5: "), texts[0]
numbers = [t for t in texts if t.isdigit()]
chunks, kinds = (4, 3) if "zb" in sys.argv[1] else (2, 2)
boxes = [r for r in root.iter(space + "rect") if r.get("height") == "28" and r.get("fill") != "#000"]
assert len(boxes) == 6 * chunks * kinds, len(boxes)
assert set(numbers) == set("012345"), numbers
assert all(float(b.get("x")) + float(b.get("width")) <= 1600 for b in boxes)
END
    done
    refused 1 'cannot be written' 1 plan m.h5 --draw nowhere/a.svg
}

@test "plan draws the same picture as a PNG" {
    command -v rsvg-convert >/dev/null || skip "rsvg-convert is not installed"
    command -v python3 >/dev/null || skip "python3 is not installed"
    model
    # shellcheck disable=SC2086
    run -0 "$MBRUN" plan $layout --schedule gpipe --draw a.png
    python3 - a.png <<'END'
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()
assert data[:8] == b"\x89PNG\r\n\x1a\n"
width, height, depth, colours = struct.unpack(">IIBB", data[16:26])
assert (width, height, depth) == (1600, 70 + 2 * 34 + 10, 8), (width, height, depth)
END
    [ ! -e a.png.part ]
    echo old >b.png
    mkdir empty
    # shellcheck disable=SC2086
    run -1 env "PATH=$PWD/empty" "$MBRUN" plan $layout --draw b.png
    grep -q 'b.png: PNGs are drawn by rsvg-convert, which is not installed' <<<"$output"
    grep -q old b.png
    refused 1 "cannot create 'nowhere/a.png.*check the path" 1 plan m.h5 --draw nowhere/a.png
}

@test "plan tells activations in host memory apart from the device's" {
    "$MBRUN" new gpt -o m.h5
    layout="m.h5 --ranks 2 --stages 2 --replicas 1 --batch 16 --micro-batch 2 --schedule gpipe --json"
    # shellcheck disable=SC2086
    "$MBRUN" plan $layout >here.json
    # shellcheck disable=SC2086
    "$MBRUN" plan $layout --offload activations >there.json
    json 'all(s["host_bytes"] == 0 for s in value["schedules"][0]["per_stage"])' <here.json
    json 'all(s["host_bytes"] > s["activation_bytes"] > 0 for s in value["schedules"][0]["per_stage"])' <there.json
    here=$(json_values 'value["schedules"][0]["per_stage"]' activation_bytes <here.json)
    there=$(json_values 'value["schedules"][0]["per_stage"]' activation_bytes <there.json)
    echo "activations: $here, $there"
    awk -v here="$here" -v there="$there" 'BEGIN { exit !(there + 0 < here / 2) }'
    # shellcheck disable=SC2086
    run -0 "$MBRUN" plan ${layout% --json} --offload activations
    grep -q '^stage 1: .* of activations in host memory' <<<"$output"
    # shellcheck disable=SC2086
    refused 2 'offload=weights: there are none, activations' 1 plan $layout --offload weights
}

@test "plan says what cannot be planned" {
    model
    refused 2 "ranks '0' is not a number from 1" 1 plan m.h5 --ranks 0
    refused 2 'at most [0-9]* stages' 1 plan m.h5 --ranks 60 --stages 60
    refused 2 "schedule 'zb' is not known" 1 plan m.h5 --schedule zb
    refused 2 'recompute=half' 1 plan m.h5 --recompute half
    refused 2 'recompute=full:x' 1 plan m.h5 --recompute full:x
    refused 1 'none.h5' 1 plan none.h5
    run -0 "$MBRUN" plan m.h5 --ranks 1
    grep -q '^pipeline  *1 stage of 1 chunk, 1f1b' <<<"$output"
}

# An edited profile is believed as long as its key is that of the machine.
@test "stages are cut by what layers take, measured once a run, and no bit depends on it" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    model
    run -2 ranks 2 $layout --data data.h5 --partition guessed
    grep -q 'partition=guessed: there are measured and counted' <<<"$output"
    ranks 2 $layout --data data.h5 --steps 2 --quiet --run counted.run --partition counted
    [ ! -e counted.run/profile.json ]
    ranks 2 $layout --data data.h5 --steps 2 --quiet --run measured.run
    json 'len(value["nodes"]) == len(set(n[0] for n in value["nodes"]))' <measured.run/profile.json
    json 'all(s >= 0 for n in value["nodes"] for s in n[1:])' <measured.run/profile.json
    json 'sum(n[1] + n[2] + n[3] for n in value["nodes"]) > 0' <measured.run/profile.json
    for costly in 1 5; do
        python3 - $costly <<'END'
import json, sys
profile = json.load(open("measured.run/profile.json"))
computing = [n for n in profile["nodes"][1:]]
for i, node in enumerate(computing):
    node[1:] = [10.0 if i == int(sys.argv[1]) else 1e-3, 0, 0, 0]
json.dump(profile, open("measured.run/profile.json", "w"))
END
        cp measured.run/profile.json edited
        ranks 2 $layout --data data.h5 --steps $((costly + 3)) --quiet --run measured.run
        cmp edited measured.run/profile.json
        json_values '[value]' first_nodes <measured.run/plan.json | tee first
        cp first first.$costly
    done
    ! cmp -s first.1 first.5
    ranks 2 $layout --data data.h5 --steps 8 --quiet --run counted.run --partition counted
    [ "$("$MBRUN" inspect --digest counted.run/final.h5)" = "$("$MBRUN" inspect --digest measured.run/final.h5)" ]
    for damage in 's/"key": "/&x/' 's/\[/{/'; do
        sed -i "$damage" measured.run/profile.json
        cp measured.run/profile.json edited
        ranks 2 $layout --data data.h5 --steps 9 --quiet --run measured.run --restart
        ! cmp -s edited measured.run/profile.json
    done
}

@test "plan ranks the layouts of the ranks, and says which fit into memory" {
    model
    run -0 "$MBRUN" plan m.h5 --ranks 6 --batch 24
    grep -q '^Layouts of 6 ranks on a core of a server, 24 samples a step, predicted; [0-9]* fit' <<<"$output"
    grep -q '^The first is [0-9.]*% faster than the best with other stages (. x .): less of ' <<<"$output"
    grep -q '^Faster: ' <<<"$output"
    "$MBRUN" plan m.h5 --ranks 6 --batch 24 --json >plan.json
    json 'len(value["layouts"]["best"]) == 10' <plan.json
    json 'sorted(c["seconds"] for c in value["layouts"]["best"]) == [c["seconds"] for c in value["layouts"]["best"]]' <plan.json
    json 'all(c["stages"] * c["groups"] + c["idle"] == 6 for c in value["layouts"]["best"])' <plan.json
    "$MBRUN" plan m.h5 --ranks 6 --batch 24 --memory 450K --json >less.json
    json 'all(c["memory"] <= 450 * 1024 for c in value["layouts"]["best"])' <less.json
    "$MBRUN" plan m.h5 --ranks 6 --batch 24 --replicas 2 --micro-batch 3 --json >given.json
    json 'all(c["replicas"] == 2 and c["micro_batch"] == 3 for c in value["layouts"]["best"])' <given.json
    refused 1 'no layout of 6 ranks keeps each within 1 KiB: the least that was tried takes [0-9.]* KiB' \
        1 plan m.h5 --ranks 6 --batch 24 --memory 1K
    refused 2 "memory 'much' is not a size" 1 plan m.h5 --memory much
    run -0 "$MBRUN" plan m.h5 --ranks 10000 --batch 65536
    grep -q '^Layouts of 10000 ranks' <<<"$output"
}

@test "plan takes a cluster's devices and links from a file" {
    model
    cat >slow.json <<'END'
{"name": "two slow ones", "devices_per_node": 1, "flops": 1e9, "memory_bandwidth": 1e9, "overhead": 0,
 "memory": 1073741824, "inside": {"latency": 0, "bandwidth": 1e9}, "between": {"latency": 1e-3, "bandwidth": 1e6}}
END
    run -0 "$MBRUN" plan m.h5 --ranks 2 --batch 24 --hardware slow.json
    grep -q '^Layouts of 2 ranks on two slow ones' <<<"$output"
    "$MBRUN" plan m.h5 --ranks 2 --batch 24 --hardware slow.json --json >slow.plan
    sed 's/"between".*/"between": {"latency": 0, "bandwidth": 1e12}}/' slow.json >fast.json
    "$MBRUN" plan m.h5 --ranks 2 --batch 24 --hardware fast.json --json >fast.plan
    json 'value["layouts"]["best"][0]["stages"] == 1 and value["layouts"]["best"][0]["replicas"] == 2' <fast.plan
    slow=$(json_values 'value["layouts"]["best"][:1]' seconds <slow.plan)
    fast=$(json_values 'value["layouts"]["best"][:1]' seconds <fast.plan)
    awk "BEGIN { exit !($slow > $fast) }"
    sed 's/flops/flips/' slow.json >wrong.json
    refused 1 "wrong.json: .*flops" 1 plan m.h5 --ranks 2 --hardware wrong.json
    refused 1 "none.json: the hardware file cannot be opened" 1 plan m.h5 --ranks 2 --hardware none.json
}

@test "bench writes a hardware file of what devices and links do, which plan reads" {
    model
    ranks 2 bench --hardware two.json
    json 'value["devices_per_node"] == 2 and value["memory"] > 0' <two.json
    json 'min(value[k] for k in ("flops", "memory_bandwidth", "overhead")) > 0' <two.json
    json 'value["inside"]["latency"] > 0 and value["inside"]["bandwidth"] > 1e5' <two.json
    run -0 "$MBRUN" plan m.h5 --ranks 2 --batch 24 --hardware two.json
    grep -q '^Layouts of 2 ranks on CPU: ' <<<"$output"
    run -0 "$MBRUN" bench --hardware one.json
    grep -q '^in a node .*not measured: no two ranks that have it' <<<"$output"
    refused 2 'name the model' 1 bench --profile p.json
    refused 2 'm.h5 take; use --profile FILE.json' 1 bench m.h5 --hardware two.json
    refused 2 'use --data FILE' 1 bench m.h5 --profile p.json
    refused 1 'nowhere' 1 bench --hardware nowhere/one.json
}

@test "bench without a file shows operations beside what products and memory allow" {
    run -0 ranks 1 bench --threads 1
    grep -Eq '^products +[0-9.]+ GFLOP/s' <<<"$output"
    grep -Eq '^attention, backward .* [0-9.]+ +[0-9.]+ +[0-9]+ %$' <<<"$output"
    grep -Eq "^Adam's update .* - +[0-9.]+ +[0-9]+ %$" <<<"$output"
    run ! grep -E ' (1[0-9][1-9]|[2-9][0-9][0-9]) %$' <<<"$output"
    run -0 ranks 2 bench --threads 1
    grep -Eq '^message in the node +1 MiB ' <<<"$output"
    grep -Eq '^sum over the ranks +10.5 M ' <<<"$output"
}

@test "bench writes what a model's layers take, which simulate and plan read" {
    model
    fixture mlp
    for stages in 1 2; do
        ranks 2 bench m.h5 --data data.h5 --batch 24 --micro-batch 4 --stages $stages --profile p.json >out
        grep -q '^layers  *m.h5, a micro-batch of 4: forward ' out
        "$MBRUN" simulate m.h5 --ranks 2 --stages $stages --batch 24 --micro-batch 4 --profile p.json --json >s.json
        json 'value["step_seconds"] > 0 and value["stages"] == '$stages <s.json
    done
    sed 's/\(, *[0-9.e+-]*\)\(, *[0-9.e+-]*, *[0-9.e+-]*, *[0-9.e+-]*\]\)/, 1\2/' p.json >slow.json
    "$MBRUN" plan m.h5 --ranks 2 --batch 24 --micro-batch 4 --profile slow.json --json >plan.json
    json 'value["layouts"]["best"][0]["seconds"] > 3' <plan.json
}

@test "plan counts the buckets of gradients that groups share out" {
    "$MBRUN" new mlp -o m.h5 input=32 hidden=32,32,32,32,32,32,32,32,32,32,32,32,32,32,32,32
    for bucket in 1KiB 64KiB; do
        "$MBRUN" plan m.h5 --ranks 4 --stages 1 --replicas 4 --batch 24 --zero 2 --bucket $bucket --json >$bucket.json
    done
    small=$(json_values 'value["layouts"]["best"][:1]' memory <1KiB.json)
    large=$(json_values 'value["layouts"]["best"][:1]' memory <64KiB.json)
    awk -v small="$small" -v large="$large" 'BEGIN { exit !(small < large) }'
}

@test "several ranks are laid out by the planner, and one line says why" {
    model
    fixture mlp
    ranks 2 m.h5 --data data.h5 --batch 24 --steps 1 --run open.run >out 2>&1
    grep -q '^note  *layout: predicted [0-9.]*% faster than [12] stages* x [12] (less of ' out
    same=$(sed -n 's/^layout  *2 ranks = //p' out)
    run -0 "$MBRUN" plan m.h5 --ranks 2 --batch 24
    grep -q "^pipeline  *${same%% *} stage" <<<"$output"
    ranks 2 m.h5 --data data.h5 --batch 24 --steps 1 --stages 2 --replicas 1 --run given.run >out 2>&1
    ! grep -q '^note  *layout' out || false
}

# Stage memory as the start of a run prints it: the largest stage's, in KiB.
memory_of() {
    python3 - "$1" <<'END'
import re, sys
units = {"bytes": 1 / 1024, "KiB": 1, "MiB": 1024}
stages = [l for l in open(sys.argv[1]) if "parameters" in l and "activations" in l]
print(max(int(sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+) (bytes|KiB|MiB)", l)) + 1) for l in stages))
END
}

# planned RECOMPUTE: bytes of a rank of two stages.
planned() {
    "$MBRUN" plan m.h5 --data data.h5 --ranks 2 --batch 16 --micro-batch 2 --replicas 1 --stages 2 --schedule 1f1b --threads 1 \
        --checkpoint-mode sync --recompute "$1" --json | json_values 'value["layouts"]["best"]' memory | head -n 1 | cut -d. -f1
}

@test "memory chooses schedule and recomputation that fit, to the same bits" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    "$MBRUN" new gpt -o m.h5 layers=4 width=32 heads=2 length=32 vocabulary=256
    yes 'the quick brown fox jumps over the lazy dog' | head -c 20000 >text.txt
    "$MBRUN" data text.txt -o data.h5
    layout="m.h5 --data data.h5 --batch 16 --micro-batch 2 --replicas 1 --steps 3"
    # shellcheck disable=SC2086
    ranks 2 $layout --schedule gpipe --partition counted --checkpoint-mode sync --run plain.run >plain 2>&1
    plain=$(memory_of plain)
    for part in 90 70 50; do
        # shellcheck disable=SC2086
        ranks 2 $layout --memory $((plain * part / 100))K --run $part.run >$part 2>&1
        echo "$part%: $(memory_of $part) of $((plain * part / 100)) KiB; plain $plain KiB"
        [ "$(memory_of $part)" -le $((plain * part / 100)) ]
        grep -q "^note  *within .* a rank: . stages\? x . replicas\?, " $part
        [ "$("$MBRUN" inspect --digest $part.run/final.h5)" = "$("$MBRUN" inspect --digest plain.run/final.h5)" ]
    done
    # shellcheck disable=SC2086
    ranks 2 $layout --schedule gpipe --stages 2 --memory $((plain * 80 / 100))K --recompute auto --run auto.run >auto 2>&1
    [ "$(memory_of auto)" -le $((plain * 80 / 100)) ]
    grep -q 'some layers computed again' auto
    [ "$("$MBRUN" inspect --digest auto.run/final.h5)" = "$("$MBRUN" inspect --digest plain.run/final.h5)" ]
    # Between what whole chunks and halves of them take that are computed again: halves.
    limit=$((($(planned full) + $(planned full:2)) / 2048))
    # shellcheck disable=SC2086
    ranks 2 $layout --threads 1 --memory ${limit}K --run cut.run >cut 2>&1
    grep -q 'computed again in 2 segments' cut
    [ "$(memory_of cut)" -le $limit ]
    [ "$("$MBRUN" inspect --digest cut.run/final.h5)" = "$("$MBRUN" inspect --digest plain.run/final.h5)" ]
    # shellcheck disable=SC2086
    run -1 ranks 2 $layout --memory 10K --run none.run
    grep -q 'no layout of 2 ranks keeps each within 10 KiB: the least' <<<"$output"
    # shellcheck disable=SC2086
    run -2 ranks 2 $layout --memory lots --run none.run
    grep -q 'memory=lots is neither a size like 16G nor a part' <<<"$output"
}

# A layer of 64 numbers keeps 64 KiB for 256 samples; its gradient stands where another's stood.
@test "gradients inside a micro-batch share their places" {
    command -v python3 >/dev/null || skip "python3 is not installed"
    fixture mlp
    for layers in 8 16; do
        hidden=$(printf '64,%.0s' $(seq $layers))
        "$MBRUN" new mlp -o m$layers.h5 input=28x28x1 hidden="${hidden%,}"
        "$MBRUN" m$layers.h5 --data data.h5 --batch 256 --steps 1 >$layers 2>&1
    done
    python3 - <<'END'
import re
units = {"KiB": 1, "MiB": 1024}
kept = {n: re.search(r"activations ([\d.]+) (\w+)", open(str(n)).read()) for n in (8, 16)}
less, more = (float(kept[n][1]) * units[kept[n][2]] for n in (8, 16))
print("8 layers more take", more - less, "KiB")
assert more - less <= 1.1 * 8 * 64
END
}
