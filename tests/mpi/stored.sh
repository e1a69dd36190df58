#!/bin/sh
# Quantized files give the same bits on every layout, whatever they are stored as: over MPI on the device that
# keeps its memory apart, and on the CPU with all ranks in one process (ranks.h).
count=0

if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
export OMP_WAIT_POLICY=passive
export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0 # see leaks.h

scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-stored.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT

quantize() { # MODEL FORMAT [OPTION...]: adds the file's name to names
    model=$1 format=$2
    shift 2
    name=$model-$(echo "$format" | tr ':=,' '___')
    case $* in *awq*) name=$name-awq ;; esac
    "$MBRUN" quantize "$MB_SRCDIR/tests/fixtures/$model.h5" -o "$scratch/$name.h5" \
        --force --format "$format" "$@" >"$scratch/out" 2>&1 || {
        sed 's/^/# /' "$scratch/out"
        echo "Bail out! $model cannot be quantized to $format"
        exit 1
    }
    names="$names $name"
}

check() { # DEVICE LAUNCHER...: all of names
    device=$1
    shift
    timeout -k 5 "${MB_LAYOUTS_TIMEOUT:-600}" "$@" \
        "$MB_BUILDDIR/tests/mpi/test_stored" "$scratch" "$device" $names >"$scratch/out"
    status=$?
    blamed=0
    while read -r line; do
        case $line in
        'ok '*) ;;
        'not ok '*) blamed=1 ;;
        *) continue ;;
        esac
        count=$((count + 1))
        echo "${line%%ok *}ok $count - ${line#*ok }"
    done <"$scratch/out"
    if [ "$status" -ne 0 ] && [ "$blamed" -eq 0 ]; then
        count=$((count + 1))
        echo "not ok $count - test_stored $device ends with status 0 (found $status)"
    fi
}

# Under the sanitizers one file of each kind of kernel is enough.
all='fp16 bf16 e3m4 int8 int8:tensor int8:block=32 int4 int4:block=64,offset rounded'
few='int8 int4'
floats='bf16 int8:block=32'
[ -z "${MB_TEST_REDUCED-}" ] || { all='bf16 int8 int4:block=64,offset' few=int8 floats=int8:block=32; }

names=
for format in $all; do
    quantize mlp "$format"
done
quantize mlp int4 --method awq --data "$MB_SRCDIR/tests/fixtures/mlp.ref.h5"
quantize regularized int4
quantize gpt int4
check deferred "$MPIEXEC" -np 4
names=
for format in $few; do
    quantize shared "$format"
done
for format in $few $floats; do
    quantize cnn "$format"
    quantize gpt "$format"
done
quantize regularized int8
check cpu env MB_TEST_RANKS=4
echo "1..$count"
