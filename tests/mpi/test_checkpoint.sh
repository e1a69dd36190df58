#!/bin/bash
# Checkpoints by one to four ranks; a job killed at random instants; a file system that is full.
. "$MB_SRCDIR/tests/support/processes.sh"
program=$MB_BUILDDIR/tests/mpi/test_checkpoint
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0
# What Open MPI leaks lies in plugins that are closed by then, where it cannot be told from ours.
export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0

report() { # RESULT NAME [LOG]
    count=$((count + 1))
    echo "$1 $count - $2"
    if [ "$1" = "not ok" ] && [ -n "$3" ]; then sed 's/^/# /' "$3"; fi
}

for ranks in 1 2 3 4; do
    mkdir "$scratch/$ranks"
    MB_SCRATCH=$scratch/$ranks timeout 300 "$MPIEXEC" -np "$ranks" "$program" \
        >"$scratch/out" 2>"$scratch/err" </dev/null
    status=$?
    while read -r line; do
        case $line in
        "ok "*) report ok "${line#ok } on $ranks ranks" ;;
        "not ok "*) report "not ok" "${line#not ok } on $ranks ranks" "$scratch/err" ;;
        esac
    done <"$scratch/out"
    if [ "$status" -eq 0 ]; then
        report ok "the program ends well on $ranks ranks"
    else
        report "not ok" "the program ends well on $ranks ranks (status $status)" "$scratch/err"
    fi
done

# The ranks write one file after the other until one of them, or the launcher, is killed.
RANDOM=${MB_SEED-20261}
mkdir "$scratch/kill"
complete=yes
for trial in 1 2 3 4 5 6; do
    file=$scratch/kill/a.h5
    "$MPIEXEC" -np 2 "$program" write "$file" >/dev/null 2>&1 </dev/null &
    launcher=$!
    for _ in $(seq 200); do
        [ -e "$file" ] && break
        sleep 0.05
    done
    sleep "0.$((RANDOM % 900 + 100))"
    ranks=$(children "$launcher")
    set -- $ranks
    if [ $((trial % 3)) -eq 0 ] || [ $# -ne 2 ]; then kill -9 "$launcher"; fi
    if [ $((trial % 3)) -eq 1 ]; then kill -9 "$1"; else kill -9 $ranks; fi
    wait "$launcher" 2>/dev/null
    "$program" verify "$file" >>"$scratch/verify" 2>&1 || complete=no
done
if [ $complete = yes ]; then
    report ok "a job killed at any instant leaves a complete file"
else
    report "not ok" "a job killed at any instant leaves a complete file" "$scratch/verify"
fi

# A tiny file system needs root, and a mount namespace of its own.
name="a full file system is said so, and leaves the old file"
mkdir "$scratch/full"
if [ "$(id -u)" -ne 0 ] || ! unshare -m true 2>/dev/null; then
    report ok "$name # SKIP needs root and mount namespaces"
elif ! unshare -m sh -c "mount -t tmpfs -o size=1m none '$scratch/full'" 2>/dev/null; then
    report ok "$name # SKIP tmpfs cannot be mounted here"
elif unshare -m sh -c "mount -t tmpfs -o size=1m none '$scratch/full' &&
    cd '$scratch/full' && '$program' full a.h5" >"$scratch/out" 2>&1; then
    report ok "$name"
else
    report "not ok" "$name" "$scratch/out"
fi

echo "1..$count"
