#!/bin/sh
# Random graphs over all layers, those that draw random numbers among them: the same bits over ranks. Training beside
# Keras takes too long for here: tests/campaign/graphs.sh.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
models=$((${MB_KERAS_COUNT-1} * 5))
ask graphs.py ranks "$MBRUN" "$scratch" "$seed" 0 "$models" "$MPIEXEC"
asked "$models"
plan
