#!/bin/sh
# memcheck.sh BUILD [TEST ...]: the unit tests of parsers, of the store and of the library under valgrind, which sees what libraries without a
# sanitizer do with memory of ours, as HDF5 with a driver. Names behind BUILD take the place of the list.
set -u
build=$(cd "${1:?a build folder}" && pwd) source=$(cd "${0%/*}/../.." && pwd)
shift
[ $# -gt 0 ] || set -- test_config test_links test_zip test_npy test_h5_heap test_h5_image test_seal test_archive \
    test_model_file test_encoded_damaged test_run_dir test_source test_table test_images test_hardware test_schedule_actions \
    test_api_fuzz test_api_misuse test_api_model test_api_register test_api_planner test_api_files test_api_beside test_api_memory
failed=0
export MB_TEST_DATA=$source/tests/data MB_SRCDIR=$source MB_BUILDDIR=$build CK_FORK=no CK_DEFAULT_TIMEOUT=3600
export LD_LIBRARY_PATH=$build/.libs GLIBC_TUNABLES= MB_FUZZ_ROUNDS=${MB_FUZZ_ROUNDS-3}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_pml=ob1 OMPI_MCA_ess_singleton_isolated=1
for test; do
    nice -n 19 make -C "$build" -s "tests/unit/$test" >"$build/$test.log" 2>&1 || {
        echo "$test: cannot be built, see $build/$test.log" && failed=1 && continue
    }
    began=$(date +%s) program=$build/tests/unit/.libs/$test
    [ -x "$program" ] || program=$build/tests/unit/$test
    nice -n 19 timeout 1800 valgrind -q --num-callers=50 --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
        --suppressions="$source/tests/support/valgrind.supp" \
        "$program" >"$build/$test.log" 2>&1
    code=$?
    printf '%-22s exit %d, %d s\n' "$test" $code $(($(date +%s) - began))
    [ $code -eq 0 ] || failed=1
done
exit $failed
