#!/usr/bin/env bats
# Where the time of a run's steps goes: mbrun train --profile.
load helper

# adds_up DIRECTORY STEPS RANKS: each rank's parts make its whole, and its operations lie within them.
adds_up() {
    command -v python3 >/dev/null || skip "python3 is not installed"
    python3 - "$@" <<'END'
import json, math, sys
value = json.load(open(sys.argv[1] + "/time.json"))
assert value["steps"] == int(sys.argv[2]) and len(value["ranks"]) == int(sys.argv[3])
for rank in value["ranks"]:
    parts = rank["activities"]
    whole = sum(part["seconds"] + part["wait_seconds"] for part in parts.values())
    assert math.isclose(whole, rank["seconds"], abs_tol=1e-6), rank
    for name, part in parts.items():
        inside = sum(op["seconds"] for op in part["operations"].values())
        assert inside <= part["seconds"] + 1e-6, (name, part)
    assert parts["STEP"]["operations"]["update"]["count"] == value["steps"]
END
}

@test "the parts of a step add up to the whole, by action and by operation" {
    fixture gpt
    run -0 ranks 1 model.h5 --data data.h5 --steps 3 --profile
    grep -q '^profile  *by action  *count  *time  *share' <<<"$output"
    grep -Eq '^ +BW +3 ' <<<"$output"
    grep -Eq '^ +gemm +[0-9]+ .* GFLOP/s' <<<"$output"
    [ "$(grep -Ec '^ +3 steps .* 100.00 %' <<<"$output")" -eq 2 ]
    grep -q '^profile  *by action' model.run/log.txt
    adds_up model.run 3 1
}

@test "ranks that wait for each other say how long, for what and who the longest" {
    fixture mlp
    run -0 ranks 2 model.h5 --data data.h5 --steps 4 --stages 2 --profile
    grep -Eq '^profile +by action .* most$' <<<"$output"
    grep -Eq '^ +waits, F .* on [01]$' <<<"$output"
    adds_up model.run 4 2
    run -0 ranks 2 model.h5 --data data.h5 --steps 4 --replicas 2 --micro-batch 8 --profile --run two.run
    grep -Eq '^ +REDUCE ' <<<"$output"
    adds_up two.run 4 2
}

@test "a profile changes no bit, and is not written unless it is asked for" {
    fixture cnn
    ranks 1 model.h5 --data data.h5 --steps 3 --quiet --run plain.run
    ranks 1 model.h5 --data data.h5 --steps 3 --quiet --profile --run told.run
    [ "$(digest plain.run/final.h5)" = "$(digest told.run/final.h5)" ]
    [ ! -e plain.run/time.json ] && [ -s told.run/time.json ]
}

@test "validation, checkpoints and reports have their rows" {
    fixture mlp
    ranks 1 model.h5 --data data.h5 --epochs 1 --val data.h5 --checkpoint-every 5 --profile --json >out
    json 'value["event"] == "profile" and {"validation", "checkpoint", "report"} <= {row["name"] for row in value["actions"]}' \
        < <(grep '"profile"' out)
    json 'abs(sum(row["seconds"] for row in value["operations"]) - value["seconds"]) < 1e-6' \
        < <(grep '"profile"' out)
}
