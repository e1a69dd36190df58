#!/bin/sh
# Moments in 8 bits: the run itself is untouched, what is stored shrinks, and a run that stops and goes
# on stays close to one that never stopped, with the same bits on any layout.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"

options="--replicas 2 --micro-batch 8 --checkpoint-every never --quiet"

# goes_on OPTIMIZER MOMENTS RUN STEPS...: one start after the other in the same directory, to these
# totals.
goes_on() {
    spec=$1 kind=$2 run=$3
    shift 3
    for steps; do
        train 1 "$run" $options --optimizer "$spec" --moments "$kind" --steps "$steps" || return 1
    done
}

# Each stop rounds m by up to 1/254, and the root of v by up to 1/510, of the largest of a block. The runs
# ended within 0.0007 of each other (relatively), those of centered RMSprop, whose small differences
# v - a^2 only grow, within 0.01; five times that is allowed.
while read -r spec slots allowed; do
    rm -rf "$scratch"/*.run
    goes_on $spec fp32 whole 40 && goes_on $spec int8 same 40 && goes_on $spec int8 parts 10 20 30 40
    result $? "$spec: runs with moments in 8 bits end well"
    [ "$(weights same)" = "$(weights whole)" ]
    result $? "$spec: a run that never stops has the bits of one with exact moments"
    near "$(last_loss whole)" "$(last_loss parts)" "$allowed"
    result $? "$spec: a run that stopped three times ends near one that never stopped"
    exact=$(stat -c %s "$scratch/whole.run/step-00000040.h5")
    small=$(stat -c %s "$scratch/same.run/step-00000040.h5")
    # 53850 parameters: 4 bytes for each value of a moment become 1 + 2/128; each dataset has a header
    # and attributes of less than 4 KiB, of which there are six tensors with two parts a slot.
    saved=$(awk -v s="$slots" 'BEGIN { print int(s * (53850 * (3 - 2 / 128) - 12 * 4096)) }')
    [ $((exact - small)) -ge "$saved" ]
    result $? "$spec: checkpoints shrink by three bytes a value of a moment ($exact to $small)"
done <<END
adam 2 0.0035
adam:amsgrad=true 3 0.0035
sgd:momentum=0.9 1 0.0035
rmsprop:centered=true,momentum=0.9 3 0.05
END

rm -rf "$scratch"/*.run
goes_on adam int8 start 10
for ranks in 1 2 3; do
    cp -r "$scratch/start.run" "$scratch/$ranks.run"
    train $ranks $ranks $options --optimizer adam --steps 20
done
cp -r "$scratch/start.run" "$scratch/stages.run"
train 2 stages $options --optimizer adam --steps 20 --stages 2
for run in 2 3 stages; do
    [ "$(digests $run)" = "$(digests 1)" ]
    result $? "going on from moments in 8 bits has the same bits on another layout ($run)"
done
echo "1..$count"
