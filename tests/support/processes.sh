# children PARENT: the processes it started, in order. A bare system has no pgrep.
children() {
    for entry in /proc/[0-9]*; do
        parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "$entry/stat" 2>/dev/null)
        if [ "$parent" = "$1" ]; then echo "${entry#/proc/}"; fi
    done | sort -n
}
