WAITING_TESTS += tests/slurm/requeue.sh tests/slurm/scripts.sh
EXTRA_DIST += tests/slurm/cluster.sh tests/slurm/jobs.sh tests/campaign/slurm.sh
