#!/bin/sh
# The studies of examples/insitu in their short form, built against this tree: a surrogate that has seen a little is
# nearer to the solver than water that stands still, whatever the blocks, and no water is lost.
library=$MB_BUILDDIR/.libs/libmb.so
skip() { # REASON
    echo "1..0 # SKIP $1"
    exit 0
}
[ -f "$library" ] || skip "no shared library in this build"
[ "${MB_SANITIZERS-no}" = no ] || skip "a program without sanitizers cannot load a library that has them"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export LD_LIBRARY_PATH="$MB_BUILDDIR/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
source=$MB_SRCDIR/examples/insitu
count=0

result() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        tail -n 12 log | cut -c 1-300 | sed 's/^/# /'
    fi
}

build() { # NAME
    # shellcheck disable=SC2046
    gcc -O1 -std=gnu11 -Wall -Wextra -Wshadow -Werror -I"$MB_SRCDIR/include" -o "$1" "$source/$1.c" \
        -L"$MB_BUILDDIR/.libs" $(pkg-config --cflags --libs "$MB_BUILDDIR/mb.pc" | sed 's/-I */-isystem /g') -lm >log 2>&1
    result $? "$1 compiles without a warning"
}

water="cells=24 steps=400 use=12 each=4"
# The last line: time, errors of the surrogate alone, with the solver in between, of still water, and the water gained.
learnt() {
    awk -F, 'END { exit !(NR == 13 && $2 < $4 / 2 && $3 < $4 / 2 && $5 < 1e-12 && $5 > -1e-12) }' shallow_water.csv
}

build shallow_water
# shellcheck disable=SC2086
"$MPIEXEC" -np 2 ./shallow_water $water >log 2>&1 && cat shallow_water.csv >>log && learnt
result $? "a surrogate learns from a running solver, and replaces it"
if [ -x "$MB_BUILDDIR/tests/mpi/insitu_fortran" ]; then
    # shellcheck disable=SC2086
    "$MPIEXEC" -np 2 "$MB_BUILDDIR/tests/mpi/insitu_fortran" $water >log 2>&1 && cat shallow_water.csv >>log && learnt
    result $? "and so it does in Fortran"
else
    count=$((count + 1))
    echo "ok $count - and so it does in Fortran # SKIP no module for Fortran in this build"
fi

build autoencoder
"$MPIEXEC" -np 2 ./autoencoder blocks=8 times=6 steps=60 >log 2>&1
result $? "an auto-encoder stores a field better than as many averages"

build infer
"$MBRUN" new mlp -o model.h5 input=2 hidden=8 classes=2 >log 2>&1 && "$MPIEXEC" -np 2 ./infer model.h5 >log 2>&1
result $? "a model predicts on each rank by itself"
echo "1..$count"
