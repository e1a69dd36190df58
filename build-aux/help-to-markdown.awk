# Fills a page of doc/man with what the program says of a command. First file: `mbrun COMMAND --help`; second file: the
# page, in which the lines {usage}, {detail} and {options} are replaced, and {title}. First file `mbrun --help`: {commands} is
# the list of all, {pages} that of their pages.

NR == FNR && FNR == 1 { usage = $0; sub(/^Usage: /, "", usage); next }
NR == FNR && /^Commands:$/ { where = "commands"; next }
NR == FNR && where == "commands" && /^  [a-z]/ {
    name = $1
    sub(/^  [a-z]+ +/, "")
    names[++commands] = name
    titles[commands] = $0
    next
}
NR == FNR && where == "commands" { next }
NR == FNR && /^Options:$/ { where = "options"; next }
NR == FNR && where == "" { if ($0 != "") { title = $0; sub(/[.]$/, "", title); where = "detail" } next }
NR == FNR && where == "detail" { detail[++details] = $0; next }
NR == FNR && where == "options" && /^  -/ {
    text = substr($0, 3)
    if (length(text) > 28 && substr(text, 27, 2) == "  ") {
        term = substr(text, 1, 28)
        sub(/ +$/, "", term)
        options[++n] = term
        helps[n] = substr(text, 29)
    } else
        options[++n] = text
    next
}
NR == FNR { sub(/^ +/, ""); helps[n] = $0; next }

# Blank lines separate paragraphs; one with an indented line is shown as it is.
function show_detail(    i, k, j, shown, indented) {
    for (i = 1; i <= details; i = j + 1) {
        indented = 0
        for (j = i; j <= details && detail[j] != ""; j++)
            if (detail[j] ~ /^ /) indented = 1
        for (k = i; k < j; k++)
            print indented ? "    " detail[k] : marked(detail[k])
        print ""
    }
}

function show_options(    i, words, m, k, term) {
    for (i = 1; i <= n; i++) {
        m = split(options[i], words, " ")
        term = ""
        for (k = 1; k <= m; k++)
            term = term (k > 1 ? " " : "") (words[k] ~ /^-.*,$/ ? "**" substr(words[k], 1, length(words[k]) - 1) "**," \
                : words[k] ~ /^-/ ? "**" words[k] "**" : "*" words[k] "*")
        print term
        print ": " marked(helps[i])
        print ""
    }
}

# What stars and backticks of a help mean to Markdown they are not meant as.
function marked(text) {
    gsub(/\*/, "\\*", text)
    return text
}

# `help` is no page.
function show_commands(    i) {
    for (i = 1; i <= commands; i++)
        print (names[i] == "help" ? "**mbrun help**" : "**mbrun-" names[i] "**(1)") "\n: " marked(titles[i]) "\n"
}

function pages(    i, text) {
    for (i = 1; i <= commands; i++)
        if (names[i] != "help") text = text (i > 1 ? ", " : "") "**mbrun-" names[i] "**(1)"
    return text
}

/^\{commands\}$/ { show_commands(); next }
/\{pages\}/ { sub(/\{pages\}/, pages()) }
/^\{usage\}$/ { print "    " usage; next }
/^\{detail\}$/ { show_detail(); next }
/^\{options\}$/ { show_options(); next }
{ gsub(/\{title\}/, title); print }
