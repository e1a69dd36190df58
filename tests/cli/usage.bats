#!/usr/bin/env bats
# The command line itself: help, spelling, values, exit codes.
load helper

@test "help names every command, and each command's help its usage" {
    run "$MBRUN" --help
    [ "$status" -eq 0 ]
    for command in train eval predict quantize inspect configure convert data new plan submit supervise info; do
        grep -q "^  $command " <<<"$output"
        run -0 "$MBRUN" $command --help
        [ "${lines[0]#Usage: mbrun $command }" != "${lines[0]}" ]
        grep -q '^Options:' <<<"$output"
        first=$output
        run -0 "$MBRUN" help $command
        [ "$output" = "$first" ]
        run -0 "$MBRUN" --help
    done
}

@test "the help of train has every setting and what it is by default" {
    run -0 "$MBRUN" train --help
    for key in data val val-split run epochs steps batch micro-batch replicas stages schedule \
        shuffle no-shuffle seed optimizer lr lr-schedule weight-decay clip loss class-weight checkpoint-every \
        keep keras-optimizer device threads bind deadline max-time restart json quiet; do
        grep -q -- "--$key\b" <<<"$output" || { echo "no --$key"; return 1; }
    done
    grep -q -- '--batch G .*(default: 32)' <<<"$output"
}

@test "help needs no other option to be right" {
    run -0 "$MBRUN" train --help --epochs
    run -0 "$MBRUN" predict --help
    run -0 "$MBRUN" model.h5 -h
}

@test "the version is one line" {
    run -0 "$MBRUN" --version
    [ "${#lines[@]}" -eq 1 ]
    [[ $output =~ ^mbrun\ [0-9]+\.[0-9]+\.[0-9]+ ]]
}

@test "help on three ranks is printed once" {
    run -0 ranks 3 eval --help
    [ "$(grep -c '^Usage:' <<<"$output")" -eq 1 ]
}

@test "no arguments at all is wrong usage" {
    both 2 'nothing to do'
}

@test "an unknown command gets the nearest right spelling" {
    both 2 "no command 'inpsect': do you mean 'inspect'" inpsect model.h5
}

@test "a word that is neither a command nor a file is refused" {
    both 2 "'xyzzyplugh' is neither" xyzzyplugh
}

@test "an unknown option gets the nearest right spelling" {
    both 2 "'--epoch': do you mean '--epochs'" model.h5 --epoch 3
}

@test "an unknown option without a near spelling points to the help" {
    both 2 'mbrun train --help' model.h5 --frobnicate 3
}

@test "an option of training is refused by name elsewhere" {
    both 2 "eval has no option '--epochs'; that is an option of mbrun train" eval model.h5 --epochs 3
}

@test "an option without its value is refused" {
    both 2 "'--epochs' wants a value" model.h5 --epochs
}

@test "a switch with a value is refused" {
    both 2 "'--restart' takes no value" model.h5 --restart=yes
}

@test "a value of the wrong kind is refused with what is accepted" {
    refused 2 "'x' is not a whole number" 1 model.h5 --epochs x
    refused 2 "'0' is not a whole number of at least 1" 1 model.h5 --batch=0
    refused 2 "'fast' is not a number" 1 model.h5 --lr fast
    refused 2 "'1week' is not" 1 model.h5 --checkpoint-every 1week
    refused 2 "'some' is not full, none or block:K" 3 model.h5 --shuffle some
}

@test "a model file is wanted" {
    both 2 'train wants a model file' train --epochs 3
}

@test "a second model file is refused" {
    both 2 "does not know what to do with 'b.h5'" a.h5 b.h5
}

@test "predict wants data and a file for the outputs" {
    fixture mlp
    refused 2 'use --data' 1 predict model.h5 -o out.h5
    refused 2 'use -o' 1 predict model.h5 --data data.h5
}

@test "options are taken with = and without, before the model and behind it" {
    fixture mlp
    run -0 "$MBRUN" --data=data.h5 --steps 1 model.h5 --run=a.run --quiet
    [ -f a.run/final.h5 ]
    run -0 "$MBRUN" train --steps=1 --quiet --run b.run --data data.h5 -- model.h5
    [ -f b.run/final.h5 ]
}

@test "no-shuffle is shuffle none" {
    fixture mlp
    "$MBRUN" model.h5 --data data.h5 --steps 2 --no-shuffle --run a.run --quiet
    "$MBRUN" model.h5 --data data.h5 --steps 2 --shuffle none --run b.run --quiet
    "$MBRUN" model.h5 --data data.h5 --steps 2 --run c.run --quiet
    [ "$(digest a.run/final.h5)" = "$(digest b.run/final.h5)" ]
    [ "$(digest a.run/final.h5)" != "$(digest c.run/final.h5)" ]
}

@test "file tools run once under a launcher" {
    fixture mlp
    run -0 ranks 3 inspect --digest model.h5
    [ "$(grep -c '^weights ' <<<"$output")" -eq 1 ]
    run -0 ranks 3 info
    [ "$(grep -c '^mbrun ' <<<"$output")" -eq 1 ]
}
