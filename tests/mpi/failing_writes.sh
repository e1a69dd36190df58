#!/bin/sh
# A write, sync, truncation, rename or removal that fails ends a command with one message, and harms
# nothing: some calls of each kind, of each command that writes. The whole sweep is
# tests/campaign/failing_writes.sh.
SHIM=$MB_BUILDDIR/tests/support/failing_io.so
. "$MB_SRCDIR/tests/mpi/failing_lib.sh"

count=0
report() { # NAME
    count=$((count + 1))
    if [ -z "$why" ]; then echo "ok $count - $1"; else echo "not ok $count - $1: $why"; fi
}

# runs SCENARIO: whether it does without failures; a case that fails says why not.
runs() {
    why=$(reference "$1") && return 0
    report "$1 runs by itself"
    return 1
}

# sample SCENARIO RANK KINDS HOW: the first, a middle and the last call of each kind, or just the last, by
# turns with no space and with an error of the device.
sample() {
    runs "$1" || return
    error=28
    for kind in $3; do
        number=$(calls "$1" "$2" "$kind")
        [ "${number:-0}" -gt 0 ] || continue
        case $4${MB_TEST_REDUCED:+ reduced} in
        three) set -- "$@" 1 $(((number + 1) / 2)) "$number" ;;
        *) set -- "$@" "$number" ;;
        esac
        for k in $(shift 4 && printf '%d\n' "$@" | sort -nu); do
            attempt "$1" "$2" "$kind" "$k" $error
            report "$1: $kind $k of $number fails in rank $2"
            error=$((33 - error))
        done
        set -- "$1" "$2" "$3" "$4"
    done
}

full() {
    runs "$1" || return
    number=$(calls "$1" "$2" write)
    attempt "$1" "$2" write $(((number + 2) / 3)) 28 rest
    report "$1: the disk is full from write $(((number + 2) / 3)) of $number on in rank $2"
}

asked="write sync truncate rename unlink"
sample start 0 "$kinds" three
sample again 0 "$asked" one
sample restart 0 "rename unlink" one
sample start2 0 "$asked" one
sample start2 1 "write sync" three
for scenario in predict quantize new data configure copy; do
    sample $scenario 0 "$kinds" three
done
for scenario in start start2 predict quantize new data configure copy; do
    full $scenario 0
done
full start2 1

# A disk that is really full; when there is room again, the run goes on. A tiny file system needs root, and a
# mount namespace of its own.
fill() {
    timeout -k 5 120 unshare -m sh -c "mount -t tmpfs -o size=1m none '$work' || exit 77
        '$MBRUN' '$scratch/model.h5' --data '$scratch/data.h5' --run '$work/run' --threads 1 --quiet \\
            --batch 32 --replicas 1 --steps 4 --checkpoint-every 2 2>'$scratch/err'
        [ \$? -eq 1 ] && '$MBRUN' inspect --verify '$work/run/step-00000002.h5' &&
            ! ls '$work'/run/*.tmp* 2>/dev/null && mount -o remount,size=20m '$work' &&
            '$MBRUN' '$scratch/model.h5' --data '$scratch/data.h5' --run '$work/run' --threads 1 --quiet \\
                --batch 32 --replicas 1 --steps 4 --checkpoint-every 2 &&
            '$MBRUN' inspect --digest '$work/run/final.h5' >'$scratch/filled'" >"$scratch/out" 2>&1
}
name="a file system that is full ends a run with one message, and it goes on when there is room"
prepare start
fill
filled=$?
why=
[ $filled -eq 0 ] || find_fault "$(cat "$scratch/out" "$scratch/err" | tr '\n' ' ')"
[ "$(cat "$scratch/err")" = "$(grep '^mbrun: error: .*No space left on device' "$scratch/err")" ] ||
    find_fault "it says: $(tr '\n' ' ' <"$scratch/err")"
cmp -s "$scratch/filled" "$scratch/reference.start" || find_fault "it has other bits"
if [ "$(id -u)" -ne 0 ] || ! unshare -m true 2>/dev/null || [ $filled -eq 77 ]; then
    why=
    name="$name # SKIP a tmpfs cannot be mounted here"
fi
report "$name"
echo "1..$count"
