#!/bin/sh
# Each CUDA operation, on a real device, against the CPU's.
program=$MB_BUILDDIR/tests/gpu/test_ops
if [ ! -x "$program" ]; then
    echo "1..0 # SKIP 'make gputests' was not run"
    exit 0
fi
MB_PLUGINS=$MB_BUILDDIR exec "$program" shapes=20
