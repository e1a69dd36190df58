#!/bin/sh
# The Debian packages: built from the dist tarball in a bare root with what debian/control asks for, then installed in another
# one that has nothing else, where mbrun trains on two ranks and an example is built against libmb-dev.
#
#     sudo tests/campaign/debian_package.sh FOLDER TARBALL
#
# As debian_root.sh beside it: FOLDER gets roots (3 GB), logs, packages and results; steps that succeeded are left out.
[ $# -eq 2 ] && [ "$(id -u)" -eq 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 2; }
source=$(cd "$(dirname "$0")/../.." && pwd)
tarball=$(readlink -f "$2") && mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit 1
results=$folder/results
touch "$results"
. "$source/tests/support/debian_root.sh"

unpack() {
    version=$(basename "$tarball" .tar.gz)
    rm -rf "$folder/builder/build" && mkdir "$folder/builder/build" && cd "$folder/builder/build" &&
        tar xf "$tarball" && cp "$tarball" "mbrun_${version#mbrun-}.orig.tar.gz" && mv "$version" source &&
        cp -R source/packaging/debian source/ && echo "$version"
}
ask_for() { inside "$folder/builder" /build/source apt-get -q -y --no-install-recommends build-dep .; }
build() { inside "$folder/builder" /build/source dpkg-buildpackage -us -uc -b -j"${JOBS-2}"; }
install_packages() {
    mkdir -p "$folder/user/packages" && cp "$folder/builder/build/"*.deb "$folder/user/packages/" &&
        inside "$folder/user" / sh -c 'apt-get -q -y --no-install-recommends install $(ls /packages/*.deb | grep -v dbgsym)'
}
use() {
    cp "$folder/builder/build/source/examples/train_arrays.c" "$folder/user/root/" &&
        inside "$folder/user" /root sh -c 'rm -rf m.h5 same.h5 m.run &&
            mbrun new mlp -o m.h5 input=4 hidden=8 classes=2 &&
            mbrun new mlp -o same.h5 input=4 hidden=8 classes=2 &&
            printf "a,b,c,d,y\n1,2,3,4,0\n2,1,0,3,1\n5,1,2,2,0\n0,0,1,2,1\n" >t.csv &&
            mpirun --oversubscribe -np 2 mbrun m.h5 --data t.csv --label y --epochs 2 --batch 4 &&
            test -f m.run/final.h5 && test -f /usr/share/man/man1/mbrun-train.1.gz &&
            gcc train_arrays.c -o train_arrays $(pkg-config --cflags --libs mb) -lm && ./train_arrays'
}

step root-builder new_root "$folder/builder" build-essential debhelper pkg-config
step unpack unpack
step build-dependencies ask_for
step dpkg-buildpackage build
step root-user new_root "$folder/user" gcc libc6-dev pkg-config
step install install_packages
step use use
show_steps
