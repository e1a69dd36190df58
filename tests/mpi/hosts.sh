#!/bin/sh
# Several hosts, each a network namespace: a run over TCP has the bits of a run on one; a host that is cut off in the
# middle is named in time, and the others go on with its work; and ranks that live on behind the cut write nothing
# once another start has the run.
. "$MB_SRCDIR/tests/mpi/runs_lib.sh"
. "$MB_SRCDIR/tests/support/processes.sh"
. "$MB_SRCDIR/tests/support/hosts.sh"

launcher=
clean_up() {
    [ -z "$launcher" ] || kill -KILL "$launcher"
    hosts_remove
    rm -rf "$scratch"
}
trap clean_up EXIT
trap "exit 1" TERM INT HUP
hosts_make 3 >"$scratch/why" || { echo "1..0 # SKIP $(cat "$scratch/why")" && exit 0; }

deadline=2
steps=200
words() { # RUN
    echo "$model --data $scratch/data.h5 --run $scratch/$1.run --threads 1 --batch 32 --micro-batch 4 --replicas 2" \
        "--steps $steps --checkpoint-every 10 --deadline ${deadline}s"
}

has_checkpoint() { # RUN
    ls "$scratch/$1.run" | grep -q '^step-'
}

ended() {
    ! alive "$launcher"
}

# shellcheck disable=SC2046
"$MBRUN" $(words one) >"$scratch/out" 2>&1
wanted=$(digests one)
hosts_shape h2 50mbit
hosts_mpirun h1 h1:1 h2:1 h3:1 -- -n 3 "$MBRUN" $(words three) --stages 3 >"$scratch/out" 2>&1 </dev/null
[ "$wanted" ] && [ "$(digests three)" = "$wanted" ]
result $? "three hosts over TCP, one behind a slow link, come to the bits of one"

under_way() { # RUN
    has_checkpoint "$1" || ended
}

# cut HOST RUN: takes it off while the run is on, and waits for the end.
cut() {
    become under_way "$2"
    begun=$(now)
    hosts_cut "$1"
    become ended || kill -KILL "$launcher"
    wait "$launcher"
    code=$?
    launcher=
    took=$(since "$begun")
    echo "# $1 cut off, $took s, code $code: $(grep -A 9 'mbrun: error' "$scratch/out" | head -n 4)"
    grep -q 'mbrun: error' "$scratch/out" || sed 's/^/# /' "$scratch/out"
}

# reported HOST RANK
reported() {
    [ "$code" -ne 0 ] && [ "$(grep -c 'mbrun: error' "$scratch/out")" -eq 1 ] &&
        grep -Eq "mbrun: error( \(rank 1\))?: rank $2 on $1 has said nothing for [0-9]+ s; it was last in stage $2, " \
            "$scratch/out" &&
        awk -v took="$took" -v most=$((deadline + 10)) 'BEGIN { exit !(took <= most) }'
}

hosts_mpirun h1 h1:1 h2:1 h3:1 -- -n 3 "$MBRUN" $(words cut) --stages 3 >"$scratch/out" 2>&1 </dev/null &
launcher=$!
cut h3 cut
reported h3 2
result $? "a host that is cut off ends the run in time, and the report begins with its rank"
grep -q '^  rank 0 on h1: ' "$scratch/out" && grep -q '^  rank 1 on h2: ' "$scratch/out"
result $? "and says what the others waited for"

hosts_mpirun h1 h1:1 h2:1 -- -n 2 "$MBRUN" $(words cut) --stages 2 >"$scratch/out" 2>&1 </dev/null
[ "$(digests cut)" = "$wanted" ]
result $? "the same command on the hosts that are left comes to the bits of an undisturbed run"

hosts_mend h3
hosts_mpirun h1 h2:1 h3:1 -- -n 2 "$MBRUN" $(words zero) --stages 2 >"$scratch/out" 2>&1 </dev/null &
launcher=$!
cut h2 zero
reported h2 0
result $? "so it does where rank 0 is the one that is cut off"
hosts_mend h2

# Both ranks are on the host that is cut off, and mpirun is not: they need no network, and go on. Without the settings
# that tell Open MPI of the cut they do so for long.
hosts_settings=
hosts_mpirun h1 h2:2 -- -n 2 "$MBRUN" $(words lease) --stages 2 >"$scratch/out" 2>&1 </dev/null &
launcher=$!
become has_checkpoint lease
owner=$(sed -n 's/^pid //p' "$scratch/lease.run/lease")
hosts_cut h2
newest() { # RUN
    ls "$scratch/$1.run" | grep '^step-.*h5$' | tail -n 1
}
before=$(newest lease)
lives_on() {
    [ "$(newest lease)" != "$before" ]
}
become lives_on
hosts_on h3 timeout 60 "$MBRUN" $(words lease) >"$scratch/second" 2>&1
[ $? -eq 1 ] && grep -q "in use by process $owner on h2" "$scratch/second"
result $? "another start is refused while ranks behind a cut go on"

# They hang for more than a minute, as on a node that thrashes; the other start takes the run; and they wake.
kill -STOP "$owner"
touch -d '-2 minutes' "$scratch/lease.run/lease"
steps=$(expr "$(newest lease | tr -dc 0-9 | sed 's/5$//; s/^0*//')" + 40)
# shellcheck disable=SC2046
hosts_on h3 "$MBRUN" $(words lease) --checkpoint-every 5 >"$scratch/second" 2>&1 &
second=$!
taken() {
    grep -q '^host h3' "$scratch/lease.run/lease"
}
become taken
kill -CONT "$owner"
wait "$second"
code=$?
owner_ended() {
    ! alive "$owner"
}
become owner_ended
ended_alone=$?
[ $code -eq 0 ] && [ $ended_alone -eq 0 ] && [ "$(newest lease | tr -dc 0-9 | sed 's/5$//; s/^0*//')" -le $steps ]
result $? "once another start has taken the run, they end and write nothing"
echo "1..$count"
