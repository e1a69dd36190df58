#!/bin/sh
# The same bits on every layout, on the CPU, on a device that keeps its memory apart and runs later what
# it is told, and on one that runs only what was planned. All of it is tests/campaign/layouts.sh.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"
if [ -n "${MB_TEST_REDUCED-}" ]; then
    run_layouts cpu 1
    run_layouts deferred 1 mlp mlp_weighed shared
    run_layouts strict 1 regularized branches recurrent masks
    run_layouts strict:bf16 1 cnn
    run_layouts strict:fp16 1 scaled
else
    run_layouts cpu 3
    run_layouts deferred 1 mlp_weighed cnn gpt shared recurrent masks
    run_layouts strict 1
    run_layouts strict:bf16 1
    run_layouts strict:fp16 1 scaled
fi
echo "1..$count"
