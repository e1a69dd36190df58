#!/bin/sh
# mb.hpp compiles without a warning as C++17 and later, and serves a program of two ranks.
. "$MB_SRCDIR/tests/bindings/lib.sh"
source=$MB_SRCDIR/tests/bindings/test_cxx.cpp
# MPI's own header is a system header here: its warnings are not ours.
system=$(pkg-config --cflags "$MB_BUILDDIR/mb.pc" | sed 's/-I */-isystem /g')

skip() { # NAME REASON
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

for compiler in g++ clang++; do
    name="a C++17 program compiles with $compiler without a warning"
    if ! command -v "$compiler" >/dev/null 2>&1; then
        skip "$name" "no $compiler"
        continue
    fi
    # shellcheck disable=SC2086
    "$compiler" -std=c++17 -fsyntax-only -Wall -Wextra -Wshadow -Wconversion -pedantic -Werror \
        -I"$MB_SRCDIR/include" $system "$source" >log 2>&1
    result $? "$name"
done

if ! command -v g++ >/dev/null 2>&1 || [ ! -f "$MB_BUILDDIR/.libs/libmb.so" ]; then
    skip "a C++ program runs" "no g++, or no shared library in this build"
else
    make_digest
    sanitize=
    [ "${MB_SANITIZERS-no}" = no ] || sanitize=-fsanitize=address,undefined
    # shellcheck disable=SC2046,SC2086
    g++ -std=c++17 -g $sanitize -I"$MB_SRCDIR/include" -o test_cxx "$source" -L"$MB_BUILDDIR/.libs" \
        $(pkg-config --cflags --libs "$MB_BUILDDIR/mb.pc") >log 2>&1
    result $? "a C++ program links with the library's own flags"
    export LD_LIBRARY_PATH="$MB_BUILDDIR/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    cases "the C++ program ends well" "$MPIEXEC" -np 2 ./test_cxx "$digest"
fi
echo "1..$count"
