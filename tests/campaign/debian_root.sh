#!/bin/sh
# A bare Debian root with the compiler and the run-time and development packages of the libraries, and nothing else:
# the dist tarball is configured, built and installed there, and its installcheck passes; once more with CMake.
#
#     sudo tests/campaign/debian_root.sh FOLDER TARBALL [CONFIGURE-OPTION...]
#
# FOLDER gets the root (2 GB), logs and a line in FOLDER/results for each step; steps that have one are left out, so that
# the campaign goes on where it was stopped. Packages come from MB_DEBIAN_MIRROR, or from where this machine's apt has
# them. JOBS: how many compilers run side by side (2). Prints a Markdown table.
[ $# -ge 2 ] && [ "$(id -u)" -eq 0 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0" && exit 2; }
source=$(cd "$(dirname "$0")/../.." && pwd)
tarball=$(readlink -f "$2") && mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit 1
shift 2
root=$folder/root
results=$folder/results
touch "$results"
. "$source/tests/support/debian_root.sh"

# What ./quickstart installs, without what only a checkout from git needs.
packages=$(sed -n '/^build_packages="/,/"$/p' "$source/quickstart" | tr -d '\n"' |
    sed 's/build_packages=//; s/autoconf\|automake\|libtool//g; s/  */ /g')

unpack() {
    rm -rf "$root/mbrun" && mkdir "$root/mbrun" && tar xf "$tarball" -C "$root/mbrun" --strip-components 1 &&
        basename "$tarball"
}

# shellcheck disable=SC2086
step root new_root "$root" $packages
step unpack unpack
step configure inside "$root" /mbrun ./configure "$@"
step build inside "$root" /mbrun make -j"${JOBS-2}"
step install inside "$root" /mbrun make install
step installcheck inside "$root" /mbrun make installcheck
step cmake inside "$root" / apt-get -q -y --no-install-recommends install cmake
step installcheck-cmake inside "$root" /mbrun make installcheck

show_steps
