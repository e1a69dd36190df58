#!/bin/sh
# Runs one Check program under a time limit; Check writes TAP by itself. Under the sanitizers a process
# for each case takes most of the time, so the programs with many small cases do without.
if [ "$MB_SANITIZERS" = yes ]; then
    case $1 in
    # A fault is what one of its cases expects.
    *test_op_deferred*) export ASAN_OPTIONS="$ASAN_OPTIONS:handle_segv=0" ;;
    *test_op_* | *test_layer_*) export CK_FORK=no ;;
    esac
fi
. "${0%/*}/session.sh"
timeout -k 10 "${MB_UNIT_TIMEOUT-900}" "$@"
