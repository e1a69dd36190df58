# Reads preprocessed C and writes a C program that prints the binary interface of the headers mb/*.h: each
# prototype and callback as text, each enumerator's value, each structure's size and the place of its fields.
# build-aux/abi.sh compiles and runs it.

/^# [0-9]+ "/ { ours = $3 ~ /\/mb\/[a-z_]+\.h"$/; next }
/^#/ || !ours { next }
{ text = text " " $0 }

function say(line) { printf "    puts(\"%s\");\n", line }

function name_of(declarator) {
    sub(/\[.*/, "", declarator)
    gsub(/[ *]+$/, "", declarator)
    match(declarator, /[A-Za-z_0-9]+$/)
    return substr(declarator, RSTART, RLENGTH)
}

function field(type, name) {
    printf "    printf(\"field %s.%s offset %%zu size %%zu\\n\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n",
        type, name, type, name, type, name
}

function fields(type, body,    members, n, i, parts, m, k) {
    n = split(body, members, ";")
    for (i = 1; i < n; i++) {
        if (match(members[i], /\([ ]*\*[ ]*[a-z_0-9]+[ ]*\)[ ]*\(/)) {
            parts[1] = substr(members[i], RSTART, RLENGTH)
            gsub(/[^a-z_0-9]/, "", parts[1])
            m = 1
        } else
            m = split(members[i], parts, ",")
        for (k = 1; k <= m; k++)
            field(type, name_of(parts[k]))
    }
}

function enumerators(body,    items, n, i) {
    n = split(body, items, ",")
    for (i = 1; i <= n; i++) {
        sub(/=.*/, "", items[i])
        gsub(/ /, "", items[i])
        if (items[i] != "")
            printf "    printf(\"enumerator %s %%d\\n\", (int)%s);\n", items[i], items[i]
    }
}

# A declaration that ends at a semicolon outside braces.
function declaration(all,    open, close_at, body, name, kind) {
    gsub(/__attribute__ *\(\(([^()]|\([^()]*\))*\)\)/, "", all)
    gsub(/[ \t]+/, " ", all)
    gsub(/^ | $/, "", all)
    if (all == "")
        return
    open = index(all, "{")
    if (open == 0) {
        if (all !~ /^typedef struct /)
            say((all ~ /^typedef/ ? "" : "function ") all)
        return
    }
    match(all, /}[^}]*$/)
    close_at = RSTART
    body = substr(all, open + 1, close_at - open - 1)
    name = substr(all, close_at + 1)
    gsub(/ /, "", name)
    kind = all ~ /^(typedef )?enum/ ? "enum" : "struct"
    if (name == "") {
        name = substr(all, 1, open - 1)
        gsub(/^ | $/, "", name)
    }
    printf "    printf(\"%s %s size %%zu\\n\", sizeof(%s));\n", kind, name, name
    if (kind == "enum")
        enumerators(body)
    else
        fields(name, body)
}

END {
    print "#include <mb/mb.h>"
    print "#include <mb/plugin.h>"
    print "#include <stddef.h>"
    print "#include <stdio.h>"
    print "int main(void)"
    print "{"
    n = split(constants, names, " ")
    for (i = 1; i <= n; i++)
        printf "    printf(\"constant %s %%lld\\n\", (long long)(%s));\n", names[i], names[i]
    depth = 0
    start = 1
    for (i = 1; i <= length(text); i++) {
        c = substr(text, i, 1)
        if (c == "{") depth++
        else if (c == "}") depth--
        else if (c == ";" && depth == 0) {
            declaration(substr(text, start, i - start))
            start = i + 1
        }
    }
    print "    return 0;"
    print "}"
}
