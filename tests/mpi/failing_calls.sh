#!/bin/sh
# A call that reads or looks for a file, or an allocation, that fails ends a command with one message, and harms
# nothing: some of each. The whole sweep is tests/campaign/failing_calls.sh.
SHIM=$MB_BUILDDIR/tests/support/failing_io.so
. "$MB_SRCDIR/tests/mpi/failing_lib.sh"

count=0
report() { # NAME
    count=$((count + 1))
    if [ -z "$why" ]; then echo "ok $count - $1"; else echo "not ok $count - $1: $why"; fi
}

# some NUMBER PARTS: PARTS numbers from 1 to NUMBER, the last among them.
some() {
    seq "$2" | awk -v number="$1" -v parts="$2" '{ k = int(number * $1 / parts); if (k > 0) print k }'
}

for case in read:2 look:2 stat:1 list:1 entry:1; do
    kind=${case%:*}
    number=$(calls again 0 "$kind")
    why=
    [ "${number:-0}" -gt 0 ] || find_fault "no such call is made"
    [ -z "$why" ] || report "again: calls of kind $kind are counted"
    for k in $(some "${number:-0}" "${case#*:}"); do
        attempt again 0 "$kind" "$k" 5
        report "again: $kind $k of $number fails"
    done
done

for case in start:0:3 start2:1:2; do
    scenario=${case%%:*} parts=${case##*:} rank=${case#*:}
    rank=${rank%:*}
    number=$(allocations "$scenario" "$rank" | wc -l)
    why=
    [ "$number" -gt 100 ] || find_fault "there are $number"
    report "$scenario: allocations of rank $rank are counted"
    for k in $(some "$number" "$parts"); do
        attempt_memory "$scenario" "$rank" "$k"
        report "$scenario: allocation $k of $number fails in rank $rank"
    done
done
echo "1..$count"
