#!/bin/sh
# Builds the simulated CUDA, all kernels and the simulation's own test by the host's compiler:
#
#     build.sh FOLDER [compiler flags]
#
# leaves FOLDER/libcudasim.a, FOLDER/libkernels.a and FOLDER/test_cudasim. What is newer than its
# source and every header stays as it is.
set -eu
folder=$1
shift
here=$(cd "$(dirname "$0")/../.." && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}
mkdir -p "$folder/sim" "$folder/kernels"
folder=$(cd "$folder" && pwd)
cd "$here"

headers=$(find kernels src include tests/cudasim -name '*.h')

stale() { # object source
    [ -e "$1" ] || return 0
    [ -n "$(find "$2" $headers -newer "$1" | head -1)" ]
}

compile() { # object source flags...
    object=$1 source=$2
    shift 2
    stale "$object" "$source" || return 0
    echo "  CXX $source"
    "${CXX:-g++}" -x c++ -std=c++17 -O2 -g -fPIC -Wall -Wextra -Wno-unknown-pragmas \
        -DMB_CUDASIM -isystem "$cuda/include" -Itests -Isrc -Iinclude -Ikernels "$@" \
        -c "$source" -o "$object"
}

for source in tests/cudasim/*.cc; do
    compile "$folder/sim/$(basename "$source" .cc).o" "$source" "$@"
done
rm -f "$folder/libcudasim.a"
ar rc "$folder/libcudasim.a" $(ls "$folder"/sim/*.o | grep -v '/test_')
"${CXX:-g++}" "$@" "$folder"/sim/test_*.o "$folder/libcudasim.a" -lpthread -o "$folder/test_cudasim"

for source in kernels/*.cu; do
    compile "$folder/kernels/$(basename "$source" .cu).o" "$source" "$@"
done
rm -f "$folder/libkernels.a"
ar rc "$folder/libkernels.a" "$folder"/kernels/*.o
