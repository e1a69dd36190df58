#!/bin/sh
# Each CUDA operation against the CPU's on the simulated CUDA, under AddressSanitizer and UBSan: device
# memory and shared memory are red beyond their last byte, and threads of blocks have stacks of their own.
#
#     tests/campaign/cuda_sanitized.sh FOLDER [SHAPES [SEED]]
#
# in a source folder after autoreconf. FOLDER becomes a build folder of its own; SHAPES are 2 and SEED is 1 by
# default. No part of make check, since compiling the kernels so takes minutes. Needs the headers of the CUDA
# toolkit.
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2; }
MB_SRCDIR=$(cd "$(dirname "$0")/../.." && pwd)
shapes=${2-2} seed=${3-1}
mkdir -p "$1" && cd "$1" || exit 1
MB_BUILDDIR=$PWD
. "$MB_SRCDIR/tests/support/environment.sh"

[ -e Makefile ] || "$MB_SRCDIR/configure" --enable-sanitizers --disable-static CXX="${CXX-g++}" \
    CXXFLAGS="${CXXFLAGS--O1 -g1}" >configure.out || exit 1
make tests/cudasim/test_ops >make.out 2>&1 || { tail make.out && exit 1; }
OMP_WAIT_POLICY=passive exec tests/cudasim/test_ops shapes="$shapes" seed="$seed"
