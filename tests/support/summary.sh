#!/bin/sh
# Usage: summary.sh STATUS FILE.trs...
# Adds up the cases of all tests, names those that failed, and ends with the line of totals. A test
# that left no result file, because the build or the harness broke, counts as failed.
status=$1
shift
passed=0 failed=0 skipped=0
for trs in "$@"; do
    if [ ! -f "$trs" ]; then
        echo "FAIL: ${trs%.trs}: did not run"
        failed=$((failed + 1))
        continue
    fi
    set_of=$(awk '/^:test-result: (PASS|XFAIL)/ { p++ }
        /^:test-result: (FAIL|ERROR|XPASS)/ { f++ }
        /^:test-result: SKIP/ { s++ }
        END { print p + 0, f + 0, s + 0 }' "$trs")
    read -r p f s <<END
$set_of
END
    [ "$((p + f + s))" -gt 0 ] || f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    sed -n "s|^:test-result: \(FAIL\|ERROR\|XPASS\)|\1: ${trs%.trs}:|p" "$trs"
    sed -n "s|^:test-result: SKIP|SKIP: ${trs%.trs}:|p" "$trs"
done
if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    echo "FAIL: the build or the test harness stopped with status $status"
    failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
