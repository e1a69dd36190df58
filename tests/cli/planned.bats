#!/usr/bin/env bats
# Every command runs on the device only what it planned; see tests/support/strict_device.h.

load helper

MBRUN_STRICT=$MB_BUILDDIR/tests/mbrun-deferred

strict() {
    local n=$1
    shift
    timeout -k 5 "$LIMIT" "$MPIEXEC" -n "$n" "$MBRUN_STRICT" "$@" --device strict
}

# commands FIXTURE: every command that computes, on one rank and in stages. Where tests are to be short: training and calibration in
# stages, which run all that the others do.
commands() {
    fixture "$1"
    if is_reduced; then
        strict 3 train model.h5 --data data.h5 --val data.h5 --steps 3 --run 3.run --quiet
        strict 3 quantize model.h5 -o g3.h5 --format int4 --method gptq --data data.h5
        return
    fi
    local n
    for n in 1 3; do
        strict $n train model.h5 --data data.h5 --val data.h5 --steps 3 --run $n.run --quiet
        strict $n train model.h5 --data data.h5 --steps 3 --run qat$n.run --qat int8 --quiet
        strict $n eval model.h5 --data data.h5
        strict $n predict model.h5 --data data.h5 -o p$n.h5
        strict $n quantize model.h5 -o q$n.h5 --format int8 --data data.h5
        strict $n quantize model.h5 -o g$n.h5 --format int4 --method gptq --data data.h5
        strict $n quantize model.h5 -o a$n.h5 --max-drop 5% --data data.h5
        strict $n eval q$n.h5 --data data.h5
        strict $n predict g$n.h5 --data data.h5 -o pg$n.h5
    done
}

@test "a model with regularizers on weights and outputs: every command runs what it planned" {
    commands regularized
}

@test "a convolutional model: every command runs what it planned" {
    commands cnn
}

@test "a transformer: every command runs what it planned" {
    commands gpt
}
