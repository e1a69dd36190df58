# Lets Doxygen read the public headers as they are written for people: the comment above declarations, up to the next
# blank line, documents each of them; a comment behind one documents it; lines " *   name   text" are a list of arguments.
# The enumeration that an X-macro makes is written out with the macro's texts.

# The comment's lines for Doxygen: arguments by name, everything else as it stands.
function take(text, first) {
    sub(/^\/\* ?/, first ? "/** " : " * ", text)
    if (text ~ /^ \*   [a-z][a-z_0-9]*(, [a-z_0-9]+)*  +[^ ]/) {
        sub(/^ \*   /, "", text)
        match(text, /  +/)
        text = " * - `" substr(text, 1, RSTART - 1) "`: " substr(text, RSTART + RLENGTH)
        in_list = 1
    } else if (text ~ /^ \*    +[^ ]/ && in_list) {
        sub(/^ \* +/, " *   ", text)
    } else if (in_list && text ~ /^ \* [^ ]/) {
        in_list = 0
        text = " *\n" text
    }
    return text
}

NR == 1 && /^\/\*/ { head = 1 }
# The texts of the statuses.
/^    X\(MB_[A-Z_]+, / {
    line = $0
    sub(/^    X\(/, "", line)
    name = line; sub(/,.*/, "", name)
    value = line; sub(/^[^,]*, /, "", value); sub(/,.*/, "", value)
    text = line; sub(/^[^"]*"/, "", text); sub(/".*/, "", text)
    enumerators = enumerators "    " name " = " value ", /**< " text " */\n"
}
/define MB_STATUS_ENUM/ { printf "%s", enumerators; skipping = 1 }
skipping { if (/^#undef MB_STATUS_ENUM/) skipping = 0; print ""; next }

# A comment of its own lines.
/^ *\/\*/ && !/\*\/ *[^ ]/ {
    indent = $0; sub(/\/\*.*/, "", indent)
    line = substr($0, length(indent) + 1)
    comment = take(line, 1)
    if (head) sub(/^\/\*\* /, "/** @file\n * ", comment)
    comment = indent comment "\n"
    in_comment = $0 !~ /\*\//
    in_list = 0
    if (!in_comment && head) { print comment; comment = ""; head = 0 }
    next
}
in_comment {
    line = $0
    sub(/^ +\*/, " *", line)
    comment = comment take(line, 0) "\n"
    if ($0 ~ /\*\//) {
        in_comment = 0
        in_list = 0
        if (head) { print comment; comment = ""; head = 0 }
    }
    next
}
/^ *$/ { comment = ""; continued = 0; print; next }
{
    line = $0
    documented = line ~ /(;|,|#define |[0-9]).*\/\* .*\*\/$/
    if (documented) sub(/\/\* /, "/**< ", line)
    # A declaration begins where the one before ended.
    if (!continued && !documented && line !~ /^[{}]|^ *}|^#(if|endif|else|include|undef)/) printf "%s", comment
    continued = line !~ /[;{}]$|[;,] +\/\*\*< .*\*\/$|^#/ || line ~ /\\$/
    if (line ~ /[{]$/) comment = ""
    print line
}
