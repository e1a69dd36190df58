#!/bin/sh
# What programs are linked with stays what packaging/libmb.abi records: the library's name, its functions, the
# values of enumerators, the sizes of structures.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-abi-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
abi=$MB_SRCDIR/packaging/libmb.abi
library=$MB_BUILDDIR/.libs/libmb.so
cc="${CC:-cc} $(pkg-config --cflags-only-I "$MB_BUILDDIR/mb.pc")"
soname=$(sed -n 's/^soname //p' "$abi")

check() { # NUMBER NAME COMMAND...
    number=$1 name=$2
    shift 2
    if "$@" >"$work/log" 2>&1; then
        echo "ok $number - $name"
    else
        sed 's/^/# /' "$work/log"
        echo "not ok $number - $name"
    fi
}

same_interface() {
    sh "$MB_SRCDIR/build-aux/abi.sh" "$MB_SRCDIR/include" "$soname" "$cc" >"$work/now" && diff "$abi" "$work/now" ||
        { echo "lines '<' are gone: see doc/packaging.md on the library's version, then make update-abi" && false; }
}

same_exports() {
    nm -D --defined-only "$library" | awk '$2 ~ /[TDBRW]/ && $3 !~ /^_/ { print $3 }' | LC_ALL=C sort >"$work/exported"
    sed -n 's/^function [^(]*[ *]\(mb_[a-z_0-9]*\)(.*/\1/p' "$abi" | LC_ALL=C sort >"$work/functions"
    [ -s "$work/exported" ] && diff "$work/functions" "$work/exported"
}

same_name() {
    objdump -p "$library" | awk '$1 == "SONAME" { print $2 }' | grep -Fx "$soname"
}

# changed NAME SED-EXPRESSION: such a header has another interface.
changed() {
    rm -rf "$work/include"
    cp -R "$MB_SRCDIR/include" "$work/include" && chmod -R u+w "$work/include" && sed "$2" "$work/include/mb/$1" >"$work/$1" && cp "$work/$1" "$work/include/mb/$1" || return 1
    sh "$MB_SRCDIR/build-aux/abi.sh" "$work/include" "$soname" "$cc" >"$work/other" || return 1
    ! cmp "$abi" "$work/other"
}

every_change() {
    changed mb.h 's/MB_INT32 = 2, MB_INT64 = 3/MB_INT64 = 2, MB_INT32 = 3/' &&
        changed plugin.h 's/^#define MB_PLUGIN_DIMS 8/#define MB_PLUGIN_DIMS 9/' &&
        changed mb.h 's/int64_t \*count);/int *count);/'
}

echo 1..4
if [ "$(getconf LONG_BIT)" = 64 ]; then
    check 1 "the headers have the recorded binary interface" same_interface
    check 2 "another value, size or argument type is another interface" every_change
else
    echo "ok 1 - # SKIP sizes are recorded for 64 bits"
    echo "ok 2 - # SKIP sizes are recorded for 64 bits"
fi
if [ -f "$library" ] && command -v nm >/dev/null && command -v objdump >/dev/null; then
    check 3 "the shared library exports the recorded functions, and nothing else" same_exports
    check 4 "the shared library has the recorded name" same_name
else
    echo "ok 3 - # SKIP no shared library in this build, or no binutils"
    echo "ok 4 - # SKIP no shared library in this build, or no binutils"
fi
