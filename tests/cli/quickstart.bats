#!/usr/bin/env bats
# quickstart in a tree of its own, whose configure and make only write down that they were called.

load helper

tool() { # NAME: reads what it does
    { echo '#!/bin/sh' && cat; } >"bin/$1" && chmod +x "bin/$1"
}

miniature() {
    mkdir -p tree bin images
    cp "$MB_SRCDIR/quickstart" tree && touch tree/configure.ac tree/Makefile.am tree/VERSION images/train-images-idx3-ubyte.gz
    mkdir -p tree/m4 && touch tree/m4/mb_depends.m4 tree/Makefile.in
    printf '#!/bin/sh\necho "$@" >>configured; touch Makefile\n' >tree/configure
    chmod +x tree/configure
    # Nothing is ever missing; the versions come from a file.
    tool dpkg-query <<'END'
case $* in *Package*) cat "$INSTALLED" ;; *) echo 'install ok installed' ;; esac
END
    tool make <<'END'
case "$*" in
*check*) [ -z "${BREAK-}" ] || { echo 'x.c: error: undefined reference to `suite_add_tcase'"'"; exit 2; }
    echo '1 passed, 0 failed, 0 skipped' ;;
esac
END
    for name in apt-get apt-cache mpirun pkg-config; do tool $name </dev/null; done
    echo 'exit 1' | tool python3 # no Keras here
    echo 'gcc 12' >installed
    export INSTALLED=$PWD/installed MB_FASHION_MNIST=$PWD/images MB_BUILD=$PWD/build
    PATH=$PWD/bin:$PATH
}

quick() {
    run sh tree/quickstart "$@" </dev/null
    echo "$output"
}

configured() {
    wc -l <build/configured
}

@test "quickstart configures again after something was installed, and only then" {
    miniature
    quick
    [ "$(configured)" -eq 1 ]
    quick
    [ "$(configured)" -eq 1 ]
    echo 'check 0.15' >>installed
    quick
    [ "$(configured)" -eq 2 ]
}

@test "quickstart configures again for another prefix and keeps it" {
    miniature
    quick --prefix /opt/here
    grep -qx -e '--disable-static --prefix=/opt/here' build/configured
    quick
    [ "$(configured)" -eq 1 ]
}

@test "a check whose test programs do not build says so in one line and stops there" {
    miniature
    BREAK=yes quick check
    [ "$status" -ne 0 ]
    [ "$(grep -c '^quickstart: the test programs do not build' <<<"$output")" -eq 1 ]
    [ "$(tail -n 1 <<<"$output")" = "0 passed, 1 failed, 0 skipped" ]
    [ ! -d build/asan ]
}
