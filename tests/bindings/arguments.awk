# Prints "NAME COUNT" for every function of the library that a file declares, with the number of its arguments:
#   -v language=c        declarations of a header
#   -v language=fortran  interfaces: function f(a, b) bind(C, name="NAME")
#   -v language=python   lines of a table: "NAME": [c_int, POINTER(c_int)],
function count(list) {
    while (gsub(/\([^()]*\)/, "", list)) {}
    gsub(/[ \t\n]/, "", list)
    if (list == "" || list == "void") return 0
    return gsub(/,/, ",", list) + (list !~ /,$/)
}
{ text = text $0 "\n" }
END {
    if (language == "c") {
        while (match(text, /\/\*([^*]|\*+[^*\/])*\*+\//))
            text = substr(text, 1, RSTART - 1) " " substr(text, RSTART + RLENGTH)
        declaration = "mb_[a-z0-9_]+\\([^;{}]*\\);"
    } else if (language == "fortran") {
        gsub(/&[ \t]*\n[ \t]*/, "", text)
        declaration = "function [a-z0-9_]+\\([^()]*\\) *bind\\(C, name=\"mb_[a-z0-9_]+\""
    } else
        declaration = "\"mb_[a-z0-9_]+\": \\[[^]]*\\]"
    while (match(text, declaration)) {
        found = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        match(found, /mb_[a-z0-9_]+/)
        if (language == "fortran") match(found, /"mb_[a-z0-9_]+/)
        name = substr(found, RSTART, RLENGTH)
        sub(/"/, "", name)
        list = found
        if (language == "python") { sub(/^[^[]*\[/, "", list); sub(/\]$/, "", list) }
        else { sub(/^[^(]*\(/, "", list); sub(/\)[^)]*$/, "", list) }
        if (language == "fortran") sub(/\).*/, "", list)
        print name, count(list)
    }
}
