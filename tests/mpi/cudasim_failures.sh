#!/bin/sh
# One call of CUDA, cuBLASLt or NCCL fails on one rank, while it is set up or in the middle of a step: all
# ranks end in time with one message that names the rank, what it was doing and why that failed, they leave
# nothing behind, and the same command then comes to the bits of a run without failures.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
. "$MB_SRCDIR/tests/support/processes.sh"
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_DEVICES=4 MB_CUDASIM_SEED=1

ranks=4       # two stages of two groups
most_seconds=10 # from a failure to the end of all ranks
fixtures=$MB_SRCDIR/tests/fixtures

# launch TRANSPORT (which cuts as the reference did, so that calls have the same numbers): the run in $scratch/run.run, its words in $scratch/out.
launch() {
    timeout -k 5 60 "$MPIEXEC" -n $ranks "$MBRUN" "$fixtures/shared.h5" \
        --data "$fixtures/shared.ref.h5" --run "$scratch/run.run" --device cudasim --transport "$1" \
        --stages 2 --replicas 2 --batch 8 --micro-batch 2 --steps 8 --checkpoint-every 2 --keep 1 \
        --threads 1 --partition counted --quiet >"$scratch/out" 2>&1 </dev/null
}

# reference TRANSPORT: what a run without failures gives, how long it takes, and how often each rank calls
# each function.
reference() {
    rm -rf "$scratch/run.run"
    begun=$(now)
    MB_CUDASIM_CALLS=$scratch/calls launch "$1" || { sed 's/^/# /' "$scratch/out" && return 1; }
    whole=$(since "$begun")
    wanted=$(digests run)
}

calls() { # NAME RANK
    sed -n "s/^$1 //p" "$scratch/calls.$2"
}

shared_memory() {
    ls /dev/shm
}

# Segments that have come since the list was made and that no process uses: other jobs have theirs, which
# they may just be making or ending.
left_in_shared_memory() {
    for _ in 1 2 3 4; do
        [ -n "$(unused_in_shared_memory)" ] || return 0
        sleep 0.5
    done
    unused_in_shared_memory
}

unused_in_shared_memory() {
    shared_memory | sort >"$scratch/shm.after"
    for name in $(comm -13 "$scratch/shm.before" "$scratch/shm.after"); do
        grep -qsF "/dev/shm/$name" /proc/[0-9]*/maps || [ ! -e "/dev/shm/$name" ] || echo "$name"
    done
}

# The bracket keeps the search from finding itself.
left_processes() {
    grep -sl "[m]b-runs.${scratch##*mb-runs.}" /proc/[0-9]*/cmdline
}

# fail TRANSPORT NAME K RANK WORDS: prints what is not as it should be.
fail() {
    shared_memory | sort >"$scratch/shm.before"
    begun=$(now)
    MB_CUDASIM_FAIL=$2:$3:$4 launch "$1"
    code=$?
    took=$(since "$begun")
    where="rank $4\( on [^:]*\)\{0,1\}: "
    prefix="mbrun: error: $where"
    [ "$4" -ne 0 ] || prefix="mbrun: error: \($where\)\{0,1\}"
    [ "$code" -eq 1 ] || echo "it ends with $code"
    [ "$(grep -c '^mbrun: error' "$scratch/out")" -eq 1 ] &&
        grep -q "^$prefix$5" "$scratch/out" ||
        echo "it does not say '$prefix$5' but: $(grep '^mbrun: error' "$scratch/out")"
    ! grep -qiE 'signal|deadlock|was called [0-9]+ times' "$scratch/out" || echo "more than that went wrong"
    awk -v took="$took" -v most="$most_seconds" -v whole="$whole" \
        'BEGIN { exit !(took <= most + whole) }' || echo "it takes $took s"
    [ -z "$(left_processes)" ] || echo "processes are left"
    unused=$(left_in_shared_memory)
    [ -z "$unused" ] || echo "in /dev/shm there is left: $unused"
}

resume() { # TRANSPORT
    launch "$1" || echo "the next start fails"
    [ "$(digests run)" = "$wanted" ] || echo "the next start comes to other bits"
}

# check TRANSPORT NAME RANK WORDS [PART]: the first call, and the one after PART (0.75) of a run's.
check() {
    rm -rf "$scratch/run.run"
    late=$(calls "$2" "$3" | awk -v part="${5:-0.75}" '{ print int($1 * part) }')
    tried=
    : >"$scratch/faults"
    for k in 1 $late; do
        [ "$k" -ge 1 ] && [ "$tried" != "$k" ] || continue
        tried=$k
        fail "$1" "$2" "$k" "$3" "$4" >"$scratch/faults"
        [ ! -s "$scratch/faults" ] || break
    done
    resume "$1" >>"$scratch/faults"
    [ ! -s "$scratch/faults" ]
    status=$?
    [ $status -eq 0 ] || sed 's/^/# /' "$scratch/faults" "$scratch/out"
    result $status "$1: calls 1 to $tried of $2 fail on rank $3, and the run goes on to the same bits"
}

# The only memory of the kind that a run asks for where messages go by NCCL is that of a checkpoint's copy.
go_without_copy() {
    rm -rf "$scratch/run.run"
    MB_CUDASIM_FAIL=cudaHostAlloc:1:2 launch nccl && [ "$(digests run)" = "$wanted" ] &&
        grep -q 'the steps wait for checkpoints (checkpoint-mode=sync).*CUDA, taking pinned host memory' \
            "$scratch/run.run/log.txt"
    result $? "nccl: without pinned memory on rank 2 the steps wait for checkpoints, to the same bits"
}

launched=".*CUDA, .*: unspecified launch failure (cudaErrorLaunchFailure)"
memory=".*CUDA, taking .*: out of memory (cudaErrorMemoryAllocation)"
blas=".*cuBLASLt, a product: the GPU program failed to execute"
for transport in nccl staged; do
    reference $transport
    result $? "$transport: a run without failures"
    check $transport cudaMallocAsync 1 "$memory"
    [ $transport = staged ] || go_without_copy
    [ $transport = nccl ] || check $transport cudaHostAlloc 2 "$memory"
    check $transport cudaMemcpyAsync 0 "$launched"
    check $transport cudaEventRecord 3 "$launched"
    check $transport cudaLaunchKernel 1 "$launched"
    check $transport cudaStreamBeginCapture 2 "$launched"
    check $transport cudaGraphLaunch 3 "$launched"
    check $transport cublasLtMatmul 1 "$blas"
    [ $transport = nccl ] || continue
    check nccl ncclCommInitRankConfig 2 "NCCL, joining the ranks: unhandled system error.*"
    check nccl ncclSend 3 "NCCL, sending: unhandled system error.*"
    check nccl ncclGroupEnd 0 "NCCL, handing messages over: unhandled system error.*"
    # How often it is asked depends on the time that others take.
    check nccl ncclAsync 1 "NCCL, moving messages: remote process exited or there was a network error" 0.3
done
echo "1..$count"
