#!/bin/sh
# Fashion-MNIST side by side with PyTorch: accuracy over seeds, samples a second, peak memory.
#
#     bench/fashion.sh MBRUN PYTHON [NETS] [EPOCHS] [SEEDS]
#
# MBRUN is the program, PYTHON one that has torch. EPOCHS are those after which accuracies are compared. Runs
# alternate, so that a machine that drifts drifts for both. One line a run, then medians. Both use THREADS threads, by
# default one for each core.
set -eu
mbrun=$1 python=$2 nets=${3:-"mlp cnn"} epochs=${4:-"2 5"} seeds=${5:-"1 2 3 4 5"}
here=$(cd "$(dirname "$0")" && pwd)
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
threads=${THREADS:-$(nproc)}
most=$(echo "$epochs" | tr ' ' '\n' | sort -n | tail -n 1)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# What a run of mbrun kept, in the opponent's form: accuracies from its metrics, the rate from its timings.
result() {
    "$python" -c '
import json, sys
run, epochs, kib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
lines = [json.loads(line) for line in open(run + "/metrics.jsonl")]
actions = json.load(open(run + "/plan.json"))["measured"][0]["actions"]
seconds = sum(a["seconds"] + a["wait_seconds"] for a in actions.values())
print(json.dumps({"accuracy": [x["accuracy"] for x in lines if x["split"] == "val"],
                  "samples_per_second": round(60000 * epochs / seconds), "peak_mib": kib // 1024}))' "$@"
}

"$mbrun" data "$images" -o "$folder/train.h5" >/dev/null
"$mbrun" data "$images:test" -o "$folder/test.h5" >/dev/null
for net in $nets; do
    : >"$folder/ours" && : >"$folder/theirs"
    for seed in $seeds; do
        "$mbrun" new "$net" -o "$folder/model.h5" --seed "$seed" --force >/dev/null
        /usr/bin/time -f %M -o "$folder/memory" mpirun -np 1 "$mbrun" train "$folder/model.h5" \
            --data "$folder/train.h5" --val "$folder/test.h5" --batch 128 --epochs "$most" --seed "$seed" \
            --run "$folder/run" --threads "$threads" --restart --checkpoint-every never --quiet >/dev/null
        result "$folder/run" "$most" "$(cat "$folder/memory")" >>"$folder/ours"
        "$python" "$here/fashion_torch.py" "$net" 128 "$most" "$seed" "$threads" >>"$folder/theirs"
        echo "$net seed $seed mbrun $(tail -n 1 "$folder/ours")"
        echo "$net seed $seed torch $(tail -n 1 "$folder/theirs")"
    done
    "$python" "$here/medians.py" "$net mbrun" "$folder/ours" $epochs
    "$python" "$here/medians.py" "$net torch" "$folder/theirs" $epochs
done
