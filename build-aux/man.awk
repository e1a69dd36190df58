# Turns the Markdown of doc/man into a manual page for man(7). The subset: "# name(1) - title", a line "names: a, b"
# behind it where a page has several, "## SECTION", "### Subsection", paragraphs, "- " items, code indented by four
# spaces, and definitions: a term with lines ": text" behind it; **bold**, *italic* and `code` within a line.
# Variables: version.

function escaped(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/'/, "\\(aq", text)
    gsub(/\^/, "\\(ha", text)
    gsub(/~/, "\\(ti", text)
    gsub(/`/, "\\(ga", text)
    return text
}

# One mark and what it surrounds, over and over. "\*" is a star.
function inline(text,    out, mark, found) {
    out = ""
    gsub(/\\[*]/, "\001", text)
    while (match(text, /`[^`]+`|\*\*[^*]+\*\*|\*[^* ][^*]*\*/)) {
        found = substr(text, RSTART, RLENGTH)
        out = out escaped(substr(text, 1, RSTART - 1))
        text = substr(text, RSTART + RLENGTH)
        mark = found ~ /^\*\*/ ? 2 : 1
        out = out (found ~ /^\*[^*]/ ? "\\fI" : "\\fB") escaped(substr(found, mark + 1, length(found) - 2 * mark)) "\\fR"
    }
    out = out escaped(text)
    gsub("\001", "*", out)
    return out
}

# No line of text begins as a request does.
function guarded(text) { return text ~ /^[.]/ ? "\\&" text : text }
function say(text) { print guarded(inline(text)) }

function head(text,    words, parts) {
    split(text, words, " ")
    split(words[2], parts, /[()]/)
    printf ".TH \"%s\" %s \"\" \"mbrun %s\"\n", escaped(toupper(parts[1])), parts[2], version
    sub(/^# [^ ]+ - /, "", text)
    names = parts[1]
    if (lines[at + 1] ~ /^names: /) names = substr(lines[++at], 8)
    print ".SH NAME"
    print escaped(names) " \\- " escaped(text)
}

# Indented lines, with blank ones between them.
function code(    blank) {
    print ".PP\n.RS 4\n.EX"
    for (; at <= n && lines[at] ~ /^    |^$/; at++) {
        if (lines[at] == "") { blank++; continue }
        for (; blank > 0; blank--) print ""
        print guarded(escaped(substr(lines[at], 5)))
    }
    at -= blank + 1
    print ".EE\n.RE"
}

# The lines of a paragraph, the first of which is given without what marks it.
function paragraph(first) {
    say(first)
    while (at < n && lines[at + 1] !~ /^$|^- |^#|^: |^    / && lines[at + 2] !~ /^: /) {
        at++
        sub(/^ +/, "", lines[at])
        say(lines[at])
    }
}

function block(text) {
    if (text == "") return
    if (text ~ /^# /) head(text)
    else if (text ~ /^## /) print ".SH \"" inline(substr(text, 4)) "\""
    else if (text ~ /^### /) print ".SS \"" inline(substr(text, 5)) "\""
    else if (text ~ /^    /) code()
    else if (text ~ /^- /) { print ".IP \\(bu 2"; paragraph(substr(text, 3)) }
    else if (text ~ /^: /) { if (lines[at - 1] == "") print ".IP"; paragraph(substr(text, 3)) }
    else if (lines[at + 1] ~ /^: /) { print ".TP"; say(text) }
    else { print ".PP"; paragraph(text) }
}

{ lines[++n] = $0 }
END { for (at = 1; at <= n; at++) block(lines[at]) }
