#!/usr/bin/env bats
# Shells complete command lines of mbrun by what the program itself takes.
load helper

# in_bash WORD...: what bash offers for the last word.
in_bash() {
    "$MBRUN" completion bash >mbrun.bash
    bash -c '. ./mbrun.bash; COMP_WORDS=(mbrun "$@"); COMP_CWORD=$#; _mbrun; printf "%s\n" "${COMPREPLY[@]}"' bash "$@"
}

@test "bash completes commands, their options, and files behind an option" {
    touch model.h5 data.h5
    [ "$(in_bash qua)" = quantize ]
    in_bash eval --da | grep -x -- --data
    [ -z "$(in_bash eval --epo)" ]
    [ "$(in_bash model.h5 --epo)" = --epochs ]
    [ "$(in_bash train --data da)" = data.h5 ]
    [ "$(in_bash mod)" = model.h5 ]
}

# offered COMMAND: the options that bash is offered, one a line; helped COMMAND: those of its help.
offered() { in_bash "$1" - | grep '^--' | sort; }
helped() { "$MBRUN" "$1" --help | grep -o '^  \(-[a-zA-Z], \)\?--[a-z0-9-]*' | sed 's/.* //' | sort; }

@test "bash is offered the options of the help" {
    for command in train eval quantize data completion; do
        diff <(offered $command) <(helped $command)
    done
}

@test "zsh reads its completion" {
    command -v zsh || skip "zsh is not installed"
    "$MBRUN" completion zsh >_mbrun
    zsh -fc 'autoload -U compinit && compinit -u -D; . ./_mbrun && [[ $_comps[mbrun] == _mbrun ]]'
    # As the functions of completion have it, of which only these two are wanted.
    zsh -fc 'compdef() { }; _files() { }; _describe() { print -l -- ${(P)2} }; _arguments() { print -l -- "$@" }
        . ./_mbrun; words=(mbrun q) CURRENT=2 _mbrun; words=(mbrun m.h5 -) CURRENT=3 _mbrun; words=(mbrun ls -) _mbrun' >out
    grep '^quantize:' out
    grep -F -- '*--epochs=[' out
    [ "$(grep -c -F -- '*--json[' out)" -eq 2 ]
    [ "$(grep -c -F -- '*--epochs=[' out)" -eq 1 ]
}

@test "fish completes commands and their options" {
    command -v fish || skip "fish is not installed"
    "$MBRUN" completion fish >mbrun.fish
    export HOME=$BATS_TEST_TMPDIR
    offers() { fish --no-config -c 'source mbrun.fish; complete -C $argv[1]' "$1"; }
    [ "$(offers "mbrun qua" | cut -f1)" = quantize ]
    [ "$(offers "mbrun model.h5 --epo" | cut -f1)" = --epochs ]
    [ -z "$(offers "mbrun eval m.h5 --epo" | grep -e --epochs)" ]
}

@test "another shell is refused with those that there are" {
    refused 2 "no completion for 'csh'; there is for bash, zsh and fish" 1 completion csh
}
