#!/bin/sh
# usage: bench/gpu/registers.sh FILE...
# What the kernels in objects of `make cuda` (build/kernels/*.cuo, or mbcuda.so) take: registers of a thread,
# local memory where there is any (what spilled, and arrays by index) and static shared memory, in bytes, on
# each architecture; of the instances of a template the worst. Fails if a kernel of attention, of
# convolutions or of stored weights spills. Needs cuobjdump of the CUDA toolkit ($CUOBJDUMP) and c++filt.
set -eu
: "${CUOBJDUMP:=cuobjdump}"
[ $# -gt 0 ] || { sed -n 's/^# //p' "$0" >&2; exit 2; }
command -v "$CUOBJDUMP" >/dev/null || { echo "$0: there is no $CUOBJDUMP; set CUOBJDUMP" >&2; exit 2; }

# One line a function: architecture, source, registers, local bytes, shared bytes, name. nvcc puts the
# source's name into that of its anonymous namespace.
functions() {
    awk '
        /^arch = / { arch = $3 }
        $1 == "Function" { name = $2; sub(/:$/, "", name) }
        $1 ~ /^REG:/ {
            for (i = 1; i <= NF; i++) {
                split($i, pair, ":")
                of[pair[1]] = pair[2]
            }
            source = "?"
            if (match(name, /_GLOBAL__N__[0-9a-f]+_[0-9]+_/)) {
                source = substr(name, RSTART + RLENGTH)
                sub(/_cu_.*/, "", source)
            }
            print arch, source, of["REG"], of["STACK"] + of["LOCAL"], of["SHARED"], name
        }'
}

table() {
    awk '
        function longest(a, b) { return a > b ? a : b }
        function cell(key, arch) {
            if (!((key, arch) in registers))
                return "-"
            spilled = spills[key, arch] > 0 ? " + " spills[key, arch] : ""
            return registers[key, arch] spilled
        }
        {
            kernel = $0
            sub(/^[^(]*\(anonymous namespace\)::/, "", kernel)
            sub(/[<(].*/, "", kernel)
            key = $2 " | " kernel
            if (!(key in known))
                keys[++n] = key
            if (!($1 in seen))
                arches[++m] = $1
            known[key] = seen[$1] = 1
            instances[key, $1]++
            most[key] = longest(most[key], instances[key, $1])
            registers[key, $1] = longest(registers[key, $1], $3)
            spills[key, $1] = longest(spills[key, $1], $4)
            shared[key] = longest(shared[key], $5)
            if ($4 > 0 && $2 ~ /^(attention|conv|stored)_/)
                bad = bad "\n" key " on " $1 ": " $4 " bytes"
        }
        END {
            line = "| source | kernel | instances |"
            rule = "|---|---|---:|"
            for (a = 1; a <= m; a++) {
                line = line " " arches[a] " |"
                rule = rule "---:|"
            }
            print line " shared |"
            print rule "---:|"
            for (k = 1; k <= n; k++) {
                line = "| " keys[k] " | " most[keys[k]] " |"
                for (a = 1; a <= m; a++)
                    line = line " " cell(keys[k], arches[a]) " |"
                print line " " shared[keys[k]] + 0 " |"
            }
            if (n == 0) {
                print "no kernels found" | "cat >&2"
                exit 1
            }
            if (bad != "") {
                print "These spill:" bad | "cat >&2"
                exit 1
            }
        }'
}

for file; do
    "$CUOBJDUMP" --dump-resource-usage "$file"
done | functions | c++filt | table
