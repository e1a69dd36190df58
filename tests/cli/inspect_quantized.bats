#!/usr/bin/env bats
# mbrun inspect of quantized files: what each tensor is stored as, what that lost, and whether it is whole.
load helper

quantized() { # FORMAT
    fixture mlp
    "$MBRUN" quantize model.h5 -o q.h5 --force --format "$1" >/dev/null
}

@test "inspect shows format, size and loss of every tensor of a quantized file" {
    quantized int8
    run -0 "$MBRUN" inspect q.h5
    grep -q '^quantized *int8' <<<"$output"
    grep -q '^stored *weights .* times their .* of float32; 8\.[0-9]* bits a weight' <<<"$output"
    [ "$(grep -c ' int8 ' <<<"$output")" -ge 3 ]
    grep -q '^tensor .*SQNR dB' <<<"$output"
    grep -q '^parent *[0-9a-f]\{16\}$' <<<"$output"
}

@test "inspect shows nothing of the kind for a plain file" {
    fixture mlp
    run -0 "$MBRUN" inspect model.h5
    ! grep -q '^quantized\|^stored\|SQNR' <<<"$output"
}

@test "inspect --json has the report, and each tensor's format, bytes, loss and checksum" {
    quantized int4:offset
    "$MBRUN" inspect --json q.h5 >q.json
    json 'value["quantized"] == "int4:offset" and value["report"]["bytes_after"] > 0' <q.json
    json '[w["format"] for w in value["weights"] if len(w["shape"]) > 1] == 3 * ["int4:offset"]' <q.json
    json 'all(0 < w["sqnr_db"] < 60 and len(w["crc32c"]) == 8 for w in value["weights"] if "crc32c" in w)' \
        <q.json
    json 'sum(w["bytes"] for w in value["weights"]) == value["weight_bytes"] == value["report"]["bytes_after"]' \
        <q.json
}

@test "inspect --digest of a quantized file is that of the float32 file that it expands to" {
    fixture mlp
    parent=$("$MBRUN" inspect --digest model.h5 | awk '$1 == "weights" { print $2 }')
    for format in fp16 e3m4 rounded int8:block=32 int4:offset; do
        "$MBRUN" quantize model.h5 -o q.h5 --force --format $format
        "$MBRUN" quantize q.h5 -o wide.h5 --force --format fp32
        "$MBRUN" inspect --digest q.h5 >q.digest
        [ "$(grep ^weights q.digest)" = "$("$MBRUN" inspect --digest wide.h5 | grep ^weights)" ]
        [ "$(awk '$1 == "parent" { print $2 }' q.digest)" = "$parent" ]
        [ "$(awk '$1 == "weights" { print $2 }' q.digest)" != "$parent" ]
    done
}

@test "inspect --verify checks every tensor's own checksum" {
    for format in bf16 rounded int8 int4; do
        quantized $format
        run -0 "$MBRUN" inspect --verify q.h5
        grep -q 'the checksums of 3 encoded tensors hold' <<<"$output"
    done
}

@test "a quantized file with any byte changed does not verify" {
    quantized int4
    bytes=$(wc -c <q.h5)
    for i in 1 2 3 4 5 6 7 8 9; do
        cp q.h5 bad.h5
        at=$((bytes * i / 10))
        byte=$(od -An -tu1 -j $at -N 1 q.h5)
        printf "\\x$(printf %02x $((byte ^ 64)))" | dd of=bad.h5 bs=1 seek=$at conv=notrunc status=none
        refused 1 'seal is broken' 1 inspect --verify bad.h5
    done
}

@test "settings are recorded inside a quantized file, which still verifies" {
    quantized int8
    before=$("$MBRUN" inspect --digest q.h5)
    run -0 "$MBRUN" configure q.h5 --batch 16
    run -0 "$MBRUN" inspect --verify q.h5
    [ "$("$MBRUN" inspect --digest q.h5)" = "$before" ]
}
