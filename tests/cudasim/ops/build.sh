#!/bin/sh
# Builds the comparison of operations by the host's compiler:
#
#     build.sh FOLDER BUILD [compiler flags]
#
# leaves FOLDER/ops. BUILD is where the library was made (libmbcheck.la). Objects of kernels and of
# the simulation that BUILD has (make cudasim) are used where they are no older than their sources;
# the others are made in FOLDER.
set -eu
folder=$1 build=$2
shift 2
here=$(cd "$(dirname "$0")/../../.." && pwd)
cuda=${CUDA_HOME:-/usr/local/cuda}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
build=$(cd "$build" && pwd)
cd "$here"

headers=$(find kernels src/device src/base include tests/cudasim -name '*.h' -not -path '*/ops/*')
includes="-Itests -Isrc -Iinclude -Ikernels -I$build -isystem $cuda/include"
flags="-DMB_CUDASIM -O2 -g -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra"

fresh() { # object source
    case $2 in
    */ops/*) own=$(ls tests/cudasim/ops/*.h) ;;
    *) own= ;;
    esac
    [ -e "$1" ] && [ -z "$(find "$2" $own $headers -newer "$1" | head -1)" ]
}

compile() { # source object flags...
    from=$1 to=$2
    shift 2
    mkdir -p "$(dirname "$to")"
    echo "  CXX $from"
    case $from in
    *.c) "${CC:-gcc}" $flags $includes "$@" -c "$from" -o "$to" ;;
    *) "${CXX:-g++}" -x c++ -std=c++17 -Wno-unknown-pragmas $flags $includes "$@" -c "$from" \
        -o "$to" ;;
    esac
}

objects=
for source in kernels/*.cu src/device/cuda/device.c src/device/cuda/gemm.c tests/cudasim/*.cc \
    tests/cudasim/ops/*.cc; do
    case $source in */test_*) continue ;; esac
    object=${source%.*}.simo
    if [ $# -eq 0 ] && fresh "$build/$object" "$source"; then
        objects="$objects $build/$object"
        continue
    fi
    fresh "$folder/$object" "$source" || compile "$source" "$folder/$object" "$@"
    objects="$objects $folder/$object"
done
"$build/libtool" --quiet --tag=CXX --mode=link "${CXX:-g++}" "$@" ${LDFLAGS:-} -g -o "$folder/ops" $objects \
    "$build/libmbcheck.la" -fopenmp -lpthread -ldl
