#!/bin/sh
# The timings of bench/gpu/kernels, on the simulated device: that every operation of a GPT-2 step can be planned, run
# and timed as it is given there. What they take means nothing.
program=$MB_BUILDDIR/bench/gpu/kernels_simulated
if [ ! -x "$program" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-kernels.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0

check() { # WHAT COMMAND...
    what=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $what"
    else
        echo "not ok $count - $what"
        sed 's/^/# /' "$scratch/errors" | head -n 5
    fi
}

time_all() { # ARGUMENTS...
    "$program" samples=2 length=8 width=16 heads=2 vocabulary=40 repeat=3 "$@" >"$scratch/out" 2>"$scratch/errors"
}

lines_are() { # NUMBER PATTERN
    [ "$(grep -c "$2" "$scratch/out")" -eq "$1" ]
}

refused() {
    ! "$program" "$1" >"$scratch/out" 2>"$scratch/errors" && grep -q "$2" "$scratch/errors"
}

check "all operations are timed" time_all tflops=100
check "each has its median" lines_are 30 '"microseconds": [0-9.]*[1-9]'
check "each has its share of the bound" lines_are 30 '"bound_microseconds": [0-9.]*, "of_bound": [0-9.]*}'
check "products are bound by their flops, 2 m n k" lines_are 3 '"of": "fc [a-z]*".*"flops": 32768,'
check "adding reads two operands and writes one" lines_are 1 '"add", "of": "residual".*"bytes": 1536,'
check "the simulation says that it is one" lines_are 1 '"simulated": true'
check "without a peak products have no bound" time_all
check "and all else has" lines_are 16 '"of_bound"'
check "a size that is no number is refused" refused width=12x "not understood"
check "heads that do not divide the width are refused" refused heads=5 "no multiple"
echo "1..$count"
