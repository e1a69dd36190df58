#!/bin/sh
# Usage: abi.sh INCLUDE SONAME "COMPILER AND FLAGS"
# Prints the binary interface of the library: its name, and what a compiler makes of the headers under
# INCLUDE/mb, in an order that does not depend on where they declare it.
set -eu
include=$1 soname=$2 cc=$3
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-abi.XXXXXX")
trap 'rm -rf "$work"' EXIT

constants=$(sed -n 's/^#define \(MB_[A-Z_0-9]*\) \{1,\}(\{0,1\}-\{0,1\}[0-9][0-9a-fx]*)\{0,1\} *\(\/\*.*\)\{0,1\}$/\1/p' \
    "$include"/mb/*.h | grep -v '^MB_VERSION_' | tr '\n' ' ')
# A macro in one MPI, a type in another.
printf '#include <mpi.h>\n#undef MPI_Fint\n#include <mb/mb.h>\n#include <mb/plugin.h>\n' >"$work/all.c"
# shellcheck disable=SC2086
$cc -I"$include" -E "$work/all.c" >"$work/all.i"
"${AWK:-awk}" -v constants="$constants" -f "$(dirname "$0")/abi.awk" "$work/all.i" >"$work/abi.c"
# shellcheck disable=SC2086
$cc -I"$include" -o "$work/abi" "$work/abi.c"
echo "# The binary interface of libmb: what 'make update-abi' finds in the headers. doc/packaging.md says what a"
echo "# change of it asks for."
echo "soname $soname"
"$work/abi" | LC_ALL=C sort
