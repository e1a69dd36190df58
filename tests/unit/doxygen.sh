#!/bin/sh
# Every symbol of the library's headers is documented, to Doxygen.
if ! command -v doxygen >/dev/null; then
    echo "1..0 # SKIP doxygen is not installed"
    exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-doxygen.XXXXXX")
trap 'rm -rf "$work"' EXIT
include=$MB_SRCDIR/include/mb

# documents HEADER...: without a warning.
documents() {
    { cat "$MB_BUILDDIR/Doxyfile" && printf 'OUTPUT_DIRECTORY = %s\nINPUT = %s\n' "$work" "$*"; } >"$work/Doxyfile"
    (cd "$work" && doxygen Doxyfile) >"$work/log" 2>&1 && [ ! -s "$work/log" ]
}

echo 1..2
if documents "$include/mb.h" "$include/status.h" "$include/plugin.h" && grep -q mb_trainer_step "$work/html/mb_8h.html"; then
    echo "ok 1 - every public symbol is documented"
else
    sed 's/^/# /' "$work/log"
    echo "not ok 1 - every public symbol is documented"
fi
sed 's|^/\* Quantizer \*/$|mb_status_t mb_bare(void);\n|' "$include/mb.h" >"$work/mb.h"
if ! documents "$work/mb.h" && grep -q 'mb_bare.*not documented' "$work/log"; then
    echo "ok 2 - one without a comment is an error"
else
    echo "not ok 2 - one without a comment is an error"
fi
