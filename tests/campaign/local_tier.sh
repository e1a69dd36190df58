#!/bin/bash
# Runs with local checkpoints, killed at random instants, whose nodes then lose their directories at random, and
# which go on on another layout: every one must end with the bits of a run that nothing happened to.
#
#     tests/campaign/local_tier.sh RESULTS [FIRST [N]]
#
# in a build folder after make mbrun, as root (nodes are namespaces of host names); FIRST seed 1 and N 100 by
# default. RESULTS gets a line for each seed: how it ended, kills, starts that took local checkpoints, nodes lost;
# seeds that have one are left out: the campaign goes on where it was stopped.
[ $# -ge 1 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/support/processes.sh"
unshare -u true || exit 2
results=$1 first=${2-1} seeds=${3-100}
touch "$results" || exit 1
results=$(cd "$(dirname "$results")" && pwd)/$(basename "$results")
export OMP_WAIT_POLICY=passive
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-local.XXXXXX") && cd "$scratch" || exit 1
trap 'rm -rf "$scratch"' EXIT
STEPS=${STEPS-1500}

cat >node.sh <<'SCRIPT'
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK} each=$1
shift
exec unshare -u sh -c 'echo "node$0" >/proc/sys/kernel/hostname && exec "$@"' $((rank / each)) \
    sh -c 'node=$0 && exec "$@" --local-dir "own$node" --partner "copies$node"' $((rank / each)) "$@"
SCRIPT

# start RANKS EACH STAGES: in the background, its launcher in $launcher.
start() {
    "$MPIEXEC" -np "$1" sh node.sh "$2" "$MBRUN" model.h5 --data data.h5 --steps $STEPS --stages "$3" --replicas 2 \
        --micro-batch 8 --local-every $((RANDOM % 3 + 1)) --checkpoint-every "$every" --quiet >said 2>&1 </dev/null &
    launcher=$!
}

finish() {
    "$MPIEXEC" -np "$1" sh node.sh "$2" "$MBRUN" model.h5 --data data.h5 --steps $STEPS --stages "$3" \
        --local-every 50 --checkpoint-every never >said 2>&1 </dev/null
}

count_taken() {
    if grep -q 'of the nodes. local checkpoints (' said; then taken=$((taken + 1)); fi
}

# A rank, some, or the launcher and all; the launcher ends what is left.
kill_some() {
    local ranks victims
    ranks=$(children "$launcher")
    case $((RANDOM % 3)) in
    0) victims=$(echo "$ranks" | head -n 1) ;;
    1) victims=$ranks ;;
    *) victims="$launcher $ranks" ;;
    esac
    # shellcheck disable=SC2086
    kill -9 $victims 2>/dev/null
    wait "$launcher" 2>/dev/null
    for process in $ranks; do become eval "! alive $process"; done
}

lose_node() {
    local node=$((RANDOM % 4))
    [ $node -lt 2 ] || return 0
    rm -rf "own$node" "copies$node" && mkdir "own$node" "copies$node" && lost=$((lost + 1))
}

layouts=("2 1 2" "2 1 1" "4 2 2" "4 2 1" "3 2 3" "2 2 2")

try() {
    RANDOM=$1
    rm -rf model.run own* copies* && mkdir own0 own1 own2 own3 copies0 copies1 copies2 copies3
    taken=0 lost=0 kills=0
    every=never && [ $((RANDOM % 2)) -eq 0 ] && every=$((RANDOM % 200 + 20))
    for _ in 1 2 3; do
        # shellcheck disable=SC2086
        start ${layouts[RANDOM % ${#layouts[@]}]}
        become eval 'ls own0/*/step-*.own >/dev/null || ! alive $launcher'
        sleep "0.$((RANDOM % 900 + 100))"
        kill_some && kills=$((kills + 1))
        lose_node
        rm -f model.run/lease # of a host that there is not any more
        [ ! -e model.run/final.h5 ] || break
    done
    # shellcheck disable=SC2086
    finish ${layouts[RANDOM % ${#layouts[@]}]} && count_taken
    digest=$("$MBRUN" inspect --digest model.run/final.h5 2>&1)
    if [ "$digest" = "$truth" ]; then echo "same $kills $taken $lost"; else echo "OTHER $(tail -n 1 said)"; fi
}

cp "$MB_SRCDIR/tests/fixtures/mlp.h5" model.h5 && cp "$MB_SRCDIR/tests/fixtures/mlp.ref.h5" data.h5 || exit 1
"$MBRUN" model.h5 --data data.h5 --steps $STEPS --replicas 2 --micro-batch 8 --run truth --quiet \
    --checkpoint-every never || exit 1
truth=$("$MBRUN" inspect --digest truth/final.h5)
for seed in $(seq "$first" $((first + seeds - 1))); do
    grep -q "^$seed: " "$results" || echo "$seed: $(try "$seed")" >>"$results"
done
awk '{ n++; same += $2 == "same"; kills += $3; taken += $4; lost += $5 }
    END { printf "| seeds | same bits | kills | ends that took local checkpoints | nodes lost |\n|---|---|---|---|---|\n" \
        "| %d | %d | %d | %d | %d |\n", n, same, kills, taken, lost; exit n != same }' "$results"
