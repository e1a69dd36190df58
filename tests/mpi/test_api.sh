#!/bin/sh
# The public library inside a program of several ranks.
. "$MB_SRCDIR/tests/mpi/cases.sh"
MB_SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/mb-api.XXXXXX")
export MB_SCRATCH
run_cases test_api 1 2 3 4
rm -rf "$MB_SCRATCH"
echo "1..$count"
