#!/bin/sh
# The sources are formatted as .clang-format says. Other versions of clang-format disagree in details,
# so only version 14 decides.
version=$("${CLANG_FORMAT:-clang-format-14}" --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
if [ "$version" != 14 ]; then
    echo "1..0 # SKIP clang-format 14 is not installed (package clang-format-14)"
    exit 0
fi
echo 1..1
cd "$MB_SRCDIR" || exit 1
find include src tests examples kernels \( -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' \) 2>/dev/null |
    xargs "$CLANG_FORMAT" --dry-run --Werror 2>&1 | grep 'error:' | cut -d: -f1 | sort | uniq -c |
    sed 's/^/# badly formatted lines: /' >"${TMPDIR:-/tmp}/mb-format.$$"
if [ -s "${TMPDIR:-/tmp}/mb-format.$$" ]; then
    cat "${TMPDIR:-/tmp}/mb-format.$$"
    echo "not ok 1 - every source file is formatted by clang-format 14"
else
    echo "ok 1 - every source file is formatted by clang-format 14"
fi
rm -f "${TMPDIR:-/tmp}/mb-format.$$"
