#!/bin/sh
# api_fuzz.sh BUILD ROUNDS [FOLDER]: every public call with random arguments, ROUNDS rounds of tests/unit/test_api_fuzz in
# all, 100 at a time, each from a seed of its own. FOLDER (default: fuzzed-api) keeps the next seed, and what was done before
# counts: a campaign that was stopped goes on. MB_FUZZ_TOOL may stand in front of the program: "valgrind -q --error-exitcode=99
# --suppressions=/usr/share/openmpi/openmpi-valgrind.supp".
set -u
build=$(cd "${1:?a build folder}" && pwd) rounds=${2:?a number of rounds} folder=${3:-fuzzed-api}
source=$(cd "${0%/*}/../.." && pwd)
export MB_BUILDDIR=$build MB_SRCDIR=$source
. "$source/tests/support/environment.sh"
program=$build/tests/unit/test_api_fuzz
[ -x "$program" ] || { echo "$program: not there; make tests/unit/test_api_fuzz" >&2 && exit 2; }
mkdir -p "$folder"
seed=1
[ ! -f "$folder/next" ] || read -r seed <"$folder/next"
while [ "$seed" -le "$rounds" ]; do
    # shellcheck disable=SC2086 -- a tool and its options
    MB_FUZZ_SEED=$seed MB_FUZZ_ROUNDS=100 ${MB_FUZZ_TOOL-} "$program" >"$folder/log" 2>&1 || {
        cp "$folder/log" "$folder/failed-$seed.log"
        echo "rounds from seed $seed fail: $folder/failed-$seed.log" >&2
        exit 1
    }
    seed=$((seed + 100))
    echo "$seed" >"$folder/next"
    echo "$((seed - 1)) rounds, no failure"
done
