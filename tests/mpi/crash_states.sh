#!/bin/sh
# A crash at any moment, with whatever a file system may lose then, leaves a run that goes on to the same bits,
# with all that it said it had saved; and each sync of the program is one without which that is not so. Some
# thousands of states more are tried by tests/campaign/crash_states.sh.
. "$MB_SRCDIR/tests/mpi/crash_lib.sh"

count=0
report() { # NAME
    count=$((count + 1))
    if [ -z "$why" ]; then echo "ok $count - $1"; else echo "not ok $count - $1: $why"; fi
}

# check NAME COMMAND...: what the command prints when it fails says why.
check() {
    name=$1
    shift
    why=
    "$@" >"$scratch/said" 2>&1 || why=$(tr '\n' ' ' <"$scratch/said")
    report "$name"
}

for scenario in start2 again restart; do
    check "$scenario is recorded" record $scenario
    [ -z "$why" ] || continue
    check "$scenario: states after a crash can be gone on from" states $scenario 1 100 250
    check "$scenario: no sync is needless" syncs $scenario
    for number in $(samples $scenario | head -n 3); do
        resume $scenario "$number"
        report "$scenario: state $number is resumed to the same bits"
    done
done
echo "1..$count"
