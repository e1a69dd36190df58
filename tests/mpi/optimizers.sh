#!/bin/bash
# Every optimizer, with accumulation of gradients and averages of weights: the same bits on any layout, and
# after a stop in the middle, also where that falls between two updates.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"

options="--replicas 4 --micro-batch 8 --checkpoint-every never --quiet"
both="gradient_accumulation_steps=3,use_ema=true,ema_momentum=0.9"

while read -r spec; do
    rm -rf "$scratch"/*.run
    given="$options --optimizer $spec"
    train 1 one $given --steps 11
    result $? "$spec: a run ends well"
    train 4 four $given --steps 11 && [ "$(digests four)" = "$(digests one)" ]
    result $? "$spec: 4 ranks give the same bits"
    train 4 stages $given --steps 11 --stages 2 && [ "$(digests stages)" = "$(digests one)" ]
    result $? "$spec: two stages give the same bits"
    train 2 parts $given --steps 4 && train 1 parts $given --steps 11 &&
        [ "$(digests parts)" = "$(digests one)" ]
    result $? "$spec: a run that was stopped gives the same bits"
done <<END
adagrad:$both
adadelta:lr=0.1,$both
adamax
nadam:$both,ema_overwrite_frequency=2
ftrl:lr=0.1,$both
lion:clipnorm=0.1
lamb:weight_decay=0.1,$both
schedulefreeadamw:lr=0.02,warmup_steps=3,weight_decay=0.1,$both
adafactor:lr=0.01,$both
muon:lr=0.01,global_clipnorm=0.1,$both
adam:amsgrad=true,$both
rmsprop:centered=true,momentum=0.5,loss_scale_factor=3
END

# What final.h5 holds of a run that averages is not what the run would go on from.
rm -rf "$scratch"/*.run
train 1 average $options --optimizer "adam:$both" --steps 6
"$MBRUN" inspect --digest "$scratch/average.run/step-00000006.h5" >"$scratch/step" &&
    [ "$(sed -n 's/^weights *//p' "$scratch/step")" != "$(weights average)" ]
result $? "final.h5 has averages, step checkpoints the weights"
rm "$scratch/average.run"/step-*.h5
! train 1 average $options --optimizer "adam:$both" --steps 9 >"$scratch/log" &&
    grep -q 'averages over steps' "$scratch/log"
result $? "a run whose averages alone are left is not gone on with"
# Moments of the same name that are another thing.
train 1 adam $options --optimizer adam --steps 3 && cp "$scratch/adam.run/step-00000003.h5" "$scratch/adam.h5"
train 1 fresh $options --optimizer schedulefreeadamw --steps 2 --weights "$scratch/adam.h5"
model=$scratch/adam.h5 train 1 free ${options/ --quiet/} --optimizer schedulefreeadamw --steps 2 &&
    grep -q 'state of Adam in .* is left out' "$scratch/out" && [ "$(weights free)" = "$(weights fresh)" ]
result $? "momentum that is no copy of the weights is not taken for one"
for name in Ftrl ScheduleFreeAdamW; do
    ! train 1 $name $options --optimizer ${name,,} --moments int8 --steps 1 >"$scratch/log" &&
        grep -q "$name makes the weights from its moments" "$scratch/log"
    result $? "$name's moments, which weights are made from, are refused in 8 bits"
done
echo "1..$count"
