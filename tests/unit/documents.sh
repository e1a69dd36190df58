#!/bin/sh
# The documents that name things of this tree name what is there: messages, tests, files.
work=$(mktemp -d "${TMPDIR:-/tmp}/mb-documents.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$MB_SRCDIR" || exit 1
: >"$work/missing"

report() { # NUMBER NAME
    if [ -s "$work/missing" ]; then
        sed 's/^/# /' "$work/missing"
        echo "not ok $1 - $2"
    else
        echo "ok $1 - $2"
    fi
    : >"$work/missing"
}

echo 1..3
# Texts of the sources, each in one piece and on a line; of a quoted message the parts between its dots are looked for.
find src -name '*.c' -exec cat {} + | tr '\n' ' ' | sed 's/" *"//g; s/} /}\n/g' >"$work/sources"
sed -n 's/^> //p' doc/guide.md >"$work/messages"
[ -s "$work/messages" ] || echo "no messages in doc/guide.md" >"$work/missing"
while read -r message; do
    printf '%s\n' "$message" | sed 's/…/\n/g' | sed "s/^[^a-zA-Z]*//; s/ *(*$//; s/'$//" | grep '.....' >"$work/parts"
    while read -r part; do
        grep -qF -- "$part" "$work/sources" || echo "no message of the sources has: $part"
    done <"$work/parts" >>"$work/missing"
done <"$work/messages"
report 1 "messages that the guide explains are in the sources"

for document in XSDK.md doc/guide.md SUPPORT.md doc/packaging.md; do
    grep -oE '`(tests|packaging)/[^` ]*`' "$document" | tr -d '`' | sort -u | while read -r path; do
        case $path in *'*'*) continue ;; esac
        [ -e "$path" ] || echo "$document names $path"
    done >>"$work/missing"
    # Links, without the place within their page.
    grep -oE '\]\([^)#:]*[#)]' "$document" | sed 's/^](//; s/[#)]$//' | grep . | sort -u | while read -r path; do
        [ -e "$(dirname "$document")/$path" ] || echo "$document links to $path"
    done >>"$work/missing"
done
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do
    grep -q "^| M$number " XSDK.md || echo "XSDK.md has no M$number"
done >>"$work/missing"
for number in 1 2 3 4 5 6 7 8; do
    grep -q "^| R$number " XSDK.md || echo "XSDK.md has no R$number"
done >>"$work/missing"
report 2 "files that documents name are there, and every policy of the xSDK has its line"

for file in README.md SUPPORT.md LICENSE CHANGELOG.md SECURITY.md; do
    [ -s "$file" ] || echo "no $file"
done >>"$work/missing"
report 3 "what a newcomer looks for is in the top folder"
