WAITING_TESTS += tests/slurm/requeue.sh
EXTRA_DIST += tests/slurm/cluster.sh
