#!/bin/bash
# Every code of fp16, bf16 and e3m4, in a file that we write: h5py, netCDF from Python, netCDF's own
# ncdump and h5dump see the numbers that our reader sees, and these are the right ones.
encode=$MB_BUILDDIR/tests/keras/encode
rewrite=$MB_BUILDDIR/tests/keras/rewrite
group=/model_weights/codes/codes
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
    "$encode" codes "$scratch/codes.h5" && "$rewrite" "$scratch/codes.h5" "$scratch/decoded.h5"
}

# Nine digits tell any two float32 apart; -0 and NaN are printed as such.
ncdump_values() { # FILE TABLE
    ncdump -p 9,17 -v "$group/$2" "$1" | awk -v name="$2" '$1 == name && $2 == "=" { on = 1 }
        on { print } on && /;/ { exit }'
}

h5dump_values() { # FILE TABLE
    h5dump -m %.9g -A 0 -y -w 80 -d "$group/$2" "$1" |
        awk '/DATA \{/ { on = 1; next } /\}/ { on = 0 } on { gsub("-nan", "nan"); print }'
}

same_in() { # FUNCTION
    for table in $tables; do
        "$1" "$scratch/codes.h5" $table >"$scratch/a" && "$1" "$scratch/decoded.h5" $table \
            >"$scratch/b" || return 1
        [ "$(wc -c <"$scratch/a")" -gt 500 ] || return 1
        if ! cmp "$scratch/a" "$scratch/b"; then
            echo "$table: $1 prints other numbers"
            return 1
        fi
    done
}

run "all codes are written, and read by us" written
ask_python h5py "h5py decodes every code as we do, and both are right"
ask_python netCDF4 "netCDF decodes every code as we do, and both are right"
name="ncdump prints every code as we decode it"
if command -v ncdump >/dev/null; then run "$name" same_in ncdump_values; else skip "$name" "no ncdump"; fi
name="h5dump prints every code as we decode it"
if command -v h5dump >/dev/null; then run "$name" same_in h5dump_values; else skip "$name" "no h5dump"; fi
echo "1..$count"
