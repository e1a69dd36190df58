#!/bin/sh
# threads.sh BUILD [TEST ...]: what runs on several threads without MPI, under ThreadSanitizer: prefetching, the pool of image
# decoders, the team that computes, and operations on it. The test programs are built here; BUILD comes from
#     mkdir threads && cd threads
#     ../configure --disable-shared CFLAGS='-O1 -g -fsanitize=thread'
# Libraries that are not instrumented (OpenMP's, oneDNN) are left out by tests/support/tsan.supp.
set -u
build=$(cd "${1:?a build folder}" && pwd) source=$(cd "${0%/*}/../.." && pwd)
shift
[ $# -gt 0 ] || set -- test_prefetch test_images test_team test_op_threads test_table test_tokens test_account
failed=0
export TSAN_OPTIONS="halt_on_error=0:exitcode=66:suppressions=$source/tests/support/tsan.supp:${TSAN_OPTIONS-}"
export MB_TEST_DATA=$source/tests/data MB_SRCDIR=$source MB_BUILDDIR=$build CK_FORK=no CK_DEFAULT_TIMEOUT=600
for test; do
    nice -n 19 make -C "$build" -s "tests/unit/$test" >"$build/$test.log" 2>&1 || {
        echo "$test: cannot be built, see $build/$test.log" && failed=1 && continue
    }
    began=$(date +%s)
    nice -n 19 timeout 900 "$build/tests/unit/$test" >"$build/$test.log" 2>&1
    code=$? races=$(grep -c 'WARNING: ThreadSanitizer' "$build/$test.log")
    printf '%-16s exit %d, %d reports, %d s\n' "$test" $code "$races" $(($(date +%s) - began))
    [ $code -eq 0 ] && [ "$races" -eq 0 ] || failed=1
done
exit $failed
