# Sourced by what runs one test: Open MPI keeps its files in a folder of the test's own. The single processes of several
# tests share one otherwise, and the one that ends removes what another is about to use.
OMPI_MCA_orte_tmpdir_base=$(mktemp -d "${TMPDIR:-/tmp}/mb-mpi.XXXXXX") || exit 1
export OMPI_MCA_orte_tmpdir_base
trap 'rm -rf "$OMPI_MCA_orte_tmpdir_base"' EXIT
