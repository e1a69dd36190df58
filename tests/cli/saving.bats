#!/usr/bin/env bats
# Checkpoints that are written beside the steps.

load helper

SHIM=$MB_BUILDDIR/tests/support/failing_io.so
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 # the shim stands before it, which is of no harm
options="model.h5 --data data.h5 --batch 16 --replicas 2 --threads 1 --partition counted --quiet --run run"

# shimmed N RANK VARIABLES... -- ARGUMENTS...: mbrun on N ranks with calls of RANK on files of run failing
# or slow.
shimmed() {
    local n=$1 rank=$2 launcher=()
    local -a with=(LD_PRELOAD="$SHIM" MB_FAIL_DIR="$PWD/run" MB_FAIL_RANK="$rank")
    shift 2
    while [ "$1" != -- ]; do
        with+=("$1") && shift
    done
    shift
    [ "$n" -eq 1 ] || launcher=("$MPIEXEC" -n "$n")
    timeout -k 5 "$LIMIT" "${launcher[@]}" env "${with[@]}" "$MBRUN" "$@"
}

digest_of() {
    "$MBRUN" inspect --digest "$1"
}

reference() {
    fixture mlp
    "$MBRUN" $options --run reference --steps "$1" --checkpoint-every never
}

no_temporaries() {
    ! ls run/*.tmp* 2>/dev/null
}

# same RANKS OPTIONS...: checkpoints of a run in either mode.
same() {
    for mode in sync async; do
        ranks "$1" $options --run $mode --restart --checkpoint-mode $mode --steps 5 --checkpoint-every 2 --keep 9 \
            "${@:2}"
    done
    for step in 2 4 5; do
        cmp sync/step-0000000$step.h5 async/step-0000000$step.h5
    done
}

@test "both modes write the same bytes, on one rank and on several" {
    fixture mlp
    same 1
    same 2 --stages 2
    same 2 --stages 1 --zero 1
}

@test "moments in 8 bits are the same in both modes" {
    fixture mlp
    same 2 --moments int8 --optimizer adam --stages 2
}

@test "a write that fails beside the steps ends the run on all ranks with one message" {
    reference 6
    for rank in 0 1; do
        rm -rf run
        run shimmed 2 $rank MB_FAIL_KIND=sync MB_FAIL_AT=$((7 - rank * 5)) MB_FAIL_ERRNO=5 -- \
            $options --stages 2 --steps 6 --checkpoint-every 2 --keep 9
        echo "$rank: $output"
        [ "$status" -eq 1 ]
        [ "$(grep -c '^mbrun: ' <<<"$output")" -eq 1 ]
        grep -q "^mbrun: error: .*run.*Input/output error" <<<"$output"
        "$MBRUN" inspect --verify run/step-00000002.h5
        no_temporaries
    done
    ranks 2 $options --stages 2 --steps 6 --checkpoint-every 2
    [ "$(digest_of run/final.h5)" = "$(digest_of reference/final.h5)" ]
}

@test "with --on-save-error continue it is said, and the run goes on with the checkpoint before" {
    reference 7
    while read -r rank kind k; do
        rm -rf run
        run shimmed 2 $rank MB_FAIL_KIND=$kind MB_FAIL_AT=$k MB_FAIL_ERRNO=28 -- \
            $options --stages 2 --steps 7 --checkpoint-every 2 --keep 9 --on-save-error continue
        echo "$rank $kind: $output"
        [ "$status" -eq 0 ]
        [ "$(grep -c '^mbrun: ' <<<"$output")" -eq 1 ]
        grep -q "^mbrun: warning: the checkpoint of step [246] was not written: .*run/.*No space left" <<<"$output"
        [ "$(ls run/step-*.h5 | wc -l)" -eq 3 ]
        [ "$(digest_of run/final.h5)" = "$(digest_of reference/final.h5)" ]
        no_temporaries
    done <<END
0 reserve 3
1 write 5
0 rename 2
END
    grep -q '"failed": 1' run/plan.json
}

@test "the last checkpoint must be written, whatever --on-save-error says" {
    fixture mlp
    run shimmed 1 0 MB_FAIL_KIND=write MB_FAIL_AT=1 MB_FAIL_ERRNO=28 MB_FAIL_REST=1 -- \
        $options --steps 2 --checkpoint-every never --on-save-error continue
    echo "$output"
    [ "$status" -eq 1 ]
    grep -q "^mbrun: error: .*No space left" <<<"$output"
}

@test "on a slow disk the next checkpoint waits, which is said once, and none is left out" {
    reference 4
    run shimmed 2 0 MB_FAIL_SLOW=300 -- ${options/--quiet/} --stages 2 --steps 4 --checkpoint-every 1 --keep 9
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'step . waited .* for the checkpoint before it' run/log.txt)" -eq 1 ]
    [ "$(ls run/step-*.h5 | wc -l)" -eq 4 ]
    [ "$(digest_of run/final.h5)" = "$(digest_of reference/final.h5)" ]
}

@test "a run that is killed while a checkpoint is written goes on from the one before" {
    reference 40
    LD_PRELOAD=$SHIM MB_FAIL_DIR=$PWD/run MB_FAIL_SLOW=500 \
        "$MBRUN" $options --steps 40 --checkpoint-every 3 3>&- &
    for _ in $(seq 400); do
        [ ! -e run/step-00000003.h5 ] || ! ls run/step-00000006.h5.tmp* >/dev/null 2>&1 || break
        sleep 0.02
    done
    kill -9 $!
    wait $! || true
    [ ! -e run/step-00000006.h5 ]
    run ranks 1 $options --steps 40 --checkpoint-every 10
    [ "$status" -eq 0 ]
    [ "$(digest_of run/final.h5)" = "$(digest_of reference/final.h5)" ]
    no_temporaries
}

@test "a stop that is asked for while a checkpoint is written leaves the last one complete" {
    fixture mlp
    LD_PRELOAD=$SHIM MB_FAIL_DIR=$PWD/run MB_FAIL_SLOW=300 \
        "$MBRUN" $options --epochs 100000 --checkpoint-every 3 3>&- &
    for _ in $(seq 400); do
        [ ! -e run/step-00000003.h5 ] || break
        sleep 0.02
    done
    kill -USR1 $!
    code=0
    wait $! || code=$?
    [ "$code" -eq 85 ]
    for file in run/step-*.h5; do
        "$MBRUN" inspect --verify "$file"
    done
    no_temporaries
}

@test "where memory is limited there is a copy if it has room, and if it is asked for" {
    fixture mlp
    rest="--stages 2 --steps 2 --checkpoint-every 1 --restart"
    for words in "" "--memory 1G" "--memory 1G --checkpoint-mode async"; do
        # shellcheck disable=SC2086
        ranks 2 ${options/--quiet/} $rest $words >said 2>&1
        grep -q 'copy for checkpoints' said
        ! grep -q 'the steps wait for checkpoints' said
    done
    ranks 2 $options $rest --checkpoint-mode sync
    least=$(grep -o '"planned": [0-9]*' run/plan.json | grep -o '[0-9]*' | sort -n | tail -n 1)
    ranks 2 ${options/--quiet/} $rest --memory "$((least / 1024 + 1))K" >said 2>&1
    cat said
    ! grep -q 'copy for checkpoints' said
    grep -q 'the steps wait for checkpoints (checkpoint-mode=sync): with a copy .* a rank would take .*, and memory=' said
}

@test "where no memory is found for the copy the steps wait for checkpoints, which is said" {
    [ "${MB_SANITIZERS-}" != yes ] || skip "a sanitizer has allocations of its own"
    awk -v OFS=, 'BEGIN { print "a,b,kind"; for (i = 0; i < 64; i++) print i % 7, i % 5, i % 3 }' >s.csv
    "$MBRUN" new mlp -o wide.h5 input=2 hidden=600,600 classes=3 >/dev/null
    words="wide.h5 --data s.csv --label kind --batch 16 --replicas 2 --threads 1 --quiet --run run --steps 4 --checkpoint-every 2"
    "$MBRUN" $words --run reference
    # Weights and both moments together are the largest block that a rank takes.
    run shimmed 1 0 LD_PRELOAD="$MB_BUILDDIR/tests/support/failing_memory.so" MB_FAIL_AT=1 MB_FAIL_LEAST=4000000 -- \
        ${words/--quiet/}
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'the steps wait for checkpoints (checkpoint-mode=sync): out of memory' run/log.txt)" -eq 1 ]
    [ "$(digest_of run/final.h5)" = "$(digest_of reference/final.h5)" ]
}

@test "other words than the modes are refused" {
    fixture mlp
    refused 2 "checkpoint-mode: 'later' is not async or sync" 1 $options --checkpoint-mode later
    refused 2 "on-save-error: 'wait' is not stop or continue" 1 $options --on-save-error wait
}
