# Sourced before each test: what every test process sees, whoever runs it and wherever.
CK_TAP_LOG_FILE_NAME=-
CK_VERBOSITY=silent
CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT-180}
PATH=$MB_BUILDDIR:$PATH
LC_ALL=C
TMPDIR=${MB_TEST_TMPDIR-${TMPDIR-/tmp}}

# Open MPI: more ranks than cores, root in a container, and a single process without a daemon.
OMPI_ALLOW_RUN_AS_ROOT=1
OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
OMPI_MCA_rmaps_base_oversubscribe=1
OMPI_MCA_mpi_yield_when_idle=1
OMPI_MCA_ess_singleton_isolated=1
OMPI_MCA_btl_vader_single_copy_mechanism=none
PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
# Every test stays on one machine, and the libraries of networks that it does not have take MPI_Init from 0.02 to
# 0.23 s (infinipath's measures the clock for 0.2 s when it is loaded): minutes, over some thousand short runs.
OMPI_MCA_pml=${OMPI_MCA_pml-ob1}
# hwloc's plugins look for GPUs and buses; to load them is a tenth of a short run of mbrun.
HWLOC_PLUGINS_PATH=${HWLOC_PLUGINS_PATH-/dev/null}

# Leaks inside MPI, hwloc and HDF5 (on broken files) are not ours to mend.
ASAN_OPTIONS=detect_leaks=${MB_DETECT_LEAKS-1}:abort_on_error=0:${ASAN_OPTIONS-}
LSAN_OPTIONS=suppressions=$MB_SRCDIR/tests/support/lsan.supp:print_suppressions=0
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:${UBSAN_OPTIONS-}

export CK_TAP_LOG_FILE_NAME CK_VERBOSITY CK_DEFAULT_TIMEOUT PATH LC_ALL TMPDIR
export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_rmaps_base_oversubscribe
export OMPI_MCA_pml OMPI_MCA_mpi_yield_when_idle OMPI_MCA_ess_singleton_isolated
export OMPI_MCA_btl_vader_single_copy_mechanism PRTE_MCA_rmaps_default_mapping_policy
export HWLOC_PLUGINS_PATH ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS
