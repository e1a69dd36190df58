#!/bin/sh
# doc/validation.md has the tables that the simulator makes, and no figure is further off than it may be.
count=0
result() { # STATUS NAME
    count=$((count + 1))
    [ "$1" -eq 0 ] || printf 'not '
    echo "ok $count - $2"
}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-published.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
for table in bubbles rates gpipe; do
    "$MB_BUILDDIR/tests/tools/published" $table >"$scratch/table" 2>"$scratch/off"
    result $? "published $table are met"
    sed 's/^/# /' "$scratch/off"
    missing=$(grep -v '^$' "$scratch/table" | grep -vxFf "$MB_SRCDIR/doc/validation.md")
    [ -s "$scratch/table" ] && [ -z "$missing" ]
    result $? "doc/validation.md has $table as they are simulated"
    [ -z "$missing" ] || echo "$missing" | sed 's/^/# not there: /'
done
echo "1..$count"
