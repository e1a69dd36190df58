#!/bin/bash
# The other batch scripts on a real Slurm, all at once: a job that stops by itself queues again and goes
# on, a chain, a sweep, GPUs, preemption, and what mbrun submit makes, started by srun and by mpirun.
# Each comes to the bits of a direct run. requeue.sh has those for one node and many.
. "$MB_SRCDIR/tests/slurm/cluster.sh"
. "$MB_SRCDIR/tests/slurm/jobs.sh"

jobs_begin

# A run whose time is over at its start makes one step, and stops with a checkpoint: so many slots as steps.
slots="--steps 2 --batch 64 --replicas 4 --seed 3 --max-time 0.1s --quiet"
direct slots --steps 2 --batch 64 --replicas 4 --seed 3
direct seed-4 --steps 2 --batch 64 --replicas 4 --seed 4
# One rank waits for nobody, whatever else the machine does; and long enough to be preempted.
alone="--steps 250 --batch 256 --replicas 4 --seed 3"
direct alone $alone
cluster_or_finish

one=$(MB_OPTIONS=$slots submit one-node.sbatch "$work/one.run" --ntasks=2)
chain=$(MB_OPTIONS=$slots submit chain.sbatch "$work/chain.run")
sweep=$(MB_RATES=0.001 MB_SEEDS="3 4" MB_OPTIONS="--steps 2 --batch 64 --replicas 4" \
    submit sweep.sbatch "$work/sweep" --array=0-1 --ntasks=1)
gpus=$(MB_DEVICE=cpu MB_OPTIONS="--steps 2 --batch 64 --replicas 4 --seed 3" submit gpus.sbatch \
    "$work/gpus.run" --ntasks-per-node=2 --gpus-per-node=2 --cpus-per-task=1)
preempted=$(MB_OPTIONS=$alone submit preemptible.sbatch "$work/preempted.run" --nodelist=n2 --gpus-per-node=2 \
    --ntasks=1)
cancelled=$(MB_OPTIONS="--epochs 100000" submit one-node.sbatch "$work/cancelled.run" --ntasks=1)
for launcher in srun mpirun; do
    (cd "$work" && "$MBRUN" submit "$MB_MODEL" --data "$MB_DATA" --run $launcher.run --steps 2 --batch 64 \
        --replicas 4 --seed 3 --ranks 2 --time 10min --launcher $launcher -o $launcher.sbatch) \
        >"$work/$launcher.out" 2>&1
done
by_srun=$(sed -n 's/^job \([0-9]*\),.*/\1/p' "$work/srun.out")
by_mpirun=$(sed -n 's/^job \([0-9]*\),.*/\1/p' "$work/mpirun.out")

preempt() {
    wait_until 120 steps_done "$work/preempted.run" 3 || return 1
    timeout 20 sbatch --parsable --partition=urgent --gpus-per-node=2 --output=/dev/null --wrap="sleep 1" >/dev/null &&
        wait_until 120 was_preempted
}
was_preempted() { [ "$(field "$preempted" Restarts)" = 1 ]; }
check "preemptible.sbatch: an urgent job gets its GPUs, and the other goes back into the queue" preempt
check "preemptible.sbatch: it had its grace time for a checkpoint" \
    grep -q 'stopped with a complete checkpoint' "$work/$preempted.log"

cancel() {
    wait_until 120 steps_done "$work/cancelled.run" 1 && timeout 20 scancel "$cancelled" &&
        wait_until 60 grep -q 'the job was cancelled' "$work/$cancelled.log" &&
        wait_until 60 state_is "$cancelled" CANCELLED
}
check "one-node.sbatch: a job that is cancelled writes its checkpoint and stays cancelled" cancel
completes "one-node.sbatch: stopped by its time, it queues again and completes" "$one" one.run slots
check "one-node.sbatch: that took two slots" grep -q ', restart 1$' "$work/$one.log"
completes "gpus.sbatch" "$gpus" gpus.run slots
check "sweep.sbatch: one member ends" wait_until 120 final "$work/sweep/lr-0.001-seed-4"
check "sweep.sbatch: and the other" wait_until 120 final "$work/sweep/lr-0.001-seed-3"
check "sweep.sbatch: each has the bits of its seed" same_digests "sweep/lr-0.001-seed-3 slots" \
    "sweep/lr-0.001-seed-4 seed-4"
check "chain.sbatch: the second job ends the run" wait_until 120 final "$work/chain.run"
check "chain.sbatch: with the bits of the direct run" same_digests "chain.run slots"
check "chain.sbatch: and the third one is cancelled" wait_until 30 no_chain
completes "mbrun submit, by srun" "$by_srun" srun.run slots
completes "mbrun submit, by mpirun" "$by_mpirun" mpirun.run slots
completes "preemptible.sbatch: it goes on and completes" "$preempted" preempted.run alone
show_logs
finish
