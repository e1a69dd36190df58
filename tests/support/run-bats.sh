#!/bin/sh
# Runs one bats file; without bats the file is one skipped case.
if [ "$BATS" = none ]; then
    echo "1..0 # SKIP bats is not installed (package bats)"
    exit 0
fi
. "${0%/*}/session.sh"
timeout -k 10 "${MB_BATS_TIMEOUT-1200}" "$BATS" --tap "$@"
