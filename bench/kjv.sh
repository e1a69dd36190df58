#!/bin/sh
# The GPT preset learning a text, byte by byte, with the recipe of a peer: bits per byte of what is held out, at equal tokens.
#
#     bench/kjv.sh MBRUN TEXT RESULTS [STEPS [PEER]]
#
# TEXT is a file, such as the King James text (Debian's bible-kjv-text: bible -f -p /usr/lib Gen1:1-Rev22:21 > kjv.txt); its last
# tenth is held out, of which the first 400 windows count. PEER is what the peer printed, or two columns, tokens and bits a
# byte; without it the curve is shown alone. STEPS (2400) says how far to go: the schedule is always that of 2400 steps, so a run
# may be begun with few and gone on with later. Each call goes on from what RESULTS holds; a call that is stopped loses at most the
# steps since the last evaluation. Environment: THREADS (2), EVERY (200 steps between evaluations), DTYPE (bf16), MARGIN (0.03).
#
# The recipe: 6 blocks of width 384 with 6 heads, 256 bytes a window, 16 windows a step; AdamW with 1e-3, betas 0.9 and 0.95 and
# decay 0.1; matrices that begin normally distributed with a deviation of 0.02; warm-up over 100 steps and a cosine to a tenth; gradients clipped at 1.
set -eu
[ $# -ge 3 ] && [ $# -le 5 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0" && exit 2; }
mbrun=$1 text=$2 results=$3 steps=${4:-2400} peer=${5:-}
here=$(cd "$(dirname "$0")" && pwd)
threads=${THREADS:-2} every=${EVERY:-200} type=${DTYPE:-bf16}
batch=16 length=256 windows=400 planned=2400
optimizer=adamw:learning_rate=1e-3,beta_1=0.9,beta_2=0.95,epsilon=1e-8,weight_decay=0.1
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

size=$(wc -c <"$text")
kept=$((size * 9 / 10))
held=$((windows * length + 1))
[ $((size - kept)) -ge "$held" ] || held=$(((size - kept - 1) / length * length + 1))
[ "$held" -gt "$length" ] || { echo "$0: $text: a tenth of its $size bytes has no window of $length" >&2 && exit 1; }

mkdir -p "$results"
make() { # FILE COMMAND...: under another name first, so that what is broken off is made again
    [ -e "$results/$1" ] && return
    file=$1 && shift
    "$@" -o "$results/new.h5" >/dev/null
    mv "$results/new.h5" "$results/$file"
}
if ! [ -e "$results/held.h5" ]; then
    head -c "$kept" "$text" >"$results/train.txt"
    tail -c +"$((kept + 1))" "$text" | head -c "$held" >"$results/held.txt"
fi
make train.h5 "$mbrun" data "$results/train.txt"
make held.h5 "$mbrun" data "$results/held.txt"
make model.h5 "$mbrun" new gpt layers=6 width=384 heads=6 length=$length vocabulary=256 init=normal --optimizer $optimizer \
    --lr-schedule cosine:steps=$((planned - 100)),warmup=100,alpha=0.1 --clip 1

if ! [ -e "$results/steps" ] || [ "$(cat "$results/steps")" -lt "$steps" ]; then
    mpirun -np 1 "$mbrun" train "$results/model.h5" --data "$results/train.h5" --val "$results/held.h5" --val-every "$every" \
        --batch $batch --steps "$steps" --dtype "$type" --threads "$threads" --checkpoint-every "$every" --run "$results/run" --quiet
    echo "$steps" >"$results/steps"
fi
python3 "$here/kjv.py" "$results/run/metrics.jsonl" $((batch * length)) "${MARGIN:-0.03}" ${peer:+"$peer"}
