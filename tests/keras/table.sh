#!/bin/sh
# doc/keras.md is what the code says of each class of Keras.
echo "1..1"
said=$MB_BUILDDIR/tests/keras/table.md
"$MB_BUILDDIR/tests/tools/keras_table" "$MB_SRCDIR/tests/data/keras.json" >"$said" 2>/dev/null
if diff -u "$MB_SRCDIR/doc/keras.md" "$said" | sed 's/^/# /'; cmp -s "$MB_SRCDIR/doc/keras.md" "$said"; then
    echo "ok 1 - doc/keras.md lists what is obeyed"
else
    echo "not ok 1 - doc/keras.md lists what is obeyed: make keras-table"
fi
