#!/bin/sh
# Runs one Check program under a time limit; Check writes TAP by itself.
exec timeout -k 10 "${MB_UNIT_TIMEOUT-900}" "$@"
