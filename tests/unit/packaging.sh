#!/bin/sh
# The recipes of packaging/ name this version, the library's name and what configure looks for, and are right to the
# languages they are written in.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-packaging.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$MB_SRCDIR/packaging" || exit 1
version=$(cat ../VERSION)

check() { # NUMBER NAME COMMAND...
    number=$1 test=$2
    shift 2
    if "$@" >"$work/log" 2>&1; then
        echo "ok $number - $test"
    else
        sed 's/^/# /' "$work/log"
        echo "not ok $number - $test"
    fi
}
says() { # FILE TEXT
    grep -qF -- "$2" "$1" || { echo "$1 lacks: $2" && return 1; }
}

versions() {
    says spack/package.py "version(\"$version\")" && says spack/package.py "mbrun-$version.tar.gz" &&
        says easybuild/mbrun-"$version"-*.eb "version = '$version'" && says apptainer/mbrun.def "mbrun-$version.tar.gz" &&
        says apptainer/mbrun.def "Version $version" && says debian/changelog "mbrun ($version-"
}

# As in the ABI file: a library of another name is another package.
library_names() {
    soname=$(sed -n 's/^soname libmb\.so\.//p' libmb.abi)
    says debian/control "Package: libmb$soname" && says debian/libmb"$soname".install libmb.so &&
        says debian/rules "libmb.so.$soname libmb$soname "
}

# What ./quickstart installs for a build from a tarball, and the table of doc/build.md for Spack.
dependencies() {
    for package in $(sed -n '/^build_packages="/,/"$/p' ../quickstart | tr -d '"' | sed 's/build_packages=//'); do
        case $package in
        gcc | libc6-dev | make | autoconf | automake | libtool) ;;
        *) says debian/control "$package" && says apptainer/mbrun.def "$package" || return 1 ;;
        esac
    done
    for package in openmpi hdf5 onednn@2.7 jansson hwloc libpng libjpeg-turbo; do
        grep -q "$package" ../doc/build.md || { echo "doc/build.md lacks $package" && return 1; }
        case $package in
        openmpi) says spack/package.py 'depends_on("mpi' || return 1 ;;
        *) says spack/package.py "depends_on(\"$package" || return 1 ;;
        esac
    done
}

python_reads() {
    python3 -c 'import ast, sys; [ast.parse(open(name).read(), name) for name in sys.argv[1:]]' \
        spack/package.py easybuild/*.eb
}

shells_read() {
    sed -n '/^%post/,/^%test/{/^%/d;p;}' apptainer/mbrun.def >"$work/post" && [ -s "$work/post" ] && sh -n "$work/post" &&
        make -n -f debian/rules clean >"$work/rules" 2>&1 && grep -q 'dh clean' "$work/rules"
}

# Each modulefile, run with functions that print what they are given.
lua_reads() {
    cat >"$work/module.lua" <<'LUA'
for _, name in ipairs({"help", "whatis", "conflict", "setenv", "prepend_path"}) do
    _G[name] = function(...) print(name, ...) end
end
dofile(arg[1])
LUA
    "$1" "$work/module.lua" "$MB_BUILDDIR/packaging/modulefiles/mbrun.lua" >"$work/out" && module_says
}
tcl_reads() {
    cat >"$work/module.tcl" <<'TCL'
foreach name {module-whatis conflict setenv prepend-path} { proc $name {args} "puts \"$name \$args\"" }
source [lindex $argv 0]
ModulesHelp
TCL
    tclsh "$work/module.tcl" "$MB_BUILDDIR/packaging/modulefiles/mbrun.tcl" >"$work/out" && module_says
}
module_says() {
    cat "$work/out"
    grep -q "prepend.path.[[:space:]]*PATH[[:space:]].*/bin" "$work/out" && grep -q "PKG_CONFIG_PATH.*/pkgconfig" "$work/out" &&
        grep -q "MANPATH.*/man" "$work/out" && grep -q "$version" "$work/out" && ! grep -q '@' "$work/out"
}

echo 1..7
check 1 "every recipe names this version" versions
check 2 "the package of the library has the library's name" library_names
check 3 "recipes ask for what configure looks for" dependencies
if command -v python3 >/dev/null; then
    check 4 "Python reads the Spack recipe and the EasyBuild file" python_reads
else
    echo "ok 4 - # SKIP python3 is not installed"
fi
check 5 "shell and make read the Apptainer definition and Debian's rules" shells_read
lua=$(command -v lua || command -v lua5.3 || command -v lua5.4)
if [ -n "$lua" ]; then
    check 6 "Lua reads the modulefile" lua_reads "$lua"
else
    echo "ok 6 - # SKIP lua is not installed"
fi
if command -v tclsh >/dev/null; then
    check 7 "Tcl reads the modulefile" tcl_reads
else
    echo "ok 7 - # SKIP tclsh is not installed"
fi
