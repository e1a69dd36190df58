#!/bin/sh
# Every call that mb.h declares is in each binding, with as many arguments, and every status has its number there.
# What a binding does without stands here, with the reason.
exempt() {
    cat <<'END'
fortran mb_context_create       the module takes communicators as Fortran has them: mb_context_create_f
python mb_context_create        mpi4py gives Fortran's handle, whatever an MPI_Comm is: mb_context_create_f
cxx mb_context_create_f         C++ has MPI_Comm itself
fortran mb_context_register     what it registers are structs of C's function pointers (mb/plugin.h)
python mb_context_register      what it registers are structs of C's function pointers (mb/plugin.h)
END
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
count=0

result() { # STATUS NAME: what is missing stands in $work/log
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then echo "ok $count - $2"; else
        echo "not ok $count - $2"
        sed 's/^/# /' "$work/log"
    fi
}

declared() { # LANGUAGE FILE
    awk -v language="$1" -f "$MB_SRCDIR/tests/bindings/arguments.awk" "$MB_SRCDIR/$2" | LC_ALL=C sort -u
}

wanted() { # BINDING
    exempt | awk -v binding="$1" '$1 == binding { print $2 }' >"$work/exempt"
    awk 'FNR == NR { left[$1] = 1; next } !($1 in left)' "$work/exempt" "$work/header"
}

# compared BINDING FILE: what the binding declares has the header's names and numbers of arguments.
compared() {
    wanted "$1" >"$work/wanted"
    declared "$1" "$2" >"$work/found"
    diff "$work/wanted" "$work/found" >"$work/log"
    result $? "$2 declares the functions of mb.h with their arguments"
}

# used BINDING FILE SED NAME: each name, changed by SED, stands in the file as a word.
used() {
    wanted "$1" | cut -d ' ' -f 1 | sed "$3" | while read -r name; do
        grep -qw -- "$name" "$MB_SRCDIR/$2" || echo "$2 has no $name"
    done >"$work/log"
    [ ! -s "$work/log" ]
    result $? "$2 $4"
}

declared c include/mb/mb.h >"$work/header"
awk -f "$MB_SRCDIR/build-aux/public-symbols.awk" "$MB_SRCDIR/include/mb/mb.h" | LC_ALL=C sort -u >"$work/exported"
cut -d ' ' -f 1 "$work/header" | diff "$work/exported" - >"$work/log" && [ -s "$work/header" ]
result $? "the functions counted are those that the library exports"

# Functions that return something else are not in Python's table of those that return a status.
compared fortran fortran/mb_c.f90
awk '$1 !~ /^mb_(error_message|error_rank|status_name|version)$/' "$work/header" >"$work/statuses"
mv "$work/header" "$work/all" && cp "$work/statuses" "$work/header"
compared python python/mb.py
mv "$work/all" "$work/header"
used fortran fortran/mb.f90 's/^mb_/c_/; s/_create_f$/_create/' "calls every function"
used fortran fortran/mb.f90 's/_create_f$/_create/' "gives every function its name"
used cxx include/mb/mb.hpp '' "calls every function"
used python python/mb.py '' "calls every function" 

sed -n 's/^ *X(\(MB_[A-Z_]*\), \(-*[0-9]*\),.*/\1 \2/p' "$MB_SRCDIR/include/mb/status.h" |
    while read -r name value; do
        grep -q "$name = $value\([,& ]\|\$\)" "$MB_SRCDIR/fortran/mb_c.f90" || echo "mb_c.f90: $name is not $value"
        grep -qw -- "$name" "$MB_SRCDIR/fortran/mb.f90" || echo "mb.f90 has no $name"
        grep -q -- " $value: \"${name#MB_}\"" "$MB_SRCDIR/python/mb.py" || echo "mb.py: $name is not $value"
    done >"$work/log"
[ ! -s "$work/log" ]
result $? "statuses have their numbers in every binding"
echo "1..$count"
