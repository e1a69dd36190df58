#!/bin/sh
# Gradients where the pieces of functions meet, as JAX has them: other backends differ there.
MB_KERAS_BACKEND=jax
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
ask kinks.py "$MBRUN" "$scratch"
asked 41
plan
