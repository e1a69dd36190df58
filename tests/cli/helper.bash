# What the command-line tests share: ranks, fixtures, files with faults.
. "$MB_SRCDIR/tests/support/processes.sh"

bats_require_minimum_version 1.5.0

MPIEXEC=${MPIEXEC:-mpirun}
FIXTURES=$MB_SRCDIR/tests/fixtures
LIMIT=${MB_CLI_LIMIT-120} # seconds; a run that takes longer hangs

# Every test works in a folder of its own; the source tree may be read-only. What MPI's plugins leak
# cannot be told from ours once they are unloaded.
setup() {
    export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
    cd "$BATS_TEST_TMPDIR" || return 1
}

# fixture NAME: the model as model.h5 and its samples as data.h5.
fixture() {
    cp "$FIXTURES/$1.h5" model.h5 && cp "$FIXTURES/$1.ref.h5" data.h5 && chmod u+w model.h5 data.h5
}

# ranks N ARGUMENTS...: mbrun on N ranks; one is started without a launcher.
ranks() {
    local n=$1
    shift
    if [ "$n" -eq 1 ]; then
        timeout -k 5 "$LIMIT" "$MBRUN" "$@"
    else
        timeout -k 5 "$LIMIT" "$MPIEXEC" -n "$n" "$MBRUN" "$@"
    fi
}

# refused CODE PATTERN N ARGUMENTS...: ends with CODE and says one thing, which matches PATTERN.
refused() {
    local code=$1 pattern=$2
    shift 2
    run ranks "$@"
    echo "$output"
    [ "$status" -eq "$code" ] || { echo "exit code $status, not $code" && return 1; }
    [ "$(grep -c '^mbrun: ' <<<"$output")" -eq 1 ] || { echo "not one message" && return 1; }
    grep -q "^mbrun: error: .*$pattern" <<<"$output" || { echo "no '$pattern'" && return 1; }
}

# both CODE PATTERN ARGUMENTS...: the same on one rank and on three.
both() {
    local code=$1 pattern=$2
    shift 2
    refused "$code" "$pattern" 1 "$@" && refused "$code" "$pattern" 3 "$@"
}

# Whether what takes long is to be left to the builds without sanitizers.
is_reduced() {
    [ -n "${MB_TEST_REDUCED-}" ]
}

# json EXPRESSION: holds of `value`, the JSON on stdin.
json() {
    command -v python3 >/dev/null || skip "python3 is not installed"
    python3 -c 'import json, sys; value = json.load(sys.stdin); assert '"$1"', value'
}

# nothing_left FOLDER: no model file and no temporary file is there.
nothing_left() {
    local left
    [ -d "$1" ] || return 0
    left=$(find "$1" -name '*.h5*' -o -name '*tmp*' 2>/dev/null)
    [ -z "$left" ] || { echo "left over: $left" && return 1; }
}

# field KEY FILE: the last value of a key in lines of JSON.
field() {
    sed -n "s/.*\"$1\": *\([^,}]*\).*/\1/p" "$2" | tail -n 1
}

digest() {
    "$MBRUN" inspect --digest "$1"
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    local tries=$(($1 * 10))
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.1
    done
}

be32() {
    local byte
    for byte in $(($1 >> 24 & 255)) $(($1 >> 16 & 255)) $(($1 >> 8 & 255)) $(($1 & 255)); do
        printf "\\$(printf %03o "$byte")"
    done
}

# idx TYPE DIMENSION...: the head of an IDX file; type 8 is bytes, 13 float32.
idx() {
    local type=$1 dimension
    shift
    printf '\0\0'"\\$(printf %03o "$type")\\$(printf %03o $#)"
    for dimension; do
        be32 "$dimension"
    done
}

# images COUNT ROWS COLUMNS: IDX images, all black; labels COUNT BYTE: IDX labels, all the same.
images() {
    idx 8 "$1" "$2" "$3" && head -c $(($1 * $2 * $3)) /dev/zero
}
labels() {
    idx 8 "$1" && head -c "$1" /dev/zero | tr '\0' "$2"
}

# in_file FILE OLD NEW: replaces the first OLD of the file's bytes by NEW, which must be as long.
in_file() {
    [ ${#2} -eq ${#3} ] && grep -qaF "$2" "$1" || return 1
    LC_ALL=C perl -0777 -pi -e 'BEGIN { $old = shift; $new = shift } s/\Q$old\E/$new/' "$2" "$3" "$1"
}
