# Sourced by scripts that let random faults happen to a run and look at its end: tests/mpi/faults.sh, a few, and
# tests/campaign/faults.sh, many.
#
#     fault SEED NUMBER     fault NUMBER of a seed, whatever ran before; true when all is as it should be, else $why
#                           says what is not. $what describes it
#
# The run must end within the deadline and 10 s, with one message (or the launcher's, of a rank that was killed) that
# names the rank; no process of it may be left; and the same command, on another number of ranks, must then come to
# the bits of a run without faults.
if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
. "$MB_SRCDIR/tests/support/processes.sh"
. "$MB_SRCDIR/tests/support/hosts.sh"
export OMP_WAIT_POLICY=passive
export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0:verify_asan_link_order=0

scratch=$(cd "$(mktemp -d "${TMPDIR:-/tmp}/mb-fault.XXXXXX")" && pwd -P) || exit 1
job= # the launcher that runs
deadline=${MB_FAULT_DEADLINE-10}
steps=${MB_FAULT_STEPS-150}
kinds=${MB_FAULT_KINDS-kill kill stop stop slow memory memory-start disk disk full mpi-fail mpi-fail mpi-hang mpi-lose nan cut}
most_seconds=$((deadline + 10))
cut_hosts=
hosts_settings="--mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3"

fault_cleanup() {
    [ -z "$job" ] || kill -KILL "$job"
    hosts_remove
    ! mountpoint -q "$scratch/full" || umount "$scratch/full"
    rm -rf "$scratch"
}
trap fault_cleanup EXIT
trap "exit 1" TERM INT HUP

cp "$MB_SRCDIR/tests/fixtures/mlp.h5" "$scratch/model.h5"
cp "$MB_SRCDIR/tests/fixtures/mlp.ref.h5" "$scratch/data.h5"
chmod u+w "$scratch"/*.h5

# words OPTION...: of every start; what is learned is the same on any number of ranks.
words() {
    echo "$scratch/model.h5 --data $data --run $run --threads 1 --batch 32 --micro-batch 4 --replicas 4" \
        "--steps $steps --checkpoint-every 10 --keep 2 --deadline ${deadline}s --quiet"
}

digest() {
    "$MBRUN" inspect --digest "$1" 2>/dev/null
}

reference() {
    [ -z "$wanted" ] || return 0
    run=$scratch/reference data=$scratch/data.h5
    # shellcheck disable=SC2046
    begun=$(now)
    "$MBRUN" $(words) >"$scratch/out" 2>&1 || { cat "$scratch/out" && return 1; }
    whole=$(since "$begun")
    wanted=$(digest "$run/final.h5")
}

# draw SEED NUMBER: kind, ranks, stages, victim, two numbers below 1000, and the ranks of the next start.
draw() {
    awk -v seed="$1" -v number="$2" -v kinds="$kinds" 'BEGIN {
        srand(seed * 1000003 + number * 7919); rand()
        n = split(kinds, kind, " ")
        k = kind[1 + int(rand() * n)]
        ranks = 2 + int(rand() * 5)
        stages = 1 + int(rand() * (ranks < 3 ? ranks : 3))
        working = ranks - ranks % stages
        print k, ranks, stages, int(rand() * working), int(rand() * 1000), int(rand() * 1000), 1 + int(rand() * 4)
    }'
}

find_fault() {
    [ -n "$why" ] || why=$1
}

# begin PREFIX...: the run in the background as $job; PREFIX (env ...) stands in front of the program.
begin() {
    # shellcheck disable=SC2046
    if [ -n "$cut_hosts" ]; then
        hosts_mpirun h1 $cut_hosts -- -n "$ranks" "$@" "$MBRUN" $(words) --stages "$stages"
    else
        "$MPIEXEC" -n "$ranks" "$@" "$MBRUN" $(words) --stages "$stages"
    fi >"$scratch/out" 2>&1 </dev/null &
    job=$!
}

ended() {
    ! alive "$job"
}

# The run is under way, and then for a part of the time that one rank takes for all of it.
under_way() {
    become fault_under_way || return 1
    awk -v part="$one" -v whole="$whole" 'BEGIN { printf "%.3f\n", part / 1000 * whole * 0.8 }' | xargs sleep
}

fault_under_way() {
    ended || [ -s "$run/metrics.jsonl" ]
}

# The process of rank $victim, which may stand below an agent. The bracket keeps the search from finding itself.
victim_process() {
    for entry in $(grep -sl "[m]b-fault.${scratch##*mb-fault.}/model.h5" /proc/[0-9]*/cmdline); do
        entry=${entry%/cmdline}
        tr '\0' '\n' 2>/dev/null <"$entry/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$victim" &&
            [ "$(tr '\0' '\n' <"$entry/cmdline" | head -n 1)" = "$MBRUN" ] && echo "${entry#/proc/}"
    done
}

left_processes() {
    grep -sl "[m]b-fault.${scratch##*mb-fault.}/model.h5" /proc/[0-9]*/cmdline
}

# finish: waits for the end, from $begun on.
finish() {
    while alive "$job"; do
        sleep 0.1
        awk -v took="$(since "$begun")" -v most=$((most_seconds + ${slack-0})) 'BEGIN { exit took <= most }' || continue
        find_fault "no end after $(since "$begun") s"
        for process in $(left_processes | sed 's|/proc/||; s|/cmdline||'); do kill -KILL "$process"; done
        kill -KILL "$job"
    done 2>/dev/null
    wait "$job"
    code=$?
    job=
    took=$(since "$begun")
    for _ in $(seq 50); do [ -z "$(left_processes)" ] || sleep 0.2; done
    [ -z "$(left_processes)" ] || find_fault "processes are left"
}

# reported PATTERN: one error of ours, whose first line has it.
reported() {
    [ "$code" -eq 1 ] || { [ "$code" -eq 205 ] && [ "$kind" = cut ]; } || find_fault "it ends with $code: $(grep -v '^--' "$scratch/out" | tail -n 3 | tr '\n' ' ')"
    [ "$(grep -c '^mbrun: error' "$scratch/out")" -eq 1 ] ||
        find_fault "not one message: $(grep '^mbrun: ' "$scratch/out" | tr '\n' ' ')"
    grep -Eq "^mbrun: error.*$1" "$scratch/out" || find_fault "no '$1' in: $(grep '^mbrun: ' "$scratch/out" | tr '\n' ' ')"
}

survived() {
    [ "$code" -eq 0 ]
}

strike() {
    victim_pid=$(victim_process)
    begun=$(now)
    [ -n "$victim_pid" ] && kill "-$1" "$victim_pid"
}

# ---- one function a kind

fault_kill() {
    begin && under_way
    strike KILL
    finish
    survived || grep -q "process rank $victim with PID .* exited on signal 9" "$scratch/out" ||
        find_fault "the launcher does not name it: $(tr '\n' ' ' <"$scratch/out")"
}

fault_stop() {
    begin && under_way
    strike STOP
    finish
    survived || reported "rank $victim on [^ ]* (has said nothing for|came too late)|MPI has not come to its end"
}

# Stopped for less than the deadline: nothing happens.
fault_slow() {
    begin && under_way
    strike STOP
    sleep $((deadline / 2))
    kill -CONT "$victim_pid" 2>/dev/null
    slack=240
    finish
    slack=0
    survived || find_fault "it ends with $code: $(tr '\n' ' ' <"$scratch/out")"
}

# No more memory than it has at a moment.
fault_memory() {
    begin && under_way
    victim_pid=$(victim_process)
    begun=$(now)
    [ -z "$victim_pid" ] || prlimit --pid "$victim_pid" --as=$((two * 2000)) 2>/dev/null
    slack=240
    finish
    slack=0
    survived || named_by_anyone
}

# MPI and libraries fail in their own ways; then the launcher names the rank.
named_by_anyone() {
    if grep -Eq "exited on signal|exited with non-zero|exit code|ORTE|MPI_INIT|MPI_Init" "$scratch/out" &&
        ! grep -q '^mbrun: error' "$scratch/out"; then
        what="$what (by the launcher)"
        return
    fi
    if [ "$victim" -eq 0 ]; then reported ": (rank 0 |[^r])"; else reported "(rank $victim[ :,]|memory)"; fi
}

fault_memory_start() {
    begun=$(now)
    begin sh -c "[ \$OMPI_COMM_WORLD_RANK != $victim ] || ulimit -v $((100000 + two * 500)); exec \"\$@\"" sh
    slack=240
    finish
    slack=0
    survived || named_by_anyone
}

# choose_call "NAME:MOST ...": one of them, and the number of its call.
choose_call() {
    call=$(echo "$1" | cut -d' ' -f$((1 + one % $(echo "$1" | wc -w))))
    at=$((1 + two % ${call#*:}))
    call=${call%:*}
}

shim_io() {
    choose_call "write:30 sync:10 truncate:3 rename:8 unlink:4 reserve:3 open:10 close:10 link:1 flush:20 write:10 sync:4"
    what="$what $call:$at"
    begin env LD_PRELOAD="$MB_BUILDDIR/tests/support/failing_io.so" MB_FAIL_DIR="$run" MB_FAIL_RANK="$victim" \
        MB_FAIL_KIND="$call" MB_FAIL_AT=$at MB_FAIL_ERRNO="$1" ${2:+MB_FAIL_REST=1}
}

# A call on the run's files fails on one rank, or all that need space from it on.
fault_disk() {
    mkdir -p "$run"
    begun=$(now)
    if [ $((two % 2)) -eq 0 ]; then shim_io 5; else shim_io 28 rest; fi
    slack=240
    finish
    slack=0
    survived || reported "$run.*(Input/output error|No space left on device)"
}

fault_full() {
    mkdir -p "$scratch/full"
    mount -t tmpfs -o size=$((200 + two * 2))k tmpfs "$scratch/full" 2>/dev/null || { what="$what (no tmpfs)" && return; }
    run=$scratch/full/run
    begun=$(now)
    begin
    slack=240
    finish
    slack=0
    survived || reported "$run.*No space left on device"
    rm -rf "$scratch/run"
    mv "$run" "$scratch/run" 2>/dev/null
    umount "$scratch/full"
    run=$scratch/run
}

shim_mpi() {
    choose_call "$2"
    what="$what MPI_$call:$at"
    begun=$(now)
    begin env LD_PRELOAD="$MB_BUILDDIR/tests/support/failing_mpi.so" MB_MPI_RANK="$victim" MB_MPI_CALL="$call" \
        MB_MPI_AT=$at MB_MPI_HOW="$1"
    slack=240
    finish
    slack=0
}

fault_mpi_fail() {
    shim_mpi fail "Isend:400 Issend:3 Irecv:400 Test:3000 Testall:200 Iallreduce:40 Comm_idup:2"
    survived || reported "rank $victim"
}

fault_mpi_hang() {
    shim_mpi hang "Isend:400 Irecv:400 Test:3000 Testall:200 Iallreduce:40 Comm_idup:2 Finalize:1"
    survived || reported "(rank $victim[ :]|has not (brought|come))"
}

# Without its message the one who waits for it waits for the rank, or all do.
fault_mpi_lose() {
    shim_mpi lose "Isend:400"
    survived || reported "rank "
    survived || grep -q "rank $victim" "$scratch/out" || find_fault "rank $victim is not there: $(cat "$scratch/out")"
}

check_checkpoints() {
    for file in "$run"/step-*.h5; do
        [ ! -e "$file" ] || "$MBRUN" inspect --verify "$file" >/dev/null 2>&1 || find_fault "$file is not complete"
    done
}

fault_nan() {
    data=$scratch/nan.h5
    cp "$scratch/data.h5" "$data"
    "$MB_BUILDDIR/tests/mpi/poison" "$data" $((two % 640)) || { find_fault "no data" && return; }
    begun=$(now)
    begin
    slack=240
    finish
    slack=0
    data=$scratch/data.h5
    survived || reported "(nan|not finite|NaN)"
    check_checkpoints
    rm -rf "$run" # with other data it cannot go on
}

# A host of two or three goes off the network, the launcher's own never.
fault_cut() {
    hosts_make 3 >"$scratch/why" || { what="$what ($(cat "$scratch/why"))" && hosts_remove && return; }
    cut_hosts="h1:2 h2:2 h3:2"
    [ "$victim" -ge 2 ] || victim=2
    [ "$ranks" -gt "$victim" ] || ranks=$((victim + 1))
    at=h$((1 + victim / 2))
    [ "$ranks" -le 6 ] || ranks=6
    what="$kind of $at with rank $victim of $ranks, $stages stages"
    begin && under_way
    begun=$(now)
    hosts_cut "$at"
    finish
    survived || reported "rank [0-9] on $at has said nothing"
    cut_hosts=h1:4 # the next start finds its lease's owner gone
}

# again: the next start comes to the bits of a run without faults.
again() {
    ranks=$1 stages=1
    begun=$(now)
    begin
    slack=240
    finish
    slack=0
    survived || find_fault "the next start on $ranks ranks fails: $(tr '\n' ' ' <"$scratch/out")"
    [ "$(digest "$run/final.h5")" = "$wanted" ] || find_fault "the next start comes to other bits"
    ! find "$run" -name '*.tmp*' -o -name lease | grep -q . || find_fault "the next start leaves $(ls "$run" | tr '\n' ' ')"
}

fault() {
    why= cut_hosts= took=- slack=0
    reference >"$scratch/why" || { why="a run without faults fails: $(tail -n 3 "$scratch/why")" && return 1; }
    # shellcheck disable=SC2046
    set -- $(draw "$1" "$2")
    kind=$1 ranks=$2 stages=$3 victim=$4 one=$5 two=$6
    what="$kind on rank $victim of $ranks, $stages stages"
    run=$scratch/run data=$scratch/data.h5
    rm -rf "$run"
    "fault_$(echo "$kind" | tr - _)"
    struck=$took
    [ -n "$why" ] && cp "$scratch/out" "$scratch/failed"
    ! survived || what="$what (goes on)"
    again "$7"
    took=$struck
    hosts_remove
    [ -z "$why" ]
}
