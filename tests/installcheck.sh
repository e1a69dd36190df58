#!/bin/sh
# Usage: installcheck.sh CC DESTDIR BINDIR LIBDIR SRCDIR PKG_CONFIG FLAGS
# The installed tree serves a user: mbrun starts, and a program builds through pkg-config and runs.
set -eu
cc=$1 destdir=$2 bindir=$3 libdir=$4 srcdir=$5 pkg_config=$6 flags=$7
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-installcheck.XXXXXX")
trap 'rm -rf "$work"' EXIT

"$destdir$bindir/mbrun" --version
"$destdir$bindir/mbrun" info

export PKG_CONFIG_PATH="$destdir$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
pkg_config=${pkg_config:-pkg-config}
# A staged tree moves our folders, and not those of MPI that stand in the same flags.
includedir=$("$pkg_config" --variable=includedir mb)
mb_flags=$("$pkg_config" --define-variable=includedir="$destdir$includedir" \
    --define-variable=libdir="$destdir$libdir" --cflags --libs mb)
export LD_LIBRARY_PATH="$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# shellcheck disable=SC2086
$cc $flags -o "$work/train_arrays" "$srcdir/examples/train_arrays.c" \
    $mb_flags -lm
(cd "$work" && OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 ./train_arrays)
echo "installcheck: the installed mbrun and libmb work"
