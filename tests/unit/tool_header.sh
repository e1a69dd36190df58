#!/bin/sh
# The tool is to be a program like any other that links the library: what its files include of the floors below is
# written down in tool_header.txt, and may only become less.
echo 1..2
cd "$MB_SRCDIR/src/cli" || exit 1
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-tool.XXXXXX")
trap 'rm -rf "$work"' EXIT
list=$MB_SRCDIR/tests/unit/tool_header.txt
# Its own files, and base/, which is texts and numbers for its options.
grep -H '^#include "' -- *.c *.h | sed 's/^\([^:]*\):#include "\(.*\)"$/\1 \2/' |
    grep -v ' cli/\| base/\| config\.h$' | LC_ALL=C sort >"$work/found"

name="1 - no file of the tool includes more of the inner floors than before; use <mb/mb.h>"
if LC_ALL=C comm -13 "$list" "$work/found" | grep . >"$work/lines"; then
    echo "not ok $name"
    sed 's/^/# /' "$work/lines"
else
    echo "ok $name"
fi
name="2 - what is no longer included is off the list tests/unit/tool_header.txt"
if LC_ALL=C comm -23 "$list" "$work/found" | grep . >"$work/lines"; then
    echo "not ok $name"
    sed 's/^/# /' "$work/lines"
else
    echo "ok $name"
fi
