#!/bin/sh
# Runs one shell test with the interpreter it asks for, under a time limit.
case $(sed -n 1p "$1") in
'#!'*bash*) shell=bash ;;
*) shell=sh ;;
esac
. "${0%/*}/session.sh"
timeout -k 10 "${MB_SHELL_TIMEOUT-1200}" $shell "$@"
