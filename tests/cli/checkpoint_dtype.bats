#!/usr/bin/env bats
# What final.h5 is stored as, what checkpoints keep of the moments, and which file a run goes on from.
load helper

options="--data data.h5 --replicas 2 --micro-batch 8 --checkpoint-every 4 --quiet"

weights() {
    "$MBRUN" inspect --digest "$1" | grep '^weights'
}


@test "every format is taken for final.h5, and the step checkpoint stays exact" {
    fixture mlp
    ranks 1 model.h5 $options --steps 4 --run exact.run
    for format in fp16 bf16 e3m4 int8 int8:tensor int8:block=64 int4 int4:block=64,offset rounded; do
        ranks 1 model.h5 $options --steps 4 --run $format.run --checkpoint-dtype $format
        [ "$(weights $format.run/step-00000004.h5)" = "$(weights exact.run/final.h5)" ]
        [ "$(weights $format.run/final.h5)" != "$(weights exact.run/final.h5)" ]
        run -0 "$MBRUN" inspect --verify $format.run/final.h5
        run -0 "$MBRUN" eval $format.run/final.h5 --data data.h5
        [ "$(stat -c %s $format.run/final.h5)" -lt "$(stat -c %s exact.run/final.h5)" ]
    done
}

@test "the ranks of any layout store the same final.h5" {
    fixture mlp
    for n in 1 2 3; do
        ranks $n model.h5 $options --steps 4 --run $n.run --checkpoint-dtype int4
    done
    ranks 2 model.h5 $options --steps 4 --run stages.run --checkpoint-dtype int4 --stages 2
    for run in 2 3 stages; do
        [ "$(digest 1.run/final.h5)" = "$(digest $run.run/final.h5)" ]
    done
}

@test "the file names its float32 parent" {
    fixture mlp
    ranks 2 model.h5 $options --steps 4 --checkpoint-dtype int8 --stages 2
    parent=$(weights model.run/step-00000004.h5)
    "$MBRUN" inspect --digest model.run/final.h5 | grep -q "^parent *${parent##* }\$"
}

@test "a longer run goes on from exact weights" {
    fixture mlp
    ranks 1 model.h5 $options --steps 8 --run whole.run
    ranks 1 model.h5 $options --steps 4 --run parts.run --checkpoint-dtype int4
    ranks 2 model.h5 $options --steps 8 --run parts.run --checkpoint-dtype fp32
    [ "$(digest whole.run/final.h5)" = "$(digest parts.run/final.h5)" ]
}

@test "a damaged last checkpoint is trained anew, not replaced by a quantized final.h5" {
    fixture mlp
    ranks 1 model.h5 $options --steps 8 --checkpoint-dtype int4
    before=$(digest model.run/final.h5)
    truncate -s -100 model.run/step-00000008.h5
    ranks 1 model.h5 $options --steps 8 --checkpoint-dtype int4
    [ "$before" = "$(digest model.run/final.h5)" ]
    [ "$(weights model.run/step-00000008.h5)" != "$(weights model.run/final.h5)" ]
}

@test "a finished run says so, and writes final.h5 anew when it is to be stored otherwise" {
    fixture mlp
    ranks 1 model.h5 $options --steps 4 --checkpoint-dtype int8
    before=$(digest model.run/final.h5)
    run -0 ranks 1 model.h5 --data data.h5 --steps 4
    grep -q 'finished: 4 of 4 steps' <<<"$output"
    [ "$before" = "$(digest model.run/final.h5)" ]
    ranks 1 model.h5 $options --steps 4 --checkpoint-dtype fp32
    [ "$(weights model.run/final.h5)" = "$(weights model.run/step-00000004.h5)" ]
}

@test "without its step checkpoints a run with a quantized final.h5 is finished, and cannot go on" {
    fixture mlp
    ranks 1 model.h5 $options --steps 4 --checkpoint-dtype int8
    rm model.run/step-*.h5
    run -0 ranks 1 model.h5 --data data.h5 --steps 4
    grep -q 'finished: 4 of 4 steps' <<<"$output"
    refused 2 'final.h5: its weights are quantized (int8)' 2 model.h5 $options --steps 8
}

@test "a quantized file is not trained on, and the message says what to do" {
    fixture mlp
    ranks 1 model.h5 $options --steps 4 --checkpoint-dtype bf16
    both 2 'quantized (bf16).*mbrun quantize .* --format fp32' model.run/final.h5 --data data.h5
    [ ! -e model.run/final.run ]
}

@test "weights that a format cannot hold are named, and the exact checkpoint is there" {
    fixture mlp
    both 1 "final.h5: tensor 'sequential/dense/kernel'" model.h5 --data data.h5 --steps 1 --quiet \
        --optimizer sgd --lr 1e9 --checkpoint-dtype fp16
    run -0 "$MBRUN" inspect --verify model.run/step-00000001.h5
    [ "$(find model.run -name 'final*' | wc -l)" -eq 0 ]
    [ "$(find model.run -name '*tmp*' | wc -l)" -eq 0 ]
    ranks 1 model.h5 --data data.h5 --steps 1 --quiet --checkpoint-dtype bf16
    run -0 "$MBRUN" inspect --verify model.run/final.h5
}

@test "formats that there are not are refused before anything starts" {
    fixture mlp
    refused 2 "setting 'checkpoint-dtype': format 'int5'.*int8" 1 model.h5 --data data.h5 \
        --checkpoint-dtype int5
    refused 2 "setting 'moments': 'int4' is not fp32 or int8" 1 model.h5 --data data.h5 \
        --moments int4
    refused 2 "setting 'qat'.*not to fp16" 1 model.h5 --data data.h5 --qat fp16
    refused 2 "setting 'qat'.*not to int4:offset" 3 model.h5 --data data.h5 --qat int4:offset
    refused 2 "keras-optimizer.*moments int8" 1 model.h5 --data data.h5 --moments int8 \
        --keras-optimizer
    refused 2 "no option '--activations'" 1 model.h5 --data data.h5 --activations float
    [ ! -e model.run ]
}

@test "moments and qat belong to a run: going on with others is refused" {
    fixture mlp
    ranks 1 model.h5 $options --steps 4 --moments int8 --qat int8:channel
    refused 2 'begun with moments int8' 1 model.h5 $options --steps 8 --moments fp32
    refused 2 'begun with qat int8' 1 model.h5 $options --steps 8 --qat int4
    ranks 1 model.h5 $options --steps 8
    ranks 1 model.h5 $options --steps 12 --qat int8
    [ "$(field step model.run/metrics.jsonl)" -eq 12 ]
}

@test "what is given up is said at the start" {
    fixture mlp
    run -0 ranks 1 model.h5 --data data.h5 --steps 1 --moments int8 --run a.run
    grep -q "note .*moments in 8 bits" <<<"$output"
    run -0 ranks 1 model.h5 --data data.h5 --steps 1 --qat int4 --run b.run
    grep -q "note .*rounded to int4.*float32: --checkpoint-dtype int4" <<<"$output"
    run -0 ranks 1 model.h5 --data data.h5 --steps 1 --checkpoint-dtype e3m4 --run c.run
    grep -q "note .*stores matrices as e3m4" <<<"$output"
}
