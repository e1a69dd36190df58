#!/bin/sh
# Usage: installcheck.sh CC DESTDIR BINDIR LIBDIR SRCDIR PKG_CONFIG FLAGS, with FC in the environment
# The installed tree serves a user: mbrun starts, and every example builds and runs, by pkg-config, and by CMake where that is
# installed; those in Fortran where the module was built.
set -eu
cc=$1 destdir=$2 bindir=$3 libdir=$4 pkg_config=${6:-pkg-config} flags=$7
srcdir=$(cd "$5" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-installcheck.XXXXXX")
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
examples="$srcdir/examples/*.c $srcdir/examples/insitu/*.c"
fortran_examples="$srcdir/examples/*.f90 $srcdir/examples/insitu/*.f90"

"$destdir$bindir/mbrun" --version
"$destdir$bindir/mbrun" info

# The studies among the examples in small.
arguments() {
    case $1 in
    shallow_water*) echo cells=24 steps=400 use=12 each=4 ;;
    autoencoder*) echo blocks=8 times=6 steps=60 ;;
    esac
}

# run_all FOLDER: every program there, one after the other in one folder: some read what others leave.
run_all() {
    rm -rf "$work/run" && mkdir "$work/run"
    for program in "$1"/train_arrays "$1"/*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        name=$(basename "$program")
        # shellcheck disable=SC2046
        (cd "$work/run" && "$program" $(arguments "$name")) >"$work/log" 2>&1 ||
            { cat "$work/log" && echo "installcheck: $name failed" >&2 && exit 1; }
        echo "installcheck: $name: $(tail -n 1 "$work/log")"
    done
}

export PKG_CONFIG_PATH="$destdir$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
# A staged tree moves our folders, and not those of MPI that stand in the same flags.
includedir=$("$pkg_config" --variable=includedir mb)
flags_of() {
    "$pkg_config" --define-variable=includedir="$destdir$includedir" --define-variable=libdir="$destdir$libdir" \
        --cflags --libs "$1"
}
mkdir "$work/pkg-config"
for source in $examples; do
    [ -f "$source" ] || continue
    # shellcheck disable=SC2046,SC2086
    $cc $flags -o "$work/pkg-config/$(basename "$source" .c)" "$source" $(flags_of mb) -lm
done
"$pkg_config" --static --libs mb | grep -q -e -lhdf5 || { echo "installcheck: no list of all libraries" >&2 && exit 1; }
if [ -n "${FC-}" ] && "$pkg_config" --exists mb-fortran; then
    for source in $fortran_examples; do
        [ -f "$source" ] || continue
        # shellcheck disable=SC2046,SC2086
        (cd "$work" && $FC $flags -o "$work/pkg-config/$(basename "$source" .f90)_f" "$source" $(flags_of mb-fortran))
    done
fi
(
    export LD_LIBRARY_PATH="$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
    run_all "$work/pkg-config"
)
echo "installcheck: the examples built by pkg-config work"

if command -v cmake >/dev/null; then
    # A C compiler without its ccache and the like, which CMake takes as launchers.
    CC="${cc##* }" CFLAGS="$flags" FFLAGS="$flags" cmake -S "$srcdir/examples" -B "$work/cmake" \
        -Dmb_DIR="$destdir$libdir/cmake/mb" >"$work/log" 2>&1 &&
        cmake --build "$work/cmake" >>"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
    # libmb_fortran finds libmb where both are installed to, which a staged tree is not.
    (
        export LD_LIBRARY_PATH="$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
        run_all "$work/cmake"
    )
    echo "installcheck: the examples built by CMake work"
else
    echo "installcheck: CMake is not installed, so that find_package(mb) was not tried"
fi
echo "installcheck: the installed mbrun and libmb work"
