#!/bin/bash
# A loss of all samples of a batch, which one micro-batch holds: the same bits on any number of stages, and
# after a stop in the middle; evaluated in batches of the given size.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"

options="--loss circle:gamma=4 --lr 0.001 --batch 24 --replicas 1 --checkpoint-every never --quiet"
whole="--micro-batch 24"

train 1 one $options $whole --steps 9
result $? "a run ends well"
for stages in 2 3; do
    train $stages $stages $options $whole --steps 9 --stages $stages && [ "$(digests $stages)" = "$(digests one)" ]
    result $? "$stages stages give the same bits"
done
train 2 parts $options $whole --steps 4 --stages 2 && train 1 parts $options $whole --steps 9 &&
    [ "$(digests parts)" = "$(digests one)" ]
result $? "a run that was stopped gives the same bits"
! train 2 smaller $options --micro-batch 12 --steps 1 >"$scratch/log" &&
    grep -q 'loss circle of output .* use --micro-batch 24 --replicas 1' "$scratch/log"
result $? "smaller micro-batches are refused, with what to do"
[ "$(evaluate "$scratch/one.run/final.h5" --batch 24)" != "$(evaluate "$scratch/one.run/final.h5" --batch 12)" ]
result $? "what is compared in evaluation is a batch"
echo "1..$count"
