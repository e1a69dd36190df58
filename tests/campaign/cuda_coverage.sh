#!/bin/sh
# Which lines of kernels/ run when each operation is compared with the CPU's on the simulated CUDA.
#
#     tests/campaign/cuda_coverage.sh FOLDER [SHAPES]
#
# in a source folder after autoreconf. FOLDER becomes a build folder of its own; each operation is compared
# over SHAPES random shapes (30), fewer where they cost more. Prints the coverage by file; fails if an
# operation differs, or below 95 % of all lines. Needs the headers of the CUDA toolkit, and lcov.
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" && exit 2; }
command -v lcov >/dev/null || { echo "install lcov first" && exit 2; }
sources=$(cd "$(dirname "$0")/../.." && pwd)
shapes=${2-30}
mkdir -p "$1" && cd "$1" || exit 1

# The compiler has the option in its name, so that it links with it, too. The kernels alone are looked at.
[ -e Makefile ] || "$sources/configure" --disable-static CXX="${CXX-g++} --coverage" \
    CXXFLAGS="${CXXFLAGS--O1}" >configure.out || exit 1
make tests/cudasim/test_ops >make.out 2>&1 || { tail make.out && exit 1; }
find . -name '*.gcda' -exec rm {} +
OMP_WAIT_POLICY=passive tests/cudasim/test_ops shapes="$shapes" >ops.out || {
    grep -v '^ok' ops.out
    exit 1
}

lcov -q --capture --directory kernels --base-directory . --output-file all.info >lcov.out 2>&1 &&
    lcov -q --extract all.info "$sources/kernels/*" --output-file kernels.info >>lcov.out 2>&1 ||
    { tail lcov.out && exit 1; }
awk -F '[:,]' -v folder="$sources/" '
    /^SF:/ { file = substr($0, 4 + length(folder)) }
    /^DA:/ { lines[file]++; run[file] += $3 > 0; all++; all_run += $3 > 0 }
    END {
        print "| file | lines | run |"
        print "|---|---:|---:|"
        for (file in lines)
            printf "| %s | %d | %.1f %% |\n", file, lines[file], 100 * run[file] / lines[file] | "sort"
        close("sort")
        printf "| all | %d | %.1f %% |\n", all, 100 * all_run / all
        exit !(all > 0 && all_run >= 0.95 * all)
    }' kernels.info
