#!/bin/sh
# The threads that write checkpoints beside the steps, under ThreadSanitizer: the unit test, and runs that save at
# every step, also with a failing disk. What MPI does by itself is left out.
#
#     tests/campaign/saving_threads.sh BUILD
#
# BUILD is made with the sanitizer if it is not there (some minutes). Ends with 1 if anything is reported.
[ $# -eq 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" && exit 2; }
source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1" && cd "$1" || exit 1
[ -e Makefile ] || "$source/configure" --disable-shared CFLAGS="-O1 -g -fsanitize=thread" CXXFLAGS="-O1 -g -fsanitize=thread" \
    LDFLAGS=-fsanitize=thread ${MB_CONFIGURE-} >configure.log 2>&1 || exit 1
make ${MB_MAKE--j2} mbrun tests/unit/test_beside tests/support/failing_io.so >make.log 2>&1 || exit 1
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
printf '%s\n' 'called_from_lib:libmpi' 'called_from_lib:libopen-pal' 'called_from_lib:libopen-rte' \
    'race:^opal_' 'race:^ompi_' 'race:mca_' 'mutex:mca_' 'called_from_lib:libpmix' \
    'called_from_lib:libevent_core' 'called_from_lib:libevent_pthreads' >"$scratch/suppressions"
export TSAN_OPTIONS="suppressions=$scratch/suppressions exitcode=66 halt_on_error=0" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
failed=0

check() { # NAME EXPECTED COMMAND...
    name=$1 expected=$2
    shift 2
    "$@" >"$scratch/out" 2>&1
    status=$?
    reports=$(grep -c 'WARNING: ThreadSanitizer' "$scratch/out")
    echo "$name: ends with $status, $reports reports"
    [ "$reports" -eq 0 ] && [ $status -eq "$expected" ] && return
    failed=1
    cat "$scratch/out"
}

CK_FORK=no check "the unit test" 0 tests/unit/test_beside
cp "$source/tests/fixtures/mlp.h5" "$scratch/model.h5" && cp "$source/tests/fixtures/mlp.ref.h5" "$scratch/data.h5"
set -- "$scratch/model.h5" --data "$scratch/data.h5" --batch 16 --replicas 2 --checkpoint-every 1 --quiet --run "$scratch/run"
check "a run" 0 ./mbrun "$@" --threads 2 --steps 40
check "a run on two ranks" 0 mpirun --oversubscribe -n 2 ./mbrun "$@" --restart --threads 1 --stages 2 --steps 40
check "a run whose disk fails" 0 env LD_PRELOAD="$PWD/tests/support/failing_io.so" MB_FAIL_DIR="$scratch/run" MB_FAIL_KIND=sync \
    MB_FAIL_AT=5 MB_FAIL_ERRNO=5 ./mbrun "$@" --restart --threads 2 --steps 40 --on-save-error continue
exit $failed
