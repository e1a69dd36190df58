#!/bin/sh
# What older processors choose, other kernels and other workspaces, in a short form: layouts, bytes and
# trajectories, convolutions against plain loops and attention against its formulas, with oneDNN held
# down to AVX2 and to SSE4.1.
. "$MB_SRCDIR/tests/mpi/layouts_lib.sh"

# named ISA FILE: its lines again, saying where they were run.
named() {
    while read -r line; do
        case $line in
        'ok '* | 'not ok '*)
            count=$((count + 1))
            echo "${line%%ok *}ok $count - ${line#* - } under $1"
            ;;
        esac
    done <"$2"
}

# What a plan counts is asked of one of them: both choose other workspaces than newer processors.
short_form() {
    job=4
    in_process cpu 1 cnn
    [ "$DNNL_MAX_CPU_ISA" != AVX2 ] || { in_process cpu 1 gpt && run_bytes; }
    (count=0 && . "$MB_SRCDIR/tests/mpi/cases.sh" && run_cases test_trajectory 1)
    "$MB_BUILDDIR/tests/unit/test_layer_windows" | sed 's/- .*:cases:/- /'
    "$MB_BUILDDIR/tests/unit/test_op_attention_sizes" | sed 's/- .*:sizes:/- /'
}

for isa in AVX2 SSE41; do
    export DNNL_MAX_CPU_ISA=$isa
    rm -rf "$scratch/bytes"
    (count=0 && trap - EXIT && short_form) >"$scratch/$isa"
    named $isa "$scratch/$isa"
done
echo "1..$count"
