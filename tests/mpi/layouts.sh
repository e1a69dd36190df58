#!/bin/sh
# The same bits on every layout. All of it is tests/campaign/layouts.sh.
#
#     in one process   every kind of model, on the CPU and on a device that runs only what was planned, in all dtypes:
#                      what a rank computes, sends and sums in which order is the trainer's, whatever carries it.
#                      Ranks that take turns on a core would wait for most of the time (ranks.h)
#     over MPI         what depends on it: real messages, processes and their threads. A model on the CPU, with groups,
#                      stages and all schedules; and the device that keeps its memory apart and runs later what it is told,
#                      on which a rank waits in real time, with one of the models whose weights are in several stages.
#                      Under the sanitizers only that one: the others' code is the same in one process
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
if [ -n "${MB_TEST_REDUCED-}" ]; then
    job=4
    run_layouts deferred 1 shared
    in_process cpu 1 mlp_weighed cnn_mobile gpt operators
    in_process strict 1 regularized branches recurrent recurrent_states recurrent_kept recurrent_steps masks cnn_norms cnn_augmented
    in_process strict:bf16 1 cnn
    in_process strict:fp16 1 scaled
else
    job=4
    run_layouts cpu 1 mlp
    run_layouts deferred 1 mlp_weighed cnn shared
    # Eight ranks for one model of each kind; the device that checks most has all kinds on four.
    job=8
    in_process cpu 1 mlp gpt shared recurrent_kept
    job=4
    in_process cpu 3 mlp_weighed gpt
    in_process strict 1 cnn_unet cnn_mobile gpt regularized branches operators recurrent \
        recurrent_states recurrent_kept recurrent_steps masks cnn_norms cnn_augmented
    in_process strict:bf16 1 cnn gpt recurrent recurrent_states recurrent_kept
    in_process strict:fp16 1 scaled
fi
echo "1..$count"
