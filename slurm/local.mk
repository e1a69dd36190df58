slurmdir = $(pkgdatadir)/slurm
dist_slurm_DATA = slurm/chain.sbatch slurm/gpus.sbatch slurm/many-nodes.sbatch slurm/one-node.sbatch \
	slurm/preemptible.sbatch slurm/sweep.sbatch
