#!/usr/bin/env bats
# mbrun quantize: formats, rules, what is refused, and that nothing depends on the ranks.
load helper

# number KEY: the first number of that key in a line of JSON on stdin.
number() {
    grep -o "\"$1\":[-0-9.e+]*" | head -n 1 | cut -d: -f2
}

quantize() {
    "$MBRUN" quantize "$@"
}

@test "every format is written, read by eval, and smaller in proportion" {
    fixture mlp
    # Bytes of the three kernels (784x64 + 64x48 + 48x10 = 53728 numbers) and 122 biases as fp32.
    for case in fp32:215400 fp16:107944 bf16:107944 e3m4:54216; do
        format=${case%:*}
        run -0 quantize model.h5 -o "$format.h5" --format "$format" --json
        [ "$(number bytes_after <<<"$output")" -gt 0 ]
        [ "$(grep -o '"bytes_after":[0-9]*,"bits_per_weight":[0-9.]*,"file' <<<"$output" |
            grep -o '[0-9]*' | head -n 1)" -eq "${case#*:}" ]
        run -0 "$MBRUN" eval "$format.h5" --data data.h5
    done
    for format in int8 int8:tensor int8:block=64 int4 int4:block=64,offset rounded rounded:bits=4; do
        run -0 quantize model.h5 -o "$format.h5" --format "$format" --data data.h5
        grep -q '^loss ' <<<"$output"
        run -0 "$MBRUN" inspect --verify "$format.h5"
        run -0 "$MBRUN" eval "$format.h5" --data data.h5
    done
}

@test "convolutions and attention are quantized and still run" {
    for model in cnn gpt; do
        fixture "$model"
        for format in e3m4 int8 int4; do
            run -0 quantize model.h5 -o "$format.h5" --format "$format" --force
            run -0 "$MBRUN" eval "$format.h5" --data data.h5
        done
    done
}

@test "what eval finds is what the report says, regularizers included" {
    for model in cnn regularized; do
        fixture "$model"
        said=$(quantize model.h5 -o "$model-q.h5" --format int8 --data data.h5 --json)
        before=$("$MBRUN" eval model.h5 --data data.h5 --json | number loss)
        after=$("$MBRUN" eval "$model-q.h5" --data data.h5 --json | number loss)
        echo "$before $after: $said"
        # Both sum the same losses in double, in another order of batches at most.
        awk -v a="$before" -v b="$(number loss_before <<<"$said")" \
            -v c="$after" -v d="$(number loss_after <<<"$said")" \
            'BEGIN { exit !((a - b) ^ 2 < 1e-12 * a * a && (c - d) ^ 2 < 1e-12 * c * c) }'
    done
}

@test "a dry run measures and writes nothing" {
    fixture mlp
    mkdir out
    run -0 quantize model.h5 --format int8 --dry-run
    grep -q 'nothing was written' <<<"$output"
    run -0 quantize model.h5 -o out/q.h5 --format int4 --dry-run --data data.h5 --json
    grep -q '"loss_after":[0-9]' <<<"$output"
    nothing_left out
}

@test "the report is one JSON object with all of it" {
    fixture mlp
    quantize model.h5 -o q.h5 --format int4 --data data.h5 --json | json '(value["data"]["compared"] == 640
        and len(value["tensors"]) == 6 and value["tensors"][0]["format"] == "int4"
        and value["tensors"][1]["format"] == "fp32" and value["sensitivities"] == []
        and 0 < value["data"]["agreement"] <= 1 and 0 <= value["data"]["mean_kl"] <= value["data"]["max_kl"]
        and len(value["parent_digest"]) == 16)'
}

@test "rules win over the format, the first that finds a name" {
    fixture gpt
    quantize model.h5 -o q.h5 --format int4 --rule 'WTE|wpe=fp16' --rule 'w=fp32' --rule 'ln=bf16' \
        --json >q.json
    line() { grep -o "\"tensor\":\"$1\",\"format\":\"[^\"]*\"" q.json | sed 's/.*:"//;s/"$//'; }
    [ "$(line wte/embeddings)" = fp16 ]
    [ "$(line ln_f/gamma)" = bf16 ]
    [ "$(line head/kernel)" = int4 ]
    [ "$(line h0_fc/bias)" = fp32 ]
    run -0 "$MBRUN" eval q.h5 --data data.h5
}

@test "rules that cannot hold are refused by name" {
    fixture mlp
    both 2 "rule '(' is no regular expression" quantize model.h5 -o q.h5 --format int8 --rule '(=fp16'
    both 2 "rule 'xyz=fp16' finds no tensor" quantize model.h5 -o q.h5 --format int8 --rule 'xyz=fp16'
    both 2 "rule 'bias=int8' finds no matrix" quantize model.h5 -o q.h5 --format int8 --rule 'bias=int8'
    both 2 "rule 'bias'.*REGEX=FORMAT" quantize model.h5 -o q.h5 --format int8 --rule 'bias'
    both 2 "rule 'bias=int9'.*int9" quantize model.h5 -o q.h5 --format int8 --rule 'bias=int9'
    [ ! -e q.h5 ]
}

@test "what is missing or impossible is refused" {
    fixture mlp
    both 2 'no format' quantize model.h5 -o q.h5
    both 2 'no file to write' quantize model.h5 --format int8
    both 2 'int9' quantize model.h5 -o q.h5 --format int9
    both 2 'foo' quantize model.h5 -o q.h5 --format int8 --method foo
    both 2 'method gptq.*--data' quantize model.h5 -o q.h5 --format int8 --method gptq
    both 2 'method awq.*--data' quantize model.h5 -o q.h5 --format int8 --method awq
    both 2 'chosen by the loss.*--data' quantize model.h5 -o q.h5 --max-drop 1%
    both 2 'target-size 30X' quantize model.h5 -o q.h5 --target-size 30X
    both 2 'max-drop -1%' quantize model.h5 -o q.h5 --max-drop=-1%
    both 2 'samples 0' quantize model.h5 -o q.h5 --format int8 --samples 0 --data data.h5
    both 1 'absent.h5' quantize absent.h5 -o q.h5 --format int8
    [ ! -e q.h5 ]
}

@test "the output is neither an input nor another file unless told" {
    fixture mlp
    before=$(digest model.h5)
    ln model.h5 same.h5
    both 2 'exists already' quantize model.h5 -o model.h5 --format int8
    both 2 'one of the inputs' quantize model.h5 -o same.h5 --format int8 --force
    both 2 'one of the inputs' quantize model.h5 -o data.h5 --format int8 --force --data data.h5
    [ "$before" = "$(digest model.h5)" ]
}

@test "a quantized file is quantized again only when asked for, and expands" {
    fixture mlp
    quantize model.h5 -o q.h5 --format int8
    parent=$(digest model.h5 | grep -o '[0-9a-f]\{16\}' | head -n 1)
    both 2 "q.h5 is quantized already (int8).*degrades.*$parent.*--again" \
        quantize q.h5 -o q2.h5 --format int4
    run -0 quantize q.h5 -o q2.h5 --format int4 --again
    run -0 quantize q.h5 -o wide.h5 --format fp32
    run -0 "$MBRUN" inspect wide.h5
    [[ ! $output =~ quantized ]]
    # Its numbers are those that the quantized file stands for.
    [ "$(digest q.h5 | head -n 1 | grep -o '[0-9a-f]\{16\}')" = \
      "$(digest wide.h5 | head -n 1 | grep -o '[0-9a-f]\{16\}')" ]
    run -0 ranks 1 wide.h5 --data data.h5 --steps 1
}

@test "the bytes do not depend on the ranks" {
    fixture cnn
    for method in nearest mse; do
        quantize model.h5 -o alone.h5 --format int4 --method $method --force
        for n in 2 3 7; do
            ranks $n quantize model.h5 -o many.h5 --format int4 --method $method --force
            cmp alone.h5 many.h5
        done
    done
    quantize model.h5 -o alone.h5 --format int4 --method gptq --data data.h5 --force
    ranks 3 quantize model.h5 -o many.h5 --format int4 --method gptq --data data.h5 --force
    cmp alone.h5 many.h5
}

@test "a layer that is called on several stages is quantized once" {
    fixture shared
    quantize model.h5 -o alone.h5 --format int4 --method gptq --data data.h5
    ranks 3 quantize model.h5 -o many.h5 --format int4 --method gptq --data data.h5
    cmp alone.h5 many.h5
}

@test "calibration loses less than rounding does" {
    ! is_reduced || skip "too slow"
    fixture gpt
    # By the outputs' distance from the float32 model's.
    divergence() {
        quantize model.h5 --dry-run --format int4 --method "$1" --data data.h5 --json | number mean_kl
    }
    nearest=$(divergence nearest) gptq=$(divergence gptq)
    echo "$nearest $gptq"
    awk -v a="$gptq" -v b="$nearest" 'BEGIN { exit !(a < b) }'
}

@test "--target-size is reached with the formats that cost least" {
    ! is_reduced || skip "too slow"
    fixture cnn
    run -0 quantize model.h5 -o q.h5 --target-size 12k --data data.h5 --json
    size=$(grep -o '"bytes_after":[0-9]*,"bits_per_weight":[0-9.]*,"file' <<<"$output" |
        grep -o '[0-9]*' | head -n 1)
    [ "$size" -le 12000 ]
    grep -q '"loss_rise"' <<<"$output"
    both 2 'do not get as small as' quantize model.h5 -o small.h5 --target-size 100 --data data.h5
    [ ! -e small.h5 ]
}

@test "--max-drop holds, alone and with a target" {
    ! is_reduced || skip "too slow"
    fixture cnn
    run -0 quantize model.h5 -o q.h5 --max-drop 1% --data data.h5 --json
    awk -v a="$(number loss_before <<<"$output")" -v b="$(number loss_after <<<"$output")" \
        'BEGIN { exit !(b <= 1.01 * a) }'
    run -0 ranks 2 quantize model.h5 -o many.h5 --max-drop 1% --data data.h5
    cmp q.h5 many.h5
    both 2 'do not go together' quantize model.h5 -o small.h5 --max-drop 0.0001% --target-size 6k \
        --data data.h5
    [ ! -e small.h5 ]
}

@test "a weight that is no number is refused by name" {
    python=
    for candidate in "$MB_KERAS_PYTHON" python3 /usr/bin/python3; do
        [ -z "$python" ] && "${candidate:-false}" -c 'import h5py' 2>/dev/null && python=$candidate
    done
    [ -n "$python" ] || skip "h5py is not installed"
    fixture mlp
    "$python" -c 'import h5py
with h5py.File("model.h5", "r+") as f:
    f["model_weights/dense_1/sequential/dense_1/kernel"][3, 5] = float("nan")'
    both 1 "dense_1/kernel" quantize model.h5 -o q.h5 --format int8
    [ ! -e q.h5 ]
}

@test "a full disk leaves nothing" {
    fixture mlp
    mkdir out disk
    mount -t tmpfs -o size=64k tmpfs disk 2>/dev/null || skip "a small file system needs root"
    for n in 1 3; do
        # The kernels take 105 KiB as fp16.
        refused 1 'disk/q.h5' $n quantize model.h5 -o disk/q.h5 --format fp16 || failed=yes
        nothing_left disk || failed=yes
    done
    umount disk
    [ -z "$failed" ]
    # Files of at most 32 blocks of 512 or 1024 bytes.
    run bash -c 'ulimit -f 32; exec "$MBRUN" quantize model.h5 -o out/q.h5 --format fp16'
    [ "$status" -eq 1 ]
    [ "$(grep -c '^mbrun: ' <<<"$output")" -eq 1 ]
    nothing_left out
}
