# What mpirun prints when it aborts is no text at times, and grep would say no more than that.
grep() {
    command grep -a "$@"
}

# children PARENT: the processes it started, in order. A bare system has no pgrep.
children() {
    for entry in /proc/[0-9]*; do
        parent=$(sed 's/.*) . \([0-9]*\) .*/\1/' "$entry/stat" 2>/dev/null)
        if [ "$parent" = "$1" ]; then echo "${entry#/proc/}"; fi
    done | sort -n
}

# now: seconds, with a fraction.
now() {
    read -r up _ </proc/uptime
    echo "$up"
}

# since BEGUN: seconds that have passed.
since() {
    echo "$(now) $1" | awk '{ print $1 - $2 }'
}

# become CONDITION...: waits until it holds, up to 60 s.
become() {
    tries=0
    until "$@" 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || return 1
        sleep 0.1
    done
}

# alive PID: not ended, and not only waiting for someone to fetch its code.
alive() {
    state=$(sed 's/.*) \(.\).*/\1/' "/proc/$1/stat" 2>/dev/null)
    [ -n "$state" ] && [ "$state" != Z ]
}
