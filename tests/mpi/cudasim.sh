#!/bin/sh
# The kernels and the CUDA device's host code on a simulated CUDA, one device a rank: the same bits on every
# layout, in float32, bfloat16, TF32 and float16, whatever order the simulation draws its streams in.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_DEVICES=8 MB_CUDASIM_SEED=1
# Steps of recurrent layers are many small kernels, each of them slow here: two ranks, and the others in the campaign.
job=2
run_layouts cudasim 1 recurrent recurrent_kept recurrent_steps masks
job=4
run_layouts cudasim 1 operators
MB_CUDASIM_SEED=2
run_layouts cudasim:bf16 1 cnn
run_layouts cudasim:tf32 1 mlp
run_layouts cudasim:fp16@staged 1 scaled
echo "1..$count"
