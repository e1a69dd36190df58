#!/usr/bin/env bats
# Local checkpoints: what is taken after a crash, from whom, and what is left. Each "node" is a host name of its
# own and directories of its own.
load helper

RUNNING=

teardown() {
    [ -z "$RUNNING" ] || kill -9 "$RUNNING" 2>/dev/null || true
}

# on_nodes N EACH ARGUMENTS...: mbrun on N ranks, EACH on a node; %n in an argument is the node's number.
on_nodes() {
    local n=$1 each=$2
    shift 2
    cat >node.sh <<'SCRIPT'
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK} each=$1
node=$((rank / each))
shift
for argument; do
    shift
    set -- "$@" "$(printf '%s' "$argument" | sed "s/%n/$node/g")"
done
exec unshare -u sh -c 'echo "node$0" >/proc/sys/kernel/hostname && exec "$@"' "$node" "$@"
SCRIPT
    exec timeout -k 5 "$LIMIT" "$MPIEXEC" -n "$n" sh node.sh "$each" "$MBRUN" "$@"
}

need_nodes() {
    unshare -u true 2>/dev/null || skip "no namespaces of host names"
    mkdir -p node0 node1 copies0 copies1
}

# step_of FOLDER...: the newest step of which a part is in one of them.
newest_part() {
    find "$@" -name 'step-*.own' | sed 's/.*step-0*\([0-9]*\)-.*/\1/' | sort -n | tail -n 1
}

reached() {
    [ "$(newest_part "$1")" -ge "$2" ] 2>/dev/null
}

# crash STEP FOLDER N EACH ARGUMENTS...: starts a run, and kills all of it when a part of STEP is in FOLDER.
crash() {
    local step=$1 folder=$2
    shift 2
    (on_nodes "$@") >crash.log 2>&1 &
    RUNNING=$!
    wait_for 60 reached "$folder" "$step" || { cat crash.log && return 1; }
    local launcher ranks
    launcher=$(children "$RUNNING")
    ranks=$(for process in $launcher; do children "$process"; done)
    # shellcheck disable=SC2086
    kill -9 $ranks $launcher "$RUNNING" 2>/dev/null || true
    wait "$RUNNING" 2>/dev/null || true
    RUNNING=
    # shellcheck disable=SC2086
    for process in $ranks; do wait_for 10 eval "! alive $process"; done
}

# taken: the step of local checkpoints that the output says it goes on from.
taken() {
    sed -n 's/.*goes on from step \([0-9]*\) of the nodes. local.*/\1/p' <<<"$output"
}

LOCAL="--local-dir node%n --local-every 2 --partner copies%n --checkpoint-every never"

@test "a killed run goes on from its nodes' step, though a node is gone, on the same layout and another" {
    need_nodes
    fixture mlp
    cp model.h5 plain.h5
    # shellcheck disable=SC2086
    crash 6 node0 4 2 model.h5 --data data.h5 --steps 1000000 --stages 2 --replicas 2 --micro-batch 8 $LOCAL
    rm -r node1 copies1 && mkdir node1 copies1
    cp -r node0 node0.kept && cp -r copies0 copies0.kept && cp -r model.run run.kept
    newest=$(newest_part node0)
    # shellcheck disable=SC2086
    run -0 on_nodes 4 2 model.h5 --data data.h5 --steps $((newest + 3)) --stages 2 $LOCAL
    echo "$output"
    step=$(taken)
    [ "$step" -ge $((newest - 2)) ] && [ "$step" -ge 4 ]
    grep -q '4 parts, 2 of them partners. copies' <<<"$output"
    [ -z "$(find node0 node1 copies0 copies1 -type f)" ]
    # The same on one rank, which has all parts at hand.
    rm -r model.run node0 copies0 && mv run.kept model.run && mv node0.kept node0 && mv copies0.kept copies0
    rm model.run/lease # of a host that there is not any more
    run -0 ranks 1 model.h5 --data data.h5 --steps $((newest + 3)) --local-dir node0 --partner copies0
    echo "$output"
    [ "$(taken)" = "$step" ]
    run -0 ranks 1 plain.h5 --data data.h5 --steps $((newest + 3)) --replicas 2 --micro-batch 8
    [ "$(digest plain.run/final.h5)" = "$(digest model.run/final.h5)" ]
}

@test "a damaged part is passed over for its copy; without one, or after a start without, none is taken" {
    need_nodes
    fixture mlp
    # Three ranks on two nodes: two copies come to one rank.
    # shellcheck disable=SC2086
    crash 6 node0 3 2 model.h5 --data data.h5 --steps 1000000 --stages 3 $LOCAL
    newest=$(newest_part node0)
    mv node1/mbrun-*/* node0/mbrun-*/ && mv copies1/mbrun-*/* copies0/mbrun-*/
    find node0 -name "step-*-00001of00003.own" -exec truncate -s -1 {} +
    rm model.run/lease # of a host that there is not any more
    cp -r node0 node0.kept && cp -r copies0 copies0.kept && cp -r model.run run.kept
    run -0 ranks 2 model.h5 --data data.h5 --steps $((newest + 2)) --stages 2 --local-dir node0 --partner copies0
    echo "$output"
    [ -n "$(taken)" ]
    grep -q '3 parts, 1 of them partners. copies' <<<"$output"
    grep -q '00001of00003.own. is no whole part' <<<"$output"
    rm -r model.run node0 copies0 && mv run.kept model.run && cp -r node0.kept node0 && cp -r copies0.kept copies0
    run -0 ranks 1 model.h5 --data data.h5 --steps 1 --local-dir node0
    echo "$output"
    grep -q '1 of its 3 parts are missing' <<<"$output"
    [ -z "$(taken)" ]
    rm -rf node0 copies0 && mv node0.kept node0 && mv copies0.kept copies0
    run -0 ranks 1 model.h5 --data data.h5 --steps 2 --local-dir node0 --partner copies0
    [ -z "$(taken)" ]
}

@test "the run's directory is taken where it is newer, and restart forgets the nodes' checkpoints" {
    fixture mlp
    mkdir node0
    run -0 ranks 1 model.h5 --data data.h5 --steps 4 --checkpoint-every 4 --local-dir node0 --local-every 1
    [ -z "$(find node0 -mindepth 1)" ]
    [ -s model.run/local-tier ]
    before=$(cat model.run/local-tier)
    run -0 ranks 1 model.h5 --data data.h5 --steps 6 --local-dir node0
    [ -z "$(taken)" ]
    run -0 ranks 1 model.h5 --data data.h5 --steps 2 --local-dir node0 --restart
    [ "$before" != "$(cat model.run/local-tier)" ]
    run -0 ranks 1 model.h5 --data data.h5 --steps 3
    [ ! -e model.run/local-tier ]
}

@test "a local directory without space ends the tier and not the run" {
    fixture mlp
    mkdir node0
    # The shim stands before a sanitizer's library, which is of no harm.
    run -0 env LD_PRELOAD="$MB_BUILDDIR/tests/support/failing_io.so" \
        ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0" MB_FAIL_DIR="$(cd node0 && pwd -P)" MB_FAIL_KIND=write MB_FAIL_AT=3 \
        MB_FAIL_ERRNO=28 MB_FAIL_REST=1 "$MBRUN" model.h5 --data data.h5 --steps 4 --local-dir "$PWD/node0" --local-every 1
    echo "$output"
    grep -q 'No space left.*goes on without local checkpoints' <<<"$output"
    [ -z "$(find node0 -mindepth 1)" ]
    run -0 "$MBRUN" inspect --verify model.run/final.h5
}

@test "local checkpoints without a directory, or with one that is not there, are refused" {
    fixture mlp
    both 2 'local-every.*--local-dir' model.h5 --data data.h5 --local-every 5
    refused 2 'partner.*--local-dir' 1 model.h5 --data data.h5 --partner memory
    both 1 "nowhere.*does not exist" model.h5 --data data.h5 --local-dir nowhere
    refused 2 'local-every' 1 model.h5 --data data.h5 --local-dir . --local-every often
}
