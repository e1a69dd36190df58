# Sourced by scripts that make one write, sync, rename ... of a command fail (tests/support/failing_io.c)
# and look at what is left.
#
#     scenarios                         their names
#     ranks_of SCENARIO                 in which ranks a call is to fail
#     calls SCENARIO RANK KIND          how many calls of a kind the command makes there
#     attempt SCENARIO RANK KIND K ERRNO [rest]
#                                       fails the K-th; true when all is as it should be, else $why says
#                                       what is not
#     allocations SCENARIO RANK         the allocations of its own that the command makes there: "K PLACE"
#     attempt_memory SCENARIO RANK K    the same for the K-th allocation
#
# The command must exit with 1 and one message that names a file of its own and the reason; every file that
# has a final name must be complete: the old one or the new one, and every checkpoint; and the same command
# must then work, to the same bits, with nothing temporary left.
if ! command -v "$MPIEXEC" >/dev/null 2>&1; then
    echo "1..0 # SKIP $MPIEXEC is not installed"
    exit 0
fi
export OMP_WAIT_POLICY=passive
# The shim stands before the sanitizer's library, which is of no harm.
export ASAN_OPTIONS=$ASAN_OPTIONS:leak_check_at_exit=0:verify_asan_link_order=0

scratch=$(cd "$(mktemp -d "${TMPDIR:-/tmp}/mb-fail.XXXXXX")" && pwd -P) || exit 1
trap 'rm -rf "$scratch"' EXIT
work=$scratch/work
kinds="write sync truncate rename unlink reserve open close link flush mkdir mode"
reading_kinds="look read stat list entry map" # also of the files that the command is given
MEMORY_SHIM=$MB_BUILDDIR/tests/support/failing_memory.so
why=

scenarios="start again restart start2 again2 predict predict2 quantize new data configure copy"

ranks_of() {
    case $1 in
    *2) echo 0 1 ;;
    *) echo 0 ;;
    esac
}

# The first finding counts.
find_fault() {
    [ -n "$why" ] || why=$1
}

is_training() {
    case $1 in
    start* | again* | restart*) true ;;
    *) false ;;
    esac
}

# launch SCENARIO PREFIX...: the command; PREFIX (env ...) stands in front of the program itself.
launch() {
    scenario=$1
    shift
    case $scenario in
    *2) set -- "$MPIEXEC" -n 2 "$@" "$MBRUN" ;;
    *) set -- "$@" "$MBRUN" ;;
    esac
    case $scenario in
    start2 | again2) set -- "$@" --stages 2 --partition counted ;; # as many writes of a rank each time
    restart) set -- "$@" --restart ;;
    esac
    case $scenario in
    again*) steps=6 ;;
    *) steps=4 ;;
    esac
    case $scenario in
    predict*) set -- "$@" predict "$scratch/model.h5" --data "$scratch/data.h5" -o "$work/out.h5" ;;
    quantize) set -- "$@" quantize "$scratch/model.h5" -o "$work/out.h5" --format int4 --force ;;
    new) set -- "$@" new mlp input=5 hidden=4 classes=3 -o "$work/out.h5" --force ;;
    data) set -- "$@" data "$scratch/text.txt" -o "$work/out.h5" ;;
    configure) set -- "$@" configure "$work/out.h5" --epochs 7 ;;
    copy) set -- "$@" configure "$scratch/checkpoint.h5" --epochs 7 -o "$work/out.h5" ;;
    *)
        set -- "$@" "$scratch/model.h5" --data "$scratch/data.h5" --run "$work/run" --threads 1 \
            --quiet --batch 32 --replicas 1 --steps $steps --checkpoint-every 2 --keep 1
        ;;
    esac
    timeout -k 5 300 "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
}

# A run of which the last checkpoint is of step 4, with lines of later steps in its log of metrics, whose
# process is gone and was killed while it wrote: NAME, with options of its own.
make_old() {
    old=$scratch/$1
    shift
    timeout 120 "$MBRUN" "$scratch/model.h5" --data "$scratch/data.h5" --run "$old" \
        --threads 1 --quiet --batch 32 --replicas 1 --steps 4 --checkpoint-every 2 --keep 1 "$@" || return 1
    rm "$old/final.h5"
    echo '{"step": 5, "epoch": 1, "split": "train", "loss": 1.0, "lr": 0.1}' >>"$old/metrics.jsonl"
    echo half >"$old/step-00000006.h5.tmp-0123456789abcdef"
    printf 'host %s\nboot %s\npid 999999999\nstarted 1\njob -\nrestart 0\nnonce 0123456789abcdef\n' \
        "$(uname -n)" "$(cat /proc/sys/kernel/random/boot_id)" >"$old/lease"
}

prepare() {
    rm -rf "$work"
    mkdir "$work"
    case $1 in
    start*) ;;
    again*) cp -r "$scratch/again" "$work/run" ;;
    restart) cp -r "$scratch/other" "$work/run" ;;
    configure) cp "$scratch/checkpoint.h5" "$work/out.h5" ;;
    *) cp "$scratch/old.h5" "$work/out.h5" ;;
    esac
    [ ! -e "$work/out.h5" ] || cp "$work/out.h5" "$scratch/before.h5"
}

digest() {
    "$MBRUN" inspect --digest "$work/run/final.h5" 2>/dev/null
}

# What a run without failures gives, and how many calls of each kind it makes, rank by rank. Says why there
# is no such run.
reference() {
    [ ! -e "$scratch/reference.$1" ] || return 0
    for rank in $(ranks_of "$1"); do
        prepare "$1"
        rm -f "$scratch/counts.$1.$rank"
        launch "$1" env LD_PRELOAD="$SHIM" MB_FAIL_DIR="$work" MB_FAIL_RANK="$rank" \
            MB_FAIL_COUNTS="$scratch/counts.$1.$rank" ||
            { echo "$1 fails by itself, with $?: $(tail -n 5 "$scratch/err" | tr '\n' ' ')" && return 1; }
    done
    if is_training "$1"; then
        digest >"$scratch/reference.$1"
    else
        cp "$work/out.h5" "$scratch/reference.$1"
    fi
}

is_reading() {
    case " $reading_kinds " in
    *" $1 "*) true ;;
    *) false ;;
    esac
}

# Below which directory calls of a kind are failed.
directory_of() {
    if is_reading "$1"; then echo "$scratch"; else echo "$work"; fi
}

count_looks() {
    [ ! -e "$scratch/looks.$1.$2" ] || return 0
    prepare "$1"
    launch "$1" env LD_PRELOAD="$SHIM" MB_FAIL_DIR="$scratch" MB_FAIL_RANK="$2" MB_FAIL_COUNTS="$scratch/looks.$1.$2"
}

calls() {
    reference "$1" >"$scratch/why" || return 1
    counted=$scratch/counts.$1.$2
    if is_reading "$3"; then count_looks "$1" "$2" && counted=$scratch/looks.$1.$2; fi
    awk -v kind="$3" '$1 == kind { print $2 }' "$counted"
}

allocations() {
    reference "$1" >"$scratch/why" || return 1
    prepare "$1"
    rm -f "$scratch/allocations"
    launch "$1" env LD_PRELOAD="$MEMORY_SHIM" MB_FAIL_RANK="$2" MB_FAIL_AT=0 MB_FAIL_COUNTS="$scratch/allocations" &&
        cat "$scratch/allocations"
}

# A log that cannot be written is no reason to end a run; and what is closed was synced before, or has been
# given up. Not to see a file may be no harm; what comes out must be right then.
may_succeed() {
    case $1 in
    open | flush) [ "$(grep -c '^mbrun: warning: .*log.txt' "$scratch/err")" -eq 1 ] ;;
    close | memory) true ;;
    *) is_reading "$1" ;;
    esac
}

check_result() {
    if is_training "$1"; then
        [ "$(digest)" = "$(cat "$scratch/reference.$1")" ] || find_fault "it ends with 0 and other bits"
    else
        cmp -s "$work/out.h5" "$scratch/reference.$1" || find_fault "it ends with 0 and another file"
    fi
}

check_end() {
    status=$1 kind=$2 reason=$3
    where=$(directory_of "$kind")
    case $kind in
    memory) where= ;;
    stat) reason="\\($reason\\|HDF5: can't\\)" ;; # HDF5 does not tell why
    esac
    if [ "$status" -eq 0 ]; then
        may_succeed "$kind" || find_fault "it ends with 0"
    elif [ "$status" -ne 1 ]; then
        find_fault "it ends with $status: $(tail -n 3 "$scratch/err" | tr '\n' ' ')"
    elif [ "$(grep -c '^mbrun: error' "$scratch/err")" -ne 1 ]; then
        find_fault "it says: $(tr '\n' ' ' <"$scratch/err")"
    elif ! grep -q "^mbrun: error.*$where.*$reason" "$scratch/err"; then
        find_fault "the message lacks the file or '$reason': $(cat "$scratch/err")"
    elif grep -qE 'Signal|HDF5-DIAG|ERROR: ' "$scratch/err"; then
        find_fault "it also says: $(tr '\n' ' ' <"$scratch/err")"
    fi
}

temporaries() {
    find "$work" -name '*.tmp*' | tr '\n' ' '
}

# Whether a command that failed has left one: not the one that make_again had put there.
leaves_temporary() {
    find "$work" -name '*.tmp*' ! -name 'step-00000006.h5.tmp-0123456789abcdef' | grep -q .
}

check_files() {
    for file in "$work"/run/*.h5; do
        [ ! -e "$file" ] || "$MBRUN" inspect --verify "$file" >/dev/null 2>&1 ||
            find_fault "$file is not complete"
    done
    case $1 in
    again*) ls "$work"/run/step-*.h5 >/dev/null 2>&1 || find_fault "the previous checkpoint is gone" ;;
    esac
    is_training "$1" || cmp -s "$work/out.h5" "$scratch/before.h5" ||
        cmp -s "$work/out.h5" "$scratch/reference.$1" || find_fault "the output is neither the old nor the new"
    [ "$2" = unlink ] || ! leaves_temporary || find_fault "$(temporaries)is left"
}

check_next() {
    [ "$1" != configure ] || cp "$scratch/before.h5" "$work/out.h5"
    launch "$1" || find_fault "the next start fails: $(cat "$scratch/err")"
    if is_training "$1"; then
        [ "$(digest)" = "$(cat "$scratch/reference.$1")" ] || find_fault "the next start has other bits"
        [ -z "$(temporaries)" ] || find_fault "after the next start, $(temporaries)is left"
        [ ! -e "$work/run/lease" ] || find_fault "after the next start, the lease is left"
    else
        cmp -s "$work/out.h5" "$scratch/reference.$1" || find_fault "the next start writes another file"
    fi
}

attempt() {
    case $5 in
    5) reason="Input/output error" ;;
    28) reason="No space left on device" ;;
    esac
    why=
    message=$(reference "$1") || find_fault "$message"
    prepare "$1"
    launch "$1" env LD_PRELOAD="$SHIM" MB_FAIL_DIR="$(directory_of "$3")" MB_FAIL_RANK="$2" MB_FAIL_KIND="$3" \
        MB_FAIL_AT="$4" MB_FAIL_ERRNO="$5" ${6:+MB_FAIL_REST=1}
    check_all $? "$1" "$3" "$reason"
}

# check_all STATUS SCENARIO KIND REASON
check_all() {
    check_end "$1" "$3" "$4"
    [ "$1" -ne 0 ] || check_result "$2"
    check_files "$2" "$3"
    check_next "$2"
    [ -z "$why" ]
}

attempt_memory() {
    why=
    message=$(reference "$1") || find_fault "$message"
    prepare "$1"
    launch "$1" env LD_PRELOAD="$MEMORY_SHIM" MB_FAIL_RANK="$2" MB_FAIL_AT="$3"
    check_all $? "$1" memory "memory"
}

cp "$MB_SRCDIR/tests/fixtures/mlp.h5" "$scratch/model.h5"
cp "$MB_SRCDIR/tests/fixtures/mlp.ref.h5" "$scratch/data.h5"
chmod u+w "$scratch"/*.h5
seq 1 20000 >"$scratch/text.txt"
"$MBRUN" new mlp input=2 hidden=2 classes=2 -o "$scratch/old.h5" >/dev/null && make_old again && make_old other --seed 7 &&
    cp "$scratch/again/step-00000004.h5" "$scratch/checkpoint.h5" || exit 1
