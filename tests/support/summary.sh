#!/bin/sh
# Usage: summary.sh STATUS FILE.trs...
# Adds up the cases of all tests, repeats those that failed or were skipped, and ends with the line of
# totals. A test that left no result, because the build or the harness broke, counts as failed.
status=$1
shift
passed=0 failed=0 skipped=0

# A program with a failed case also ends with an error; that counts as one failure, not two.
count_cases() {
    awk '/^:test-result: (PASS|XFAIL)/ { passed++ }
        /^:test-result: (FAIL|XPASS)/ { failed++ }
        /^:test-result: ERROR/ { errors++ }
        /^:test-result: SKIP/ { skipped++ }
        END {
            if (!failed) failed = errors
            if (!passed && !failed && !skipped) failed = 1
            print passed + 0, failed + 0, skipped + 0
        }' "$1"
}

for trs in "$@"; do
    name=${trs%.trs}
    counts="0 1 0"
    [ ! -f "$trs" ] || counts=$(count_cases "$trs")
    read -r p f s <<END
$counts
END
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" -gt 0 ]; then
        echo "FAIL: $name ($f failed, see $name.log)"
        sed -n 's/^not ok/    not ok/p' "$name.log" 2>/dev/null
    fi
    if [ "$s" -gt 0 ]; then
        sed -n "s|^\(ok\|1[.][.]0\).*# *[Ss][Kk][Ii][Pp] *|SKIP: $name: |p" "$name.log" 2>/dev/null
    fi
done
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "FAIL: the test harness stopped with status $status"
    failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
