# Fills a page of doc/man with what a public header says of a part of the library. First file: the header; second: the
# page, in which a line {section NAME} is replaced by the declarations behind the comment /* NAME */ and what stands
# above them, {names} by what they declare.

function is_section(text) { return text ~ /^\/\* [A-Z][^.;:]* \*\/$/ }

NR == FNR && is_section($0) && before == "" {
    pending = substr($0, 4, length($0) - 6)
    before = $0
    next
}
NR == FNR && pending != "" && $0 == "" { section = pending; sections[section] = "" }
NR == FNR { pending = ""; before = $0 }
NR == FNR && /^#/ { section = /^#ifdef __cplusplus/ ? "" : section; next }
NR == FNR { if (section != "") sections[section] = sections[section] $0 "\n"; next }

# Comment lines become paragraphs, and " *   name   text" definitions.
function show_comment(text,    rows, n, i, row, word) {
    n = split(text, rows, "\n")
    for (i = 1; i <= n; i++) {
        row = rows[i]
        sub(/^\/\* ?/, "", row)
        sub(/ *\*\/$/, "", row)
        sub(/^ \* ?/, "", row)
        gsub(/\*/, "\\*", row)
        if (row ~ /^  [a-z][a-z_0-9]*(, [a-z_0-9]+)*  +[^ ]/) {
            sub(/^  /, "", row)
            match(row, /  +/)
            print ""
            print "*" substr(row, 1, RSTART - 1) "*"
            print ": " substr(row, RSTART + RLENGTH)
            inside = 1
        } else if (row ~ /^   /) {
            sub(/^ +/, "", row)
            print "  " row
        } else {
            if (inside && row != "") print ""
            inside = 0
            print row
        }
    }
    print ""
}

function show_declarations(text,    rows, n, i) {
    n = split(text, rows, "\n")
    for (i = 1; i <= n; i++)
        if (rows[i] != "") print "    " rows[i]
    print ""
}

function heading(text,    names, rest, found) {
    rest = text
    while (match(rest, /mb_[a-z0-9_]+\(/)) {
        found = substr(rest, RSTART, RLENGTH - 1)
        names = names (names == "" ? "" : ", ") found
        rest = substr(rest, RSTART + RLENGTH)
    }
    return names
}

# Blocks: a comment, then declarations up to a blank line or the next comment.
function show(section,    rows, n, i, comment, declared, in_comment) {
    n = split(sections[section], rows, "\n")
    for (i = 1; i <= n; i++) {
        if (!in_comment && rows[i] ~ /^\/\*/) {
            flush(comment, declared)
            comment = declared = ""
            in_comment = 1
        }
        if (in_comment) {
            comment = comment rows[i] "\n"
            if (rows[i] ~ /\*\/$/) in_comment = 0
        } else
            declared = declared rows[i] "\n"
    }
    flush(comment, declared)
}

function flush(comment, declared,    names) {
    if (declared !~ /[a-z]/) return
    names = heading(declared)
    if (names != "") print "### " names "\n"
    show_declarations(declared)
    sub(/\n$/, "", comment)
    show_comment(comment)
}

/^\{section / {
    name = substr($0, 10, length($0) - 10)
    if (!(name in sections)) { print FILENAME ": the header has no section " name > "/dev/stderr"; exit 1 }
    show(name)
    next
}
/^names: \{names [A-Z]/ {
    name = substr($0, 15, length($0) - 15)
    print "names: " heading(sections[name])
    next
}
{ print }
