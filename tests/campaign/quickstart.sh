#!/bin/sh
# The README's two commands on a machine with nothing installed: both orders, each command twice, with an
# empty folder for HOME and with none, in a bare Debian 12 made by debootstrap.
#
#     sudo tests/campaign/quickstart.sh FOLDER [SUITE...]
#
# FOLDER gets the bare systems (3 GB), logs and a line in FOLDER/results for each command; commands that have
# one are left out, so the campaign goes on where it was stopped. SUITE names what the check is to run (as in
# MB_TESTS; default: all, 25 minutes each of four times). Prints a Markdown table.
[ $# -ge 1 ] && [ "$(id -u)" -eq 0 ] || { sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 2; }
source=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1" && folder=$(cd "$1" && pwd) || exit 1
shift
suite=$*
results=$folder/results
touch "$results"

# What reaches the packages from here reaches them from the bare system too.
bare_system() {
    [ -e "$folder/bare/complete" ] && return
    debootstrap --variant=minbase bookworm "$folder/bare" \
        >"$folder/debootstrap.log" 2>&1 || { tail -n 5 "$folder/debootstrap.log" && exit 1; }
    for file in /etc/resolv.conf /etc/pip.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e "$file" ] || { mkdir -p "$folder/bare${file%/*}" && cp -L "$file" "$folder/bare$file"; }
    done
    touch "$folder/bare/complete"
}

# inside SYSTEM HOME COMMAND...: in a namespace of its own for processes and mounts, which ends with it.
inside() {
    system=$1 home=$2
    shift 2
    unshare --mount --pid --fork --kill-child sh -c '
        cd "$1" && shift && mount -t proc proc proc && mount --rbind /dev dev &&
            mount --rbind /sys sys && mount -t tmpfs tmpfs dev/shm &&
            exec chroot . "$@"' sh "$system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" \
        $(env | grep -i '^[a-z]*_proxy=\|^PIP_') "$@" </dev/null
}

new_system() {
    [ -e "$1/mbrun/quickstart" ] && return
    rm -rf "$1"
    cp -a "$folder/bare" "$1" && git clone -q "$source" "$1/mbrun" && mkdir "$1/empty"
}

# try ORDER NUMBER HOME [ARGUMENT]
try() {
    system=$folder/$1
    name="$1 $2"
    log=$system.$2.log
    shift 2
    home=$1
    shift
    grep -q "^| $name |" "$results" && return
    began=$(date +%s)
    inside "$system" "$home" MB_TESTS="$suite" /mbrun/quickstart "$@" >"$log" 2>&1
    code=$?
    took=$(($(date +%s) - began))
    last=$(grep 'passed,\|accuracy.*$' "$log" | tail -n 1 | sed 's/^ *//')
    echo "| $name | ./quickstart $* | $code | $took s | $last |" >>"$results"
    [ "$code" -eq 0 ] || { tail -n 20 "$log" >&2; }
}

bare_system
# With an empty folder for HOME.
new_system "$folder/train-first"
try train-first 1 /empty
try train-first 2 /empty check
try train-first 3 /empty
try train-first 4 /empty check
# With none.
new_system "$folder/check-first"
try check-first 1 '' check
try check-first 2 ''
try check-first 3 '' check
try check-first 4 ''

echo "| order | command | exit code | took | ended with |"
echo "|---|---|---|---|---|"
cat "$results"
! grep -qv '| 0 | [0-9]* s |' "$results"
