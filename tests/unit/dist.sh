#!/bin/sh
# The tarball has every file of the checkout: what is left out is missed only where there is no checkout.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-dist.XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! git -C "$MB_SRCDIR" ls-files --error-unmatch configure.ac >/dev/null 2>&1; then
    echo "1..0 # SKIP this is no checkout from git"
    exit 0
fi
echo 1..1
git -C "$MB_SRCDIR" ls-files | grep -v '^\.gitignore$' >"$work/kept"
# Folders stand for all that is in them; make names files by their place in the source.
make -s -C "$MB_BUILDDIR" dist-list 2>"$work/log" | sed 's|^\.\./||; s|^'"$MB_SRCDIR"'/||' | sort -u >"$work/listed"
awk 'NR == FNR { listed[$0] = 1; next }
     { for (path = $0; path != ""; sub(/\/?[^\/]*$/, "", path)) if (path in listed) next; print "# not in the tarball: " $0 }' \
    "$work/listed" "$work/kept" >"$work/missing"
if [ -s "$work/listed" ] && [ ! -s "$work/missing" ]; then
    echo "ok 1 - every file of the checkout is in the tarball"
else
    cat "$work/missing"
    sed 's/^/# /' "$work/log"
    echo "not ok 1 - every file of the checkout is in the tarball"
fi
