#!/bin/sh
# An LSTM side by side with PyTorch's: samples a second in training.
#
#     bench/lstm.sh MBRUN PYTHON [UNITS] [STEPS] [BATCH] [SAMPLES]
#
# MBRUN is the program, PYTHON one that has torch and h5py. An embedding of UNITS numbers, one LSTM of UNITS units over
# STEPS tokens and the logits of two classes, with Adam. Five runs of each alternate, so that a machine that drifts
# drifts for both, and the medians come last. Both use THREADS threads, by default one for each core.
set -eu
mbrun=$1 python=$2 units=${3:-128} steps=${4:-100} batch=${5:-64} samples=${6:-3840}
here=$(cd "$(dirname "$0")" && pwd)
threads=${THREADS:-$(nproc)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

# Of the second epoch, as the opponent's: the first one has the plan, and memory that is touched for the first time.
ours() {
    mpirun -np 1 "$mbrun" train "$folder/model.h5" --data "$folder/data.h5" --batch "$batch" --epochs "$1" \
        --run "$folder/run" --threads "$threads" --restart --checkpoint-every never --quiet >/dev/null
    "$python" -c '
import json, sys
actions = json.load(open(sys.argv[1] + "/plan.json"))["measured"][0]["actions"]
print(sum(a["seconds"] + a["wait_seconds"] for a in actions.values()))' "$folder/run"
}

"$python" "$here/lstm_torch.py" data "$folder/data.h5" "$steps" "$samples"
"$mbrun" new lstm -o "$folder/model.h5" vocabulary=100 length="$steps" width="$units" units="$units" >/dev/null
for run in 1 2 3 4 5; do
    one=$(ours 1) two=$(ours 2)
    "$python" -c "print(round($samples / ($two - $one)))" >>"$folder/ours"
    "$python" "$here/lstm_torch.py" train "$folder/data.h5" "$units" "$batch" "$threads" >>"$folder/theirs"
    echo "run $run: mbrun $(tail -n 1 "$folder/ours") samples/s, torch $(tail -n 1 "$folder/theirs") samples/s"
done
echo "median: mbrun $(sort -n "$folder/ours" | sed -n 3p), torch $(sort -n "$folder/theirs" | sed -n 3p)"
