#!/bin/sh
# All side-by-side runs and their table, in one command (see compare.py for the options, which follow RESULTS):
#
#     sh bench/compare.sh MBRUN RESULTS [--rows gpt,mlp] [--runs 3] [--add] [--isa avx2] [--python PYTHON] [--prefix WORDS]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 2 ] || { sed -n '2,4s/^# \{0,1\}//p' "$0" && exit 2; }
results=$2
python3 "$here/compare.py" "$@"
python3 "$here/compare_table.py" "$results"
