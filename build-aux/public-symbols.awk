# Prints the functions that a C header declares: identifiers mb_* followed by an opening parenthesis,
# outside comments and preprocessor lines.
{
    text = $0
    while (1) {
        if (inside) {
            end = index(text, "*/")
            if (end == 0) { text = ""; break }
            text = substr(text, end + 2)
            inside = 0
        }
        start = index(text, "/*")
        if (start == 0) break
        close_at = index(substr(text, start), "*/")
        if (close_at == 0) { text = substr(text, 1, start - 1); inside = 1; break }
        text = substr(text, 1, start - 1) " " substr(text, start + close_at + 1)
    }
    sub(/\/\/.*/, "", text)
    if (directive || text ~ /^[ \t]*#/) {
        directive = (text ~ /\\$/)
        next
    }
    while (match(text, /mb_[a-z0-9_]+[ \t]*\(/)) {
        name = substr(text, RSTART, RLENGTH)
        before = RSTART > 1 ? substr(text, RSTART - 1, 1) : " "
        sub(/[ \t]*\(/, "", name)
        # A type in front of the parenthesis is what a pointer to a function returns.
        if (before !~ /[A-Za-z0-9_]/ && name !~ /_t$/) print name
        text = substr(text, RSTART + RLENGTH)
    }
}
