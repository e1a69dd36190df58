#!/bin/sh
# Samples that ranks hold, each its own, or a reservoir keeps; and the tool on the same samples in one file.
. "$MB_SRCDIR/tests/mpi/cases.sh"
MB_SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/mb-samples.XXXXXX")
export MB_SCRATCH OMP_WAIT_POLICY=passive
export OMPI_MCA_rmaps_base_oversubscribe=1
if [ -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    export MB_PLUGINS=$MB_BUILDDIR MB_CUDASIM_DEVICES=2 MB_CUDASIM_SEED=3
else
    count=1
    echo "ok 1 - samples in a device's memory # SKIP the CUDA toolkit's headers were not found"
fi
run_cases test_samples 1 3 8
run_cases test_reservoir 1 3

# The last of the first ones ran on 8 ranks, four of which trained.
"$MPIEXEC" -n 2 "$MBRUN" "$MB_SCRATCH/start.h5" --data "$MB_SCRATCH/data.h5" --run "$MB_SCRATCH/tool.run" \
    --batch 20 --replicas 2 --micro-batch 5 --epochs 2 --partition counted --threads 1 >"$MB_SCRATCH/out" 2>&1 </dev/null
count=$((count + 1)) ok='not ok'
tool=$("$MBRUN" inspect --digest "$MB_SCRATCH/tool.run/final.h5")
held=$("$MBRUN" inspect --digest "$MB_SCRATCH/of-four.h5")
[ -n "$tool" ] && [ "$tool" = "$held" ] && ok=ok || sed 's/^/# /' "$MB_SCRATCH/out"
echo "$ok $count - four of eight ranks come to the digest of the tool on one file"
rm -rf "$MB_SCRATCH"
echo "1..$count"
