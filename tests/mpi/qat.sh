#!/bin/sh
# Training through rounded weights: the same bits on any layout and across stops, final.h5 in the same
# format is what was trained, and rounding then costs less.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"

options="--replicas 2 --micro-batch 8 --checkpoint-every never --quiet"

for format in int8 int4; do
    rm -rf "$scratch"/*.run
    for ranks in 1 2 3; do
        train $ranks $ranks $options --qat $format --steps 20
    done
    train 2 stages $options --qat $format --steps 20 --stages 2
    train 3 parts $options --qat $format --steps 7 --stages 3 && train 1 parts $options --steps 20
    for run in 2 3 stages parts; do
        [ -n "$(digests 1)" ] && [ "$(digests $run)" = "$(digests 1)" ]
        result $? "$format: the same bits on another layout and after a stop ($run)"
    done
    train 1 plain $options --steps 20
    [ "$(weights plain)" != "$(weights 1)" ]
    result $? "$format: rounding takes part in training"
done

# The loss that validation saw of the rounded weights, and that of the stored ones: the same numbers in
# other kernels, whose sums of up to 784 products differ by some eps each.
rm -rf "$scratch"/*.run
train 1 exact $options --qat int4 --epochs 2 --val "$scratch/data.h5" --checkpoint-dtype int4
seen=$(sed -n 's/.*"split": "val", "loss": \([^,]*\).*/\1/p' "$scratch/exact.run/metrics.jsonl" |
    tail -n 1)
stored=$(evaluate "$scratch/exact.run/final.h5" --activations float)
near "$seen" "$stored" 1e-5
result $? "final.h5 in the format of --qat has the loss that validation saw"
"$MBRUN" quantize "$(ls "$scratch"/exact.run/step-*40.h5)" -o "$scratch/nearest.h5" --format int4 \
    --method nearest >"$scratch/out" 2>&1 || sed 's/^/# /' "$scratch/out"
[ "$("$MBRUN" inspect --digest "$scratch/nearest.h5" | sed -n 's/^weights *//p')" = "$(weights exact)" ]
result $? "final.h5 in the format of --qat holds the trained weights, rounded to the nearest"

# Fine-tuning a trained model through int4 against rounding it to int4.
rm -rf "$scratch"/*.run
train 1 base --steps 60 --quiet
cp "$scratch/base.run/final.h5" "$scratch/trained.h5"
model=$scratch/trained.h5
train 1 rounded --steps 40 --quiet --checkpoint-dtype int4:block=256
train 1 tuned --steps 40 --quiet --checkpoint-dtype int4:block=256 --qat int4:block=256
plain=$(evaluate "$scratch/rounded.run/final.h5" --activations float)
tuned=$(evaluate "$scratch/tuned.run/final.h5" --activations float)
echo "# loss in int4: rounded after training $plain, trained through it $tuned"
awk -v a="$plain" -v b="$tuned" 'BEGIN { exit !(b + 0 < a + 0) }'
result $? "weights trained through int4 lose less in it than weights rounded to it"
echo "1..$count"
