#!/bin/bash
# Optimizers and schedules of random configurations, and each of their keys, against real Keras over 20 steps;
# then whole runs under each of them, whose files Keras loads.
. "$MB_SRCDIR/tests/keras/lib.sh"
need_keras
configs=${MB_KERAS_COUNT-1}

optimize=$MB_BUILDDIR/tests/keras/optimize
ask optimizers.py "$optimize" "$scratch" schedules "$seed" "$configs"
asked 6
ask optimizers.py "$optimize" "$scratch" random "$seed" "$configs"
asked 14
# So many that compiling each would take minutes.
KERAS_BACKEND=numpy ask optimizers.py "$optimize" "$scratch" keys "$seed" "$configs"
asked 14
ask optimizers_trained.py "$MBRUN" "$scratch" "$seed" "$configs"
asked $((configs >= 20 ? 28 : 6))
plan
