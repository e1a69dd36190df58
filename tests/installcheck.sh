#!/bin/sh
# Usage: installcheck.sh CC DESTDIR BINDIR LIBDIR SRCDIR PKG_CONFIG FLAGS
# The installed tree serves a user: mbrun starts, and every example builds and runs, by pkg-config, and by CMake
# where that is installed.
set -eu
cc=$1 destdir=$2 bindir=$3 libdir=$4 pkg_config=${6:-pkg-config} flags=$7
srcdir=$(cd "$5" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-installcheck.XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

"$destdir$bindir/mbrun" --version
"$destdir$bindir/mbrun" info

# run_all FOLDER: every program there, in a folder of its own.
run_all() {
    for source in "$srcdir"/examples/*.c; do
        name=$(basename "$source" .c)
        mkdir -p "$work/run"
        (cd "$work/run" && "$1/$name") || { echo "installcheck: $name failed" >&2 && exit 1; }
        rm -rf "$work/run"
    done
}

export PKG_CONFIG_PATH="$destdir$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# A staged tree moves our folders, and not those of MPI that stand in the same flags.
includedir=$("$pkg_config" --variable=includedir mb)
mb_flags=$("$pkg_config" --define-variable=includedir="$destdir$includedir" \
    --define-variable=libdir="$destdir$libdir" --cflags --libs mb)
mkdir "$work/pkg-config"
for source in "$srcdir"/examples/*.c; do
    # shellcheck disable=SC2086
    $cc $flags -o "$work/pkg-config/$(basename "$source" .c)" "$source" $mb_flags -lm
done
(
    export LD_LIBRARY_PATH="$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    run_all "$work/pkg-config"
)
echo "installcheck: the examples built by pkg-config work"

if command -v cmake >/dev/null; then
    # A C compiler without its ccache and the like, which CMake takes as launchers.
    CC="${cc##* }" CFLAGS="$flags" cmake -S "$srcdir/examples" -B "$work/cmake" \
        -Dmb_DIR="$destdir$libdir/cmake/mb" >"$work/log" 2>&1 &&
        cmake --build "$work/cmake" >>"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
    run_all "$work/cmake"
    echo "installcheck: the examples built by CMake work"
else
    echo "installcheck: CMake is not installed, so that find_package(mb) was not tried"
fi
echo "installcheck: the installed mbrun and libmb work"
