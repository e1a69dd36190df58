#!/bin/sh
# Whole runs on the simulated CUDA: the same bits on any number of ranks and GPUs, sums over replicas by NCCL,
# validation, evaluation and prediction, and the losses of the CPU.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_SEED=3
fixtures=$MB_SRCDIR/tests/fixtures

batch=8 model=shared
partition=counted # measuring takes longer than these runs

# run RANKS DEVICES INTO OPTION...: four replicas of a model without dropout, whose actions are CUDA graphs.
run() {
    on=$1 into=$3
    export MB_CUDASIM_DEVICES="$2"
    shift 3
    timeout -k 5 120 "$MPIEXEC" -n "$on" "$MBRUN" "$fixtures/$model.h5" \
        --data "$fixtures/$model.ref.h5" --run "$scratch/$into.run" --device cudasim --batch $batch \
        --micro-batch 2 --replicas 4 --steps 6 --threads 1 \
        --partition $partition "$@" >"$scratch/out" 2>&1 </dev/null
}

trained() {
    rm -rf "$scratch/$3.run"
    run "$@" || { sed 's/^/# /' "$scratch/out" && return 1; }
}

# Stages and groups: 1 x 1, 1 x 2, 3 x 1, 2 x 2; and where ranks are more than GPUs they share them.
for dtype in fp32 bf16; do
    trained 1 1 first --dtype $dtype
    wanted=$(digests first)
    bad=
    for layout in 1:4 2:1 2:2 3:1 3:2 3:3 3:4 4:1 4:2 4:3 4:4; do
        on=${layout%:*} gpus=${layout#*:} stages=1
        [ "$on" -ne 3 ] || stages=3
        [ "$on" -ne 4 ] || stages=2
        share=
        [ "$on" -le "$gpus" ] || share=--share-device
        trained "$on" "$gpus" other --dtype $dtype --stages $stages $share &&
            [ "$(digests other)" = "$wanted" ] || bad="$bad $layout"
    done
    [ -n "$wanted" ] && [ -z "$bad" ]
    result $? "$dtype: one digest on 1 to 4 ranks with 1 to 4 GPUs (other:$bad)"
done

# A sum of two floats has no order; of four it has, and each order is within 3 units of 2^-24 of the sum of
# magnitudes. Gradients that cancel to a hundredth of that move by 300 * 2^-24 = 1.8e-5, and the loss, which
# no run lowers by more than itself, by no more.
trained 4 4 tree --stages 1 && trained 4 4 link --stages 1 --reduce nccl &&
    grep -q 'summed over replicas in NCCL.s own order' "$scratch/out" &&
    near "$(last_loss tree)" "$(last_loss link)" 1.8e-5
result $? "four groups whose gradients NCCL sums come near the loss of the tree"
for groups in 1 2; do
    trained $groups 4 link --stages 1 --reduce nccl && [ "$(digests link)" = "$(digests tree)" ]
    result $? "$groups groups whose gradients NCCL sums come to the bits of the tree"
done
"$MBRUN" inspect "$scratch/link.run/final.h5" | grep -q 'reduce.*nccl'
result $? "a file says that NCCL summed"
for change in link:tree tree:nccl; do
    run 2 2 "${change%:*}" --stages 1 --reduce "${change#*:}" --steps 8
    code=$?
    [ $code -eq 2 ] && grep -q 'mbrun: error: .*reduce' "$scratch/out"
    status=$?
    [ $status -eq 0 ] || sed "s/^/# $code: /" "$scratch/out"
    result $status "a run that was begun otherwise does not go on with --reduce ${change#*:}"
done

# Moments in host memory: in pieces through two rooms of a GPU's, with clipping, averages, sums of several steps
# and rules that need whole tensors; and a run goes on with the other value.
for optimizer in adam:clipnorm=0.1 adam:use_ema=true,ema_momentum=0.9,gradient_accumulation_steps=2 lamb muon; do
    trained 1 1 here --optimizer "$optimizer" && trained 2 2 there --stages 2 --optimizer "$optimizer" --offload moments &&
        grep -q 'in host memory moments' "$scratch/out" && [ "$(digests here)" = "$(digests there)" ]
    result $? "moments in host memory give the bits of those on the GPU ($optimizer)"
done
trained 1 1 here --steps 3 --offload moments && run 1 1 here --steps 6 && trained 1 1 there --offload moments &&
    [ "$(digests here)" = "$(digests there)" ]
result $? "a run goes on with its moments on the GPU, where it began with them in host memory"

# What is kept of sixteen micro-batches in flight, all but two of them away; also beside forwards computed again, and
# where the gradients of weights come later.
batch=32
trained 1 1 here --stages 1
for layout in 1:gpipe:none 2:gpipe:none '1:gpipe:dense_2*' 3:zb-h2:none 3:1f1b:none; do
    stages=${layout%%:*} schedule=${layout#*:}
    trained "$stages" "$stages" there --stages "$stages" --schedule "${schedule%:*}" --recompute "${layout##*:}" \
        --partition counted --offload activations && [ "$(digests here)" = "$(digests there)" ]
    result $? "activations in host memory give the bits of those on the GPU ($layout)"
done
trained 1 1 there --stages 1 --schedule gpipe --offload activations,moments &&
    grep -q 'in host memory moments .*, activations ' "$scratch/out" && [ "$(digests here)" = "$(digests there)" ]
result $? "moments and activations in host memory give the bits of those on the GPU"

# Streams go on by themselves, also past the host's look at a room: what is in it must be summed, and sent, first.
model=resnet batch=8
trained 1 1 here --steps 2 && trained 4 4 there --stages 1 --steps 2 --zero 2 --bucket 200 &&
    [ "$(digests here)" = "$(digests there)" ]
result $? "summed gradients that groups share out have the bits of whole ones"
model=shared

# validation RUN: the numbers that are no times.
validation() {
    sed -n 's/.*"split": "val", \("loss": [^,]*\).*/\1/p' "$scratch/$1.run/metrics.jsonl"
}

batch=64 # five steps are an epoch
partition=measured
trained 1 1 one --val "$fixtures/shared.ref.h5" && trained 3 3 three --val "$fixtures/shared.ref.h5" --stages 3 &&
    [ -n "$(validation one)" ] && [ "$(validation one)" = "$(validation three)" ] &&
    [ "$(digests one)" = "$(digests three)" ]
result $? "a run with a validation set comes to the same numbers and weights on 1 and 3 ranks"

partition=counted

# score RANKS STAGES: of the model that was trained, all numbers of an evaluation.
score() {
    MB_CUDASIM_DEVICES=3 timeout -k 5 120 "$MPIEXEC" -n "$1" "$MBRUN" eval "$scratch/one.run/final.h5" \
        --data "$fixtures/shared.ref.h5" --device cudasim --micro-batch 3 --stages "$2" --json \
        2>"$scratch/out" </dev/null | sed 's/"seconds": *[^,}]*//g; s/"samples_per_second": *[^,}]*//g'
}

# predicted RANKS STAGES: batches of two samples, so that many are on their way at once.
predicted() {
    rm -f "$scratch/predicted.h5"
    MB_CUDASIM_DEVICES=3 timeout -k 5 120 "$MPIEXEC" -n "$1" "$MBRUN" predict "$scratch/one.run/final.h5" \
        --data "$fixtures/shared.ref.h5" --device cudasim --batch 2 --stages "$2" \
        -o "$scratch/predicted.h5" >"$scratch/out" 2>&1 </dev/null && cksum <"$scratch/predicted.h5"
}

one=$(score 1 1)
echo "# $one"
for stages in 1 3; do
    [ -n "$one" ] && [ "$(score 3 $stages)" = "$one" ]
    result $? "an evaluation gives the same numbers on 1 and 3 ranks, $stages stages"
    [ -n "$(predicted 1 1)" ] && [ "$(predicted 1 1)" = "$(predicted 3 $stages)" ]
    result $? "a prediction gives the same numbers on 1 and 3 ranks, $stages stages"
done

# Two seeds in one run share each rank's GPU, and their messages go by MPI.
export MB_CUDASIM_DEVICES=2
trained 2 2 ensemble --stages 2 --ensemble 2 --seed 1 &&
    grep -q '^seed-1: transport *MPI .*several models share' "$scratch/out" &&
    trained 1 1 alone --seed 1 && [ "$(weights alone)" = "$("$MBRUN" inspect --digest "$scratch/ensemble.run/seed-1/final.h5" |
    sed -n 's/^weights *//p')" ]
result $? "an ensemble's seed has the bits that it has alone"

curve() { # MODEL DEVICE DTYPE
    rm -rf "$scratch/$2.run"
    timeout -k 5 120 "$MBRUN" "$fixtures/$1.h5" --data "$fixtures/$1.ref.h5" --run "$scratch/$2.run" \
        --device "$2" --dtype "$3" --emulate --batch 2 --micro-batch 2 --replicas 1 --steps 20 \
        --threads 1 >"$scratch/out" 2>&1 </dev/null || { sed 's/^/# /' "$scratch/out" && return 1; }
}

losses() {
    sed -n 's/.*"split": "train", "loss": \([^,]*\).*/\1/p' "$scratch/$1.run/metrics.jsonl"
}

# The CPU adds in another order: an element of a layer's output is a sum of up to n products, whose roundings
# walk to sqrt(n) * u of their magnitude, u = 2^-24; so do those of l layers, forward and backward, and of s
# steps: sqrt(2 * s * l * n) * u. For s = 20, l = 12 (gpt's nodes in a row are fewer than 4 a block) and
# n = 800 that is 3.7e-5. In bfloat16 what layers hand on is rounded to u = 2^-9, and a sum in another order
# may round to the neighbour: n drops out, sqrt(2 * s * l) * u = 4.3e-2.
export MB_CUDASIM_DEVICES=1
for model in cnn gpt; do
    for case in fp32:3.7e-5 bf16:4.3e-2; do
        curve $model cpu ${case%:*} && curve $model cudasim ${case%:*} && losses cpu >"$scratch/a" &&
            losses cudasim | paste "$scratch/a" - | awk -v bound="${case#*:}" '
                { d = ($1 > $2 ? $1 - $2 : $2 - $1) / $1; worst = d > worst ? d : worst }
                END { printf "# %d losses: %.2g apart, %s allowed\n", NR, worst, bound
                      exit !(NR == 20 && worst <= bound) }'
        result $? "$model: 20 losses in ${case%:*} are those of the CPU"
    done
done
echo "1..$count"
