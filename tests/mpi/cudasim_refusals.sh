#!/bin/sh
# Devices and ways of messages that cannot be had, on the simulated CUDA: each refused with one message, and
# what is taken instead where something is.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
export MB_PLUGINS=$MB_BUILDDIR
fixtures=$MB_SRCDIR/tests/fixtures

# launch DEVICES RANKS OPTION...
launch() {
    devices=$1 on=$2
    shift 2
    rm -rf "$scratch/run.run"
    MB_CUDASIM_DEVICES=$devices timeout -k 5 60 "$MPIEXEC" -n "$on" "$MBRUN" "$fixtures/shared.h5" \
        --data "$fixtures/shared.ref.h5" --run "$scratch/run.run" --batch 8 --micro-batch 2 \
        --replicas 2 --steps 2 --threads 1 "$@" >"$scratch/out" 2>&1 </dev/null
}

# refused CODE MESSAGE DEVICES RANKS OPTION...: all ranks end with CODE, and one says just this.
refused() {
    wanted=$1 message=$2
    shift 2
    name="$2 ranks, $1 GPUs, $(echo "$*" | cut -d ' ' -f 3-)"
    launch "$@"
    code=$?
    [ "$code" -eq "$wanted" ] && [ "$(grep -c 'mbrun: error' "$scratch/out")" -eq 1 ] &&
        grep -qxE "mbrun: error: $message" "$scratch/out" && [ ! -e "$scratch/run.run/final.h5" ]
    status=$?
    [ $status -eq 0 ] || sed "s/^/# $code: /" "$scratch/out"
    result $status "refused: $name"
}

# taken DEVICES RANKS LINE OPTION...: it trains, with a line that says so.
taken() {
    line=$3
    launch "$1" "$2" $4 && grep -qE "$line" "$scratch/out" && ! grep -q 'mbrun: warning' "$scratch/out"
    status=$?
    [ $status -eq 0 ] || sed 's/^/# /' "$scratch/out"
    result $status "taken: $2 ranks, $1 GPUs, $4"
}

sim="--device cudasim"
refused 2 "ranks 0 and 1 would both use the GPU at [0-9a-f:.]+ of [^ ]+, which has 1 to see: .*--share-device.*" \
    1 2 $sim
refused 2 "rank 2 on [^ ]+ would be the GPU number 2 there, and 2 can be seen: start 2 ranks a node, .*" \
    2 3 $sim
refused 1 "no CUDA device can be used: no CUDA-capable device is detected .*" 0 2 $sim
refused 2 "--transport nccl: NCCL wants a device of its own for each rank" \
    1 2 $sim --share-device --transport nccl
refused 2 "--transport nccl is for GPUs; device cpu .*" 1 2 --device cpu --transport nccl
refused 2 "--transport staged is for GPUs; device cpu .*" 1 2 --device cpu --transport staged
refused 2 "--transport mpi: this MPI does not say .*MB_MPI_CUDA_AWARE=1.*" 2 2 $sim --transport mpi
for device in cpu cudasim; do
    refused 2 "--transport foo: there are auto, nccl, mpi and staged" \
        2 2 --device $device --transport foo
done
refused 2 "--reduce foo: there are tree and nccl" 2 2 $sim --reduce foo
refused 2 "--reduce nccl: messages do not go by NCCL here; use tree" \
    2 2 $sim --transport staged --reduce nccl

# Ways that are taken, to the same bits.
taken 2 2 "^transport NCCL [0-9.]+, from device to device" "$sim"
by_nccl=$(digests run)
taken 1 2 "^transport MPI through pinned host buffers: ranks share a device, .*" "$sim --share-device"
[ -n "$by_nccl" ] && [ "$(digests run)" = "$by_nccl" ]
result $? "ranks that share a device come to the bits of those that do not"
export MB_MPI_CUDA_AWARE=1 MB_CUDASIM_PROTECT=0
taken 2 2 "^transport MPI in the devices' memory" "$sim --transport mpi"
[ "$(digests run)" = "$by_nccl" ]
result $? "an MPI that works in device memory comes to the same bits"
unset MB_MPI_CUDA_AWARE MB_CUDASIM_PROTECT

# "auto" means cuda, of which the simulation is not one.
if [ ! -e "$MB_BUILDDIR/mbcuda.so" ]; then
    taken 4 2 "^device +CPU" "--device auto"
    ! grep -qE 'GPU|^transport' "$scratch/out"
    result $? "where there is no GPU the CPU is taken and nothing said"
fi
echo "1..$count"
