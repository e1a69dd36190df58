slurmdir = $(pkgdatadir)/slurm
dist_slurm_DATA = slurm/one-node.sbatch slurm/many-nodes.sbatch
