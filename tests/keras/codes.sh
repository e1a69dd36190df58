#!/bin/bash
# Every code of fp16, bf16 and e3m4, in a file that we write: h5py, netCDF from Python, netCDF's own
# ncdump and h5dump see the numbers that our reader sees, and these are the right ones. They read whole
# quantized files too, whatever is in them.
encode=$MB_BUILDDIR/tests/keras/encode
rewrite=$MB_BUILDDIR/tests/keras/rewrite
codes=/model_weights/codes/codes
tables="fp16 bf16 e3m4_1 e3m4_2 e3m4_3 e3m4_7 e3m4_12 e3m4_30 e3m4_100 e3m4_120"
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
count=0

run() { # NAME COMMAND...
    name=$1
    shift
    count=$((count + 1))
    if "$@" >"$scratch/log" 2>&1; then
        echo "ok $count - $name"
    else
        echo "not ok $count - $name"
        tail -n 5 "$scratch/log" | sed 's/^/# /'
    fi
}

skip() { # NAME REASON
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

# The first interpreter that can import MODULE.
python_with() {
    for candidate in "$MB_KERAS_PYTHON" python3 /usr/bin/python3; do
        if [ -n "$candidate" ] && "$candidate" -c "import $1, numpy" 2>/dev/null; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

ask_python() { # MODULE NAME
    if python=$(python_with "$1"); then
        run "$2" "$python" -W ignore "$MB_SRCDIR/tests/keras/codes.py" "$1" "$scratch/codes.h5" \
            "$scratch/decoded.h5"
    else
        skip "$2" "no Python has $1"
    fi
}

written() {
    "$encode" codes "$scratch/codes.h5" && "$rewrite" "$scratch/codes.h5" "$scratch/decoded.h5" &&
        "$encode" rounded "$MB_SRCDIR/tests/fixtures/mlp.h5" "$scratch/rounded.h5" &&
        "$rewrite" "$scratch/rounded.h5" "$scratch/plain.h5"
}

# Nine digits tell any two float32 apart; -0 and NaN are printed as such.
ncdump_values() { # FILE GROUP TABLE
    ncdump -p 9,17 -v "$2/$3" "$1" | awk -v name="$3" '$1 == name && $2 == "=" { on = 1 }
        on { print } on && /;/ { exit }'
}

h5dump_values() { # FILE GROUP TABLE
    h5dump -m %.9g -A 0 -y -w 80 -d "$2/$3" "$1" |
        awk '/DATA \{/ { on = 1; next } /\}/ { on = 0 } on { gsub("-nan", "nan"); print }'
}

same_in() { # FUNCTION FILE DECODED GROUP TABLE...
    dump=$1 file=$2 decoded=$3 group=$4
    shift 4
    for table; do
        $dump "$file" "$group" "$table" >"$scratch/a" &&
            $dump "$decoded" "$group" "$table" >"$scratch/b" || return 1
        [ "$(wc -c <"$scratch/a")" -gt 500 ] || return 1
        if ! cmp "$scratch/a" "$scratch/b"; then
            echo "$table: $dump prints other numbers"
            return 1
        fi
    done
}

same_codes() { # FUNCTION
    # shellcheck disable=SC2086
    same_in "$1" "$scratch/codes.h5" "$scratch/decoded.h5" $codes $tables
}

same_rounded() { # FUNCTION
    same_in "$1" "$scratch/rounded.h5" "$scratch/plain.h5" /model_weights/dense_1/sequential/dense_1 \
        kernel
}

all_dumped() { # COMMAND
    for format in fp16 e3m4 rounded int8 int8:block=64 int4:offset; do
        "$MBRUN" quantize "$MB_SRCDIR/tests/fixtures/mlp.h5" -o "$scratch/q.h5" --force \
            --format $format >/dev/null && "$1" "$scratch/q.h5" >"$scratch/dump" || return 1
        grep -q parent_digest "$scratch/dump" || return 1
    done
}

ask_dump() { # PROGRAM
    if ! command -v "$1" >/dev/null; then
        skip "$1 prints what we read" "no $1"
        return
    fi
    run "$1 prints every code as we decode it" same_codes "$1_values"
    run "$1 prints rounded and deflated weights as we read them" same_rounded "$1_values"
    run "$1 reads all of quantized files" all_dumped "$1"
}

run "all codes are written, and read by us" written
ask_python h5py "h5py decodes every code as we do, and both are right"
ask_python netCDF4 "netCDF decodes every code as we do, and both are right"
ask_dump ncdump
ask_dump h5dump
echo "1..$count"
