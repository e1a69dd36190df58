#!/usr/bin/env bats
# Keras files with one damaged bit: an error or the model, never a signal.

load helper

# flipped NAME OFFSET MASK: the fixture with bits of one byte turned over, as model.h5.
flipped() {
    fixture "$1"
    perl -e '($f, $at, $mask) = @ARGV; open F, "+<", $f or die; binmode F; seek F, $at, 0;
        read F, $b, 1; seek F, $at, 0; print F chr(ord($b) ^ $mask)' model.h5 "$2" "$3"
}

# Each of these ended mbrun by a signal with HDF5 1.10.8: in H5HG_read, but the last, in H5Aexists.
@test "one flipped bit in a Keras file is no crash" {
    while read -r name offset mask; do
        flipped $name $offset $mask
        run "$MBRUN" inspect model.h5
        echo "$name $offset $mask: $status $output"
        [ "$status" -le 1 ]
        [ "$status" -eq 0 ] || [ "$(grep -c '^mbrun: error: ' <<<"$output")" -eq 1 ]
    done <<END
gpt 51495 1
regularized 2075 1
shared 9490 8
cnn 7638 128
shared 17503 2
regularized 22534 128
regularized 1053 64
shared 10012 128
shared 839 128
cnn 917 32
END
}

@test "damage that HDF5 itself stumbles over is said once, on any number of ranks" {
    flipped shared 839 128
    both 1 'damaged or cut off' eval model.h5 --data data.h5
}

@test "so is damage in data that the model records" {
    flipped shared 839 128
    mv model.h5 damaged.h5
    fixture mlp
    "$MBRUN" configure model.h5 --data data.h5 --epochs 1
    mv damaged.h5 data.h5
    both 1 "'data.h5' is damaged or cut off" model.h5
    both 1 "'data.h5' is damaged or cut off" eval model.h5
}

@test "a crash of HDF5 that the probe did not see is one message too" {
    [ "${MB_SANITIZERS-no}" = no ] || skip "a sanitizer reports crashes by itself"
    fixture mlp
    LD_PRELOAD=$MB_BUILDDIR/tests/support/stumbling_hdf5.so
    export LD_PRELOAD
    both 1 "'model.h5' is damaged or cut off" eval model.h5 --data data.h5
    refused 1 "'model.h5' is damaged or cut off" 1 inspect model.h5
}
