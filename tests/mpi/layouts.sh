#!/bin/sh
# The same bits on every layout, on the CPU, on a device that keeps its memory apart and runs later what
# it is told, and on one that runs only what was planned. All of it is tests/campaign/layouts.sh.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
if [ -n "${MB_TEST_REDUCED-}" ]; then
    job=4
    run_layouts cpu 1 mlp_weighed cnn_mobile gpt operators
    run_layouts deferred 1 shared
    run_layouts strict 1 regularized branches recurrent recurrent_states recurrent_kept recurrent_steps masks cnn_norms cnn_augmented
    run_layouts strict:bf16 1 cnn
    run_layouts strict:fp16 1 scaled
else
    # Eight ranks for one model of each kind; the device that checks most has all kinds on four.
    run_layouts cpu 1 mlp gpt shared recurrent_kept
    job=4
    run_layouts cpu 3 mlp_weighed gpt
    run_layouts deferred 1 mlp_weighed cnn shared
    run_layouts strict 1 cnn_unet cnn_mobile gpt regularized branches operators recurrent \
        recurrent_states recurrent_kept recurrent_steps masks cnn_norms cnn_augmented
    run_layouts strict:bf16 1 cnn gpt recurrent recurrent_states recurrent_kept
    run_layouts strict:fp16 1 scaled
fi
echo "1..$count"
