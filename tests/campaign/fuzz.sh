#!/bin/sh
# fuzz.sh BUILD SECONDS [FOLDER [TARGET ...]]: gives each parser of tests/fuzz so many seconds of libFuzzer, one process at a
# time. What it has learned lies in FOLDER/corpus and is gone on from; inputs that crash, leak, take 2 GiB or a minute (of the
# clock, which others may use up) lie in FOLDER/found; FOLDER/results.txt has a line a target: runs, seconds of the processor,
# edges, findings.
#
# BUILD is made by clang:
#     mkdir fuzz && cd fuzz
#     ../configure --disable-shared CC=clang CXX=clang++ \
#         CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined'
#     make tests/fuzz/libfuzzer
set -u
build=${1:?a build folder} seconds=${2:?seconds for each target} folder=${3:-fuzzed}
source=$(cd "${0%/*}/../fuzz/corpus" && pwd)
shift 2
[ $# -eq 0 ] || shift
program=$build/tests/fuzz/libfuzzer
[ -x "$program" ] || { echo "$program: not there; see the head of $0" >&2 && exit 2; }
[ $# -gt 0 ] || set -- $(ls "$source")
mkdir -p "$folder/found"

# Large allocations return NULL, as without a sanitizer; one that is made and used counts for the limit.
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=$source/../../support/lsan.supp:print_suppressions=0

found() {
    find "$folder/found" -name "$1-*" | wc -l
}

number() {
    sed -n "s/.*$1: *\([0-9]*\).*/\1/p" "$folder/$2.log" | tail -n 1
}

# Of all that has ended so far: not in a pipe, whose shell has no children.
processor() {
    times >"$folder/times"
    awk 'NR == 2 { gsub("s", ""); split($1, u, "m"); split($2, s, "m"); printf "%d", 60 * (u[1] + s[1]) + u[2] + s[2] }' \
        "$folder/times"
}

for target; do
    processor >"$folder/began"
    own=$folder/corpus/$target before=$(found "$target")
    mkdir -p "$own"
    MB_FUZZ=$target nice -n 19 "$program" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=60 -max_len=16384 \
        -print_final_stats=1 -artifact_prefix="$folder/found/$target-" "$own" "$source/$target" >"$folder/$target.log" 2>&1
    processor >"$folder/ended"
    printf '%-12s %10s runs %5d s %6s edges %3d findings\n' "$target" "$(number 'number_of_executed_units' "$target")" \
        $(($(cat "$folder/ended") - $(cat "$folder/began"))) "$(number 'cov' "$target")" $(($(found "$target") - before)) | tee -a "$folder/results.txt"
done
[ -z "$(ls "$folder/found")" ]
