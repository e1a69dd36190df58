#!/bin/sh
# The first programs of doc/guide.md, as they stand there, in C and in Fortran: eight ranks with uneven samples, of which four
# compute, come to the digest of mbrun on the same samples in one file.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-guide.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
library=$MB_BUILDDIR/.libs
flags="-I$MB_SRCDIR/include $(pkg-config --cflags "$MB_BUILDDIR/mb.pc")"
libraries="-L$library $(pkg-config --libs "$MB_BUILDDIR/mb.pc") -lm"
export LD_LIBRARY_PATH="$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

# program LANGUAGE: the guide's program in it.
program() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/{/^\`\`\`/d;p;}" "$MB_SRCDIR/doc/guide.md"; }

trains_in_c() {
    program c >first.c && [ -s first.c ] || return 1
    # shellcheck disable=SC2086
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror $flags -o first first.c $libraries || return 1
    digest_is_the_tools ./first
}

# The digest of the run that both come to, by the tool.
tools_digest() {
    awk 'BEGIN {
        print "a,b,y"
        for (i = 0; i < 256; i++) {
            a = i * 37 % 64 / 32 - 1; b = i * 23 % 32 / 16 - 1
            printf "%.9g,%.9g,%d\n", a, b, (b > a)
        }
    }' >samples.csv
    timeout 100 "$MBRUN" model.h5 --data samples.csv --label y --epochs 4 --batch 32 --replicas 2 --micro-batch 8 --quiet &&
        "$MBRUN" inspect --digest model.run/final.h5 | grep '^weights' >tool
}
digest_is_the_tools() {
    rm -rf model.h5 trained.h5
    timeout 100 "$MPIEXEC" -n 8 "$1" >program || return 1
    [ -f tool ] || tools_digest || return 1
    tr 'A-F' 'a-f' <program | diff - tool
}

trains_in_fortran() {
    program fortran >first.f90 && [ -s first.f90 ] || return 1
    # shellcheck disable=SC2086
    mpifort -I"$MB_BUILDDIR" -o first_fortran first.f90 -L"$library" -lmb_fortran $libraries || return 1
    digest_is_the_tools ./first_fortran
}

check() { # NUMBER NAME COMMAND...
    number=$1 name=$2
    shift 2
    if "$@" >log 2>&1; then
        echo "ok $number - $name"
    else
        sed 's/^/# /' log
        echo "not ok $number - $name"
    fi
}

if [ ! -f "$library/libmb.so" ] || [ "${MB_SANITIZERS-no}" != no ]; then
    echo "1..0 # SKIP no shared library in this build, or one with sanitizers"
    exit 0
fi
echo 1..2
if grep -q mb_trainer_set_samples "$MB_SRCDIR/include/mb/mb.h"; then
    check 1 "the guide's program in C has the digest of mbrun" trains_in_c
else
    echo "ok 1 - # SKIP this header has no mb_trainer_set_samples"
fi
if [ -f "$MB_BUILDDIR/mb.mod" ] && grep -q mb_trainer_set_samples "$MB_SRCDIR/fortran/mb.f90" && command -v mpifort >/dev/null; then
    check 2 "the guide's program in Fortran has it too" trains_in_fortran
else
    echo "ok 2 - # SKIP this build has no module for Fortran, or one without mb_trainer_set_samples"
fi
