# Sourced by the MPI tests: run_cases PROGRAM NP... runs a program of cases (cases.h) on each number of
# ranks and gives every case as a line of TAP. A job that fails without a case to blame, or prints
# none, is one more failed case.
count=0

run_cases() {
    program=$MB_BUILDDIR/tests/mpi/$1
    name=$1
    shift
    output=$(mktemp "${TMPDIR:-/tmp}/mb-mpi.XXXXXX")
    trap 'rm -f "$output"' EXIT
    for np in "$@"; do
        timeout -k 5 "${MB_MPI_TIMEOUT:-180}" "$MPIEXEC" -np "$np" "$program" >"$output"
        status=$?
        blamed=0 seen=0
        while read -r line; do
            case $line in
            'ok '*) ;;
            'not ok '*) blamed=1 ;;
            *) continue ;;
            esac
            count=$((count + 1)) seen=1
            echo "${line%%ok *}ok $count - ${line#*ok } ($np ranks)"
        done <"$output"
        if [ "$seen" -eq 0 ] || { [ "$status" -ne 0 ] && [ "$blamed" -eq 0 ]; }; then
            count=$((count + 1))
            echo "not ok $count - $name on $np ranks ends with status 0 (found $status)"
        fi
    done
}

if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
