#!/bin/sh
# Errors that say nothing: numbers that are not finite, from the data or from a rank that errs, and bits of one
# rank that others have not (tests/support/erring_products.c). What did it is named, alike on any layout.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"

erring=$MB_BUILDDIR/tests/support/erring_products.so
# The shim stands before the sanitizer's library, which is of no harm.
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0

# A net with batch normalization and dropout, and a sample of 40 whose numbers overflow in its convolution.
cd "$scratch" || exit 1
"$MBRUN" new cnn -o wild.h5 input=4x4x8 filters=8 dense=16 classes=3 batchnorm=yes dropout=0.25 >new 2>&1
awk 'BEGIN {
    srand(3)
    for (j = 0; j < 128; j++) printf "c%d,", j
    print "y"
    for (i = 0; i < 40; i++) {
        for (j = 0; j < 128; j++) printf "%s,", i == 21 ? "3.4e38" : rand()
        print i % 3
    }
}' >wild.csv

# wild RANKS RUN OPTION...: two replicas of micro-batches of 4 samples, unless options say otherwise.
wild() {
    on=$1 into=$2
    shift 2
    timeout -k 5 300 "$MPIEXEC" -n "$on" "$MBRUN" wild.h5 --data wild.csv --label y --run "$into.run" --threads 1 \
        --quiet --replicas 2 --micro-batch 4 --batch 16 "$@" >out 2>&1 </dev/null
}

said() {
    grep -q "$1" out || { sed 's/^/# /' out && return 1; }
}

first="the loss is NaN: the first infinity is in the output of layer 'conv2d' (Conv2D), micro-batch 3, sample 21 of wild.csv"
wild 1 a
[ $? -eq 1 ] && said "step 1 (epoch 1): $first, on rank 0 " && [ -z "$(ls a.run | grep '[.]h5$')" ]
result $? "the first number that is not finite is named on one rank, and nothing is saved"
wild 4 b --stages 2 --zero 1
[ $? -eq 1 ] && said "^mbrun: error: step 1 (epoch 1): $first, on rank 2 (.*, stage 0)"
result $? "and so it is on two stages of two groups"

wild 1 c --on-nan skip && said "$first.*; the step is left out" && [ "$(grep -c left_out c.run/metrics.jsonl)" -eq 1 ] &&
    [ "$("$MBRUN" inspect --json c.run/final.h5 | grep -c '"skipped_steps": *1')" -eq 1 ]
result $? "a step is left out, told and counted"
wild 2 d --on-nan skip --stages 2 && [ "$(digests d)" = "$(digests c)" ]
result $? "and what is learned is the same on two stages"
wild 3 e --on-nan skip --stages 1 --zero 1 --check-every 1 && [ "$(digests e)" = "$(digests c)" ]
result $? "and with a shared state of the optimizer, an idle rank, and a check"
wild 1 f --on-nan skip --batch 8 && wild 2 g --on-nan skip --batch 8 --zero 2 --check-every 1 &&
    [ "$(digests f)" = "$(digests g)" ]
result $? "and with shared sums of gradients"

# err WHAT RANK FROM CALLS RANKS RUN OPTION...
err() {
    what=$1 rank=$2 from=$3 calls=$4 on=$5 into=$6
    shift 6
    timeout -k 5 300 "$MPIEXEC" -n "$on" env LD_PRELOAD="$erring" ERRING_WHAT="$what" ERRING_RANK="$rank" \
        ERRING_FROM="$from" ERRING_CALLS="$calls" "$MBRUN" model.h5 --data data.h5 --run "$into.run" --threads 1 \
        --quiet "$@" >out 2>&1 </dev/null
}

err nan 1 60 1 2 h --stages 1 --replicas 2 --micro-batch 4 --epochs 2
[ $? -eq 1 ] && said ": computed again it is finite, so that a processor or a memory must have erred"
result $? "a rank that made a NaN once is told from a model that does"

train 1 plain --replicas 3 --micro-batch 4 --epochs 2 &&
    err none 0 0 0 4 checked --stages 2 --schedule interleaved --replicas 3 --micro-batch 4 --epochs 2 --check-every 1 &&
    [ "$(digests plain)" = "$(digests checked)" ]
result $? "a run that is checked has the bits of one that is not"
err result 1 60 100000 3 i --replicas 3 --stages 1 --micro-batch 4 --epochs 2 --check-every 1
[ $? -eq 1 ] && said "^mbrun: error: step [0-9]*: micro-batch .*so that the error is on rank 1 ("
result $? "of three groups the one that computes wrongly is named"
err result 1 60 100000 4 j --replicas 2 --stages 2 --micro-batch 4 --epochs 2 --check-every 1
[ $? -eq 1 ] && said "^mbrun: error: step [0-9]*: micro-batch .* of stage 1\. Computed once more"
result $? "of two groups of two stages the stage is"
err weights 2 0 1 3 k --replicas 3 --stages 1 --micro-batch 4 --epochs 2 --check-every 2
[ $? -eq 1 ] && said "^mbrun: error: step [0-9]*: weight 'sequential/dense.*' of stage 0 has other bits on rank 2 ("
result $? "a weight that one of three groups has otherwise is named"
err result 0 25 1 1 l --epochs 2 --check-every 1
[ $? -eq 1 ] && said "gave other bits the second time on rank 0 (.*so that it erred once"
result $? "one rank alone sees that it erred once"
echo "1..$count"
