#!/bin/sh
# The manual pages are right to roff, and say what the program, the header and the sources say.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-man.XXXXXX")
trap 'rm -rf "$work"' EXIT
pages=$MB_BUILDDIR/doc/man
cd "$MB_SRCDIR" || exit 1

check() { # NUMBER NAME COMMAND...
    number=$1 name=$2
    shift 2
    if "$@" >"$work/log" 2>&1 && [ ! -s "$work/missing" ]; then
        echo "ok $number - $name"
    else
        cat "$work/missing" "$work/log" 2>/dev/null | sed 's/^/# /'
        echo "not ok $number - $name"
    fi
    rm -f "$work/missing"
}
lacks() { echo "$*" >>"$work/missing"; }

without_warnings() {
    for page in "$pages"/*.[1357]; do
        # Lines of code that are too long for a terminal are no fault of the page.
        groff -ww -man -Tutf8 -rLL=200n "$page" 2>"$work/warnings" >"$work/text"
        [ ! -s "$work/warnings" ] && [ -s "$work/text" ] || lacks "$(cat "$work/warnings") in $page"
    done
}

pages_of_commands() {
    "$MBRUN" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | grep -v '^help$' >"$work/commands"
    [ -s "$work/commands" ] || lacks "no commands in the help"
    while read -r command; do
        page=$pages/mbrun-$command.1
        [ -f "$page" ] || { lacks "mbrun $command has no page: write doc/man/mbrun-$command.1.md" && continue; }
        "$MBRUN" "$command" --help | sed -n 's/^  \(-., \)\{0,1\}\(--[a-z0-9-]*\).*/\2/p' | sed 's/-/\\-/g' >"$work/options"
        [ -s "$work/options" ] || lacks "no options in the help of $command"
        while read -r option; do
            grep -qF "\\fB$option\\fR" "$page" || lacks "$page has no $option"
        done <"$work/options"
    done <"$work/commands"
}

pages_of_calls() {
    sed -n '/\/\*.*\*\//!d; s/^\/\* \([A-Z][a-zA-Z ]*\) \*\/$/\1/p' include/mb/mb.h >"$work/sections"
    while read -r section; do
        grep -qx "{section $section}" doc/man/*.3.md || lacks "section '$section' of mb.h is in no doc/man/*.3.md"
    done <"$work/sections"
    while read -r call; do
        grep -q "^\.SS \"\(.*, \)\{0,1\}$call[,\"]" "$pages"/*.3 || lacks "$call is in no page"
    done <"$MB_BUILDDIR/libmb.sym"
    [ -s "$MB_BUILDDIR/libmb.sym" ]
}

environment() {
    grep -rhoE 'getenv\("[A-Z_0-9a-z]+"\)|"(MB_PLUGINS|(MV2|SLURM|OMPI|PMI|PMIX|PRTE|FLUX|JSM)_[A-Z][A-Z_0-9a-z]+)"' src |
        sed 's/.*"\(.*\)".*/\1/' | sort -u >"$work/variables"
    [ -s "$work/variables" ] || lacks "no variables in the sources"
    while read -r variable; do
        grep -q "\`$variable\`" doc/man/mb-environment.7.md || lacks "mb-environment(7) has no $variable"
    done <"$work/variables"
}

format() {
    grep -rhoE '"/mbrun/[a-z]+' src | sort -u | tr -d '"' >"$work/groups"
    [ -s "$work/groups" ] || lacks "no groups in the sources"
    while read -r group; do
        grep -q "$group" doc/man/mb-format.5.md || lacks "mb-format(5) has no $group"
    done <"$work/groups"
}

# An argument that has no line of its own is one that a formatter has drawn into a paragraph.
arguments() {
    grep -nE '^ \*.*[^ *]   +[^ ]' include/mb/mb.h | grep -vE '^[0-9]+: \*   [a-z]' >"$work/drawn" &&
        lacks "a list of arguments in a paragraph of mb.h: $(cat "$work/drawn")"
    awk '/^ \*    /{ next } /^ \*   [a-z_, ]+  /{ next } /^ \*/ && last ~ /[;:,]$/ && last ~ /^ \*   / \
        { print "a line of mb.h that a list has lost: " $0 } { last = $0 }' include/mb/mb.h >>"$work/missing"
    [ -s "$work/missing" ] || rm -f "$work/missing"
}

every_page_is_installed() {
    for source in doc/man/*.md; do
        page=$pages/$(basename "$source" .md)
        [ -f "$page" ] || lacks "$source is in no list of doc/man/local.mk"
    done
}

echo 1..7
if command -v groff >/dev/null; then
    check 1 "every page is right to groff" without_warnings
else
    echo "ok 1 - every page is right to groff # SKIP groff is not installed"
fi
check 2 "every command has a page with all of its options" pages_of_commands
check 3 "every section and call of mb.h is in a page" pages_of_calls
check 4 "the environment that the sources ask for is in mb-environment(7)" environment
check 5 "the groups that files have are in mb-format(5)" format
check 6 "every page that is written is made" every_page_is_installed
check 7 "arguments in mb.h have lines of their own" arguments
