#!/bin/sh
# Some of the keys of layers' configs at values that are not the default; tests/campaign/keys.sh goes through all.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
keys=$((${MB_KERAS_COUNT-1} * 6))
ask keys.py "$MBRUN" "$scratch" "$MB_SRCDIR/tests/data/keras.json" "$seed" "$keys"
asked "$keys"
plan
