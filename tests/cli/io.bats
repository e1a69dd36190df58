#!/usr/bin/env bats
# How checkpoints reach the disk: MPI-IO beside POSIX, hints, and what other file systems ask for.

load helper

SHIM=$MB_BUILDDIR/tests/support/failing_io.so
OTHER=$MB_BUILDDIR/tests/support/other_filesystem.so
export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0 # the shims stand before it, which is of no harm
options="model.h5 --data data.h5 --batch 16 --replicas 4 --threads 1 --partition counted --steps 4 \
    --checkpoint-every 2"

# told WORDS...: of a run whose directory seems to be on the file system MB_FILESYSTEM.
told() {
    timeout -k 5 "$LIMIT" env LD_PRELOAD="$OTHER" "$MBRUN" $options "$@"
}

@test "MPI-IO writes the bytes that POSIX writes, on any ranks, shared out or not" {
    fixture mlp
    ranks 1 $options --quiet --run posix --checkpoint-mode sync
    while read -r n words; do
        # shellcheck disable=SC2086
        ranks "$n" $options --quiet --run "mpi$n$words" --io mpi-io $words </dev/null
        [ "$(digest "mpi$n$words/final.h5")" = "$(digest posix/final.h5)" ]
    done <<END
1
2 --zero=1
3
2 --io-hints=cb_nodes=1
END
    cmp posix/step-00000002.h5 mpi1/step-00000002.h5 # cores, which others have fewer of, are in the record
}

@test "writers of a node take turns, and tensors stand apart, to the same weights" {
    fixture mlp
    ranks 1 $options --quiet --run one --io-hints align=64KiB,writers_per_node=1
    ranks 3 $options --quiet --run three --io-hints align=64KiB,writers_per_node=1 --checkpoint-mode sync
    [ "$(digest one/final.h5)" = "$(digest three/final.h5)" ]
    "$MBRUN" inspect --verify three/step-00000002.h5
    ranks 1 $options --quiet --run packed
    [ "$(digest one/final.h5)" = "$(digest packed/final.h5)" ]
    ! cmp -s one/final.h5 packed/final.h5
    ! ls /dev/shm/mbrun-* 2>/dev/null
}

# Open MPI 4.1 says success there: what is looked at is how much was written, or what can be read.
@test "a full disk under MPI-IO ends the run on all ranks with one message, and the one before stays" {
    fixture mlp
    ranks 1 $options --quiet --run begun --steps 2
    rm begun/final.h5
    while read -r rank k words reason; do
        rm -rf run
        cp -r begun run
        # shellcheck disable=SC2086
        run timeout -k 5 "$LIMIT" "$MPIEXEC" -n 2 env LD_PRELOAD="$SHIM" MB_FAIL_DIR="$PWD/run" \
            MB_FAIL_RANK=$rank MB_FAIL_KIND=write MB_FAIL_AT=$k MB_FAIL_ERRNO=28 \
            "$MBRUN" $options --quiet --run run --io mpi-io --stages 2 ${words/none/} </dev/null
        echo "$rank $k: $output"
        [ "$status" -eq 1 ]
        [ "$(grep -c '^mbrun: ' <<<"$output")" -eq 1 ]
        grep -q "^mbrun: error: .*cannot write by MPI-IO 'run/step-00000004.*$reason" <<<"$output"
        "$MBRUN" inspect --verify run/step-00000002.h5
        [ ! -e run/step-00000004.h5 ]
        ! ls run/*.tmp* 2>/dev/null
    done <<END
0 10 none No space left on device; free space
1 1 none No space left on device; free space
1 1 --io-hints=cb_nodes=1 is the disk full
END
}

@test "what cannot be is refused" {
    fixture mlp
    refused 2 "io: 'fast' is not posix or mpi-io" 1 $options --io fast
    refused 2 "no hint 'cb_node': do you mean 'cb_nodes'" 1 $options --io mpi-io --io-hints cb_node=4
    refused 2 "cb_nodes is a hint to MPI-IO; use --io mpi-io" 1 $options --io-hints cb_nodes=4
    refused 2 "align: '5000' is not 0 or a multiple of 4KiB" 1 $options --io-hints align=5000
    refused 2 "steps wait for a checkpoint" 1 $options --io mpi-io --checkpoint-mode async
    cp model.h5 other.h5
    refused 2 "several models" 1 --models model.h5,other.h5 ${options/model.h5/} --io mpi-io
}

@test "a hint that nobody reads is named once" {
    fixture mlp
    run ranks 2 $options --run run --io mpi-io --io-hints cb_nodes=1,romio_cb_pfr=enable
    echo "$output"
    [ "$status" -eq 0 ]
    if "$MPIEXEC" --version 2>&1 | grep -q 'Open MPI'; then
        [ "$(grep -c 'warning: io-hints: this MPI-IO takes no romio_cb_pfr: it changes nothing' <<<"$output")" -eq 1 ]
    fi
}

@test "on Lustre, GPFS and NFS tensors stand apart, and Lustre's stripes are set" {
    fixture mlp
    export MB_STRIPES=$PWD/stripes
    MB_FILESYSTEM=0x0BD00BD0 told --run lustre --io-hints striping_unit=4MiB,striping_factor=-1 >said 2>&1
    grep -q 'on Lustre: in checkpoints tensors .* of 32 MiB and more on multiples of 4 MiB' said
    [ "$(cat stripes)" = "$PWD/lustre 4194304 -1" ]
    MB_FILESYSTEM=0x47504653 told --run gpfs >said 2>&1
    grep -q 'on GPFS: in checkpoints' said
    MB_FILESYSTEM=0x6969 told --run nfs --io-hints striping_factor=4 >said 2>&1
    grep -q 'on NFS: in checkpoints tensors begin on pages of their own' said
    [ "$(grep -c 'striping_factor are for Lustre, and .* is on NFS: they change nothing' said)" -eq 1 ]
    MB_FILESYSTEM=0xEF53 told --run ext >said 2>&1
    ! grep -q 'in checkpoints' said
    [ "$(wc -l <stripes)" -eq 1 ]
    for run in lustre gpfs nfs; do
        [ "$(digest $run/final.h5)" = "$(digest ext/final.h5)" ]
    done
}
