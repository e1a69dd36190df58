#!/usr/bin/env bats
# Wrong input: one message, the right exit code, all ranks together, nothing half-written.
load helper

@test "a model file that is missing" {
    both 1 'nothing.h5' nothing.h5 --data data.h5
    both 1 'nothing.h5' eval nothing.h5 --data data.h5
    both 1 'nothing.h5' predict nothing.h5 --data data.h5 -o out.h5
    both 1 'nothing.h5' inspect nothing.h5
    both 1 'nothing.h5' configure nothing.h5 --epochs 3
    nothing_left .
}

@test "a model file that is not HDF5" {
    fixture mlp
    printf 'this is text, and long enough to be looked at in earnest\n' >text.h5
    both 1 'text.h5.*HDF5' text.h5 --data data.h5
    both 1 'text.h5.*HDF5' inspect text.h5
    nothing_left text.run
}

@test "a model file of no bytes" {
    fixture mlp
    : >empty.h5
    both 1 'empty.h5' empty.h5 --data data.h5
}

@test "a model file that was cut off" {
    fixture mlp
    for bytes in 90 3000 100000; do
        head -c $bytes "$FIXTURES/mlp.h5" >short.h5
        both 1 'short.h5' short.h5 --data data.h5
    done
    nothing_left short.run
}

@test "a model file without model_config" {
    fixture mlp
    in_file model.h5 model_config model_donfig
    both 1 'model.h5.*model_config' model.h5 --data data.h5
    nothing_left model.run
}

@test "a data file given as the model" {
    fixture mlp
    both 1 'data.h5.*model_config' data.h5 --data data.h5
}

@test "a model_config that is no JSON" {
    fixture mlp
    in_file model.h5 '"class_name": "Sequential"' '"class_name"; "Sequential"'
    both 1 'model.h5.*JSON at line 1' model.h5 --data data.h5
}

@test "a model_config nested absurdly deep" {
    fixture cnn
    LC_ALL=C perl -0777 -pi -e 's/(\{"module": "keras.*?"compile_config")/"[" x length $1/e ||
        s/("class_name": "Sequential".{2500})/"[" x length $1/e' model.h5
    both 1 'model.h5.*JSON' model.h5 --data data.h5
}

@test "a layer that this build does not have" {
    fixture mlp
    in_file model.h5 '"class_name": "Dense"' '"class_name": "Dunse"'
    both 1 "Dunse" model.h5 --data data.h5
    nothing_left model.run
}

@test "weights whose shape disagrees with the config" {
    fixture mlp
    in_file model.h5 '"units": 48' '"units": 47'
    both 1 "model.h5.*shape.*(64, 48).*(64, 47)" model.h5 --data data.h5
    nothing_left model.run
}

@test "data that is missing" {
    fixture mlp
    both 1 'nodata.h5' model.h5 --data nodata.h5
    both 1 'nodata.h5' eval model.h5 --data nodata.h5
    both 1 'nodata.h5' predict model.h5 --data nodata.h5 -o out.h5
    [ ! -e out.h5 ]
    nothing_left model.run
}

@test "no data at all" {
    fixture mlp
    both 2 'model.h5: no data to train on' model.h5
    both 2 'model.h5: no data to evaluate on' eval model.h5
}

@test "data of another shape than the model's" {
    fixture mlp
    images 8 27 27 >x-images-idx3-ubyte
    labels 8 '\1' >x-labels-idx1-ubyte
    both 1 '(27, 27).*(28, 28, 1)\|(28, 28, 1).*(27, 27)' model.h5 --data x-images-idx3-ubyte
    nothing_left model.run
}

@test "labels outside the classes" {
    fixture mlp
    images 64 28 28 >x-images-idx3-ubyte
    labels 64 '\12' >x-labels-idx1-ubyte
    both 1 'x-labels-idx1-ubyte.*sample [0-9]*:.*10.*0 to 9' model.h5 --data x-images-idx3-ubyte
    nothing_left model.run
}

@test "as many labels as images are wanted" {
    fixture mlp
    images 8 28 28 >x-images-idx3-ubyte
    labels 7 '\1' >x-labels-idx1-ubyte
    both 1 'x-images-idx3-ubyte.* 8 .* 7 ' model.h5 --data x-images-idx3-ubyte
}

@test "NaN in the data" {
    fixture mlp
    { idx 13 40 28 28 && head -c $((40 * 784 * 4 - 4)) /dev/zero && printf '\177\300\0\0'; } \
        >x-images-idx3-ubyte
    labels 40 '\1' >x-labels-idx1-ubyte
    both 1 'x-images-idx3-ubyte.*sample 39' model.h5 --data x-images-idx3-ubyte
    both 1 'x-images-idx3-ubyte.*sample 39' eval model.h5 --data x-images-idx3-ubyte
    both 1 'x-images-idx3-ubyte.*sample 39' predict model.h5 --data x-images-idx3-ubyte -o out.h5
    nothing_left model.run
    [ ! -e out.h5 ]
}

@test "NaN in the loss names the step" {
    fixture mlp
    both 1 'step [2-9] .*loss' model.h5 --data data.h5 --lr 1e38 --restart
    nothing_left model.run
    [ -f model.run/metrics.jsonl ]
    grep -q '^mbrun: error: step' model.run/log.txt
}

@test "more stages than the model has nodes" {
    "$MBRUN" new mlp -o tiny.h5 input=28x28x1 hidden=none
    cp "$FIXTURES/mlp.ref.h5" data.h5
    refused 2 'at most . stages, not 3' 3 tiny.h5 --data data.h5 --stages 3
    refused 2 'stages need 9 ranks' 3 tiny.h5 --data data.h5 --stages 9
    refused 2 'stages need 9 ranks' 1 tiny.h5 --data data.h5 --stages 9
    nothing_left tiny.run
}

@test "a run directory that cannot be made" {
    fixture mlp
    : >file
    both 1 'file/run' model.h5 --data data.h5 --run file/run
    both 1 'no/such/parent' model.h5 --data data.h5 --run no/such/parent
}

@test "a run directory without permission to write" {
    [ "$(id -u)" -ne 0 ] || skip "root may write everywhere"
    fixture mlp
    mkdir sealed && chmod a-w sealed
    both 1 'sealed' model.h5 --data data.h5 --run sealed
}

@test "an output that cannot be written" {
    fixture mlp
    : >file
    both 1 'file/out.h5' predict model.h5 --data data.h5 -o file/out.h5
    both 1 'file/out.h5' new mlp -o file/out.h5
    refused 1 'file/out.h5' 1 configure model.h5 --epochs 2 -o file/out.h5
    images 8 4 4 >x-images-idx3-ubyte
    refused 1 'file/out.h5' 1 data x-images-idx3-ubyte -o file/out.h5
}

@test "an output that would replace an input" {
    fixture mlp
    before=$(cksum model.h5 data.h5)
    both 2 'one of the inputs' predict model.h5 --data data.h5 -o model.h5
    both 2 'one of the inputs' predict model.h5 --data data.h5 -o data.h5
    [ "$before" = "$(cksum model.h5 data.h5)" ]
}

@test "a full disk leaves the last checkpoint and nothing half-written" {
    fixture mlp
    mkdir disk
    mount -t tmpfs -o size=1200k tmpfs disk 2>/dev/null || skip "a small file system needs root"
    for n in 1 3; do
        rm -rf disk/run
        run ranks $n model.h5 --data data.h5 --run disk/run --checkpoint-every 1 --keep 9
        echo "$output"
        df disk | tail -n 1
        left=$(ls disk/run)
        echo "$left"
        damaged=0
        for file in disk/run/step-*.h5; do
            "$MBRUN" inspect --verify "$file" || damaged=1
        done
        [ "$status" -eq 1 ] || break
        [ "$(grep -c '^mbrun: ' <<<"$output")" -eq 1 ] || break
        grep -qi 'disk/run.*space' <<<"$output" || break
        [ "$damaged" -eq 0 ] || break
        [[ $left != *tmp* && $left == *step-00000001.h5* ]] || break
        n=done
    done
    umount disk
    [ "$n" = done ]
}

@test "a file size limit is an error, not a signal" {
    fixture mlp
    limited() { (
        ulimit -f 100
        ranks 1 "$@"
    ); }
    run limited predict model.h5 --data data.h5 -o out.h5
    echo "$output"
    run limited configure model.h5 --epochs 3 -o copy.h5
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(grep -c '^mbrun: error: ' <<<"$output")" -eq 1 ]
    [ ! -e copy.h5 ]
    run limited model.h5 --data data.h5
    echo "$output"
    [ "$status" -eq 1 ]
    [ "$(grep -c '^mbrun: error: ' <<<"$output")" -eq 1 ]
    nothing_left model.run
}

@test "a second start in the same directory names the owner" {
    fixture mlp
    "$MBRUN" model.h5 --data data.h5 --epochs 100000 --quiet 3>&- &
    first=$!
    wait_for 30 test -s model.run/metrics.jsonl
    for n in 1 3; do
        refused 1 "model.run.*$first" $n model.h5 --data data.h5 --epochs 100000 || break
        n=done
    done
    kill -USR1 $first
    code=0
    wait $first || code=$?
    [ "$n" = done ]
    [ $code -eq 85 ]
    [ ! -e model.run/lease ]
}

@test "a loss that is not computed, and what to do instead" {
    fixture mlp
    both 1 "loss 'ctc' is not computed: .*sparse_categorical_crossentropy" \
        model.h5 --data data.h5 --loss ctc
    both 1 "loss circle .*--micro-batch 32 --replicas 1" \
        model.h5 --data data.h5 --loss circle --batch 32 --micro-batch 8 --replicas 1
    both 1 "class-weight=0=2: loss circle compares samples" \
        model.h5 --data data.h5 --loss circle --class-weight 0=2
    both 1 "dice.*--micro-batch 32 --replicas 1" \
        model.h5 --data data.h5 --loss dice --batch 32 --micro-batch 8 --replicas 1
    both 1 "key 'delta' must be a number" model.h5 --data data.h5 --loss huber:delta=x
    both 1 "reduction 'none'" model.h5 --data data.h5 --loss mse:reduction=none
    nothing_left model.run
}

@test "weights of classes that are none" {
    fixture mlp
    both 2 "class-weight=10=2: '10=2' does not begin with a class from 0 to 9" \
        model.h5 --data data.h5 --class-weight 10=2
    both 2 "'1=heavy' does not end with a number" \
        model.h5 --data data.h5 --class-weight 0=1,1=heavy
    both 1 "labels of loss mean_squared_error are not one class a sample" \
        model.h5 --data data.h5 --loss mse --class-weight 0=1
    nothing_left model.run
}

@test "weights of classes change what is learned" {
    fixture mlp
    for weights in 0=1 0=1,1=1 3=4; do
        ranks 1 model.h5 --data data.h5 --steps 2 --quiet --class-weight $weights --run w$weights.run
    done
    [ "$(digest w0=1.run/final.h5)" = "$(digest w0=1,1=1.run/final.h5)" ]
    [ "$(digest w0=1.run/final.h5)" != "$(digest w3=4.run/final.h5)" ]
}

@test "ranks that a launcher started and MPI left alone are refused before they write" {
    fixture mlp
    SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 refused 1 'srun started 4 processes .*--mpi=pmix.*--mpi=list' 1 \
        model.h5 --data data.h5
    PMI_SIZE=3 PMI_RANK=0 refused 1 'PMI_SIZE=3.* each of them is alone' 1 model.h5 --data data.h5
    run env PMI_SIZE=3 PMI_RANK=2 "$MBRUN" model.h5 --data data.h5
    [ "$status" -eq 1 ] && [ -z "$output" ]
    [ ! -e model.run ]
    PMI_SIZE=1 PMI_RANK=0 ranks 1 model.h5 --data data.h5 --steps 1
}
