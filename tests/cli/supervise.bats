#!/usr/bin/env bats
# mbrun supervise, over commands that fail as they are told to, and over a real mpirun.
load helper

# A command that does what the lines of `script` say, one at each start.
scripted() {
    cat >script
    cat >command <<'END'
#!/bin/sh
echo "$*" >>starts
line=$(sed -n "$(wc -l <starts)p" script)
eval "$line"
END
    chmod +x command
}

supervise() {
    timeout -k 5 "$LIMIT" "$MBRUN" supervise --backoff 0.01s "$@"
}

@test "wrong usage is said, with the nearest right spelling" {
    refused 2 "do you mean '--max-restarts'" 1 supervise --max-restart 3 -- true
    refused 2 "supervise wants a command" 1 supervise --max-restarts 3
    refused 2 "'mpirun': put -- in front of the command" 1 supervise --max-restarts 3 mpirun -np 4 mbrun m.h5
    refused 2 "--max-restarts: 'x' is not a whole number" 1 supervise --max-restarts x -- true
    refused 2 "--backoff: '10' is not a time: 10s, 2min" 1 supervise --backoff 10 -- true
    refused 2 "--requeue.*SLURM_JOB_ID" 1 supervise --requeue 3 -- true
    run -2 "$MBRUN" supervise --run x.run -- ./nowhere
    grep -q "^mbrun: error: './nowhere' could not be started: No such file" <<<"$output"
}

@test "a command that fails is started again, and its end is the end" {
    scripted <<<$'exit 1\nexit 139\nexit 0'
    run -0 supervise -- ./command -x 1
    echo "$output"
    [ "$(cat starts)" = $'-x 1\n-x 1\n-x 1' ]
    grep -q 'failed with exit code 139' <<<"$output"
    grep -q 'start 3: ./command -x 1' <<<"$output"
}

@test "wrong usage and a stop on request end it with their codes" {
    for code in 2 85; do
        rm -f starts
        scripted <<<"exit $code"
        run -$code supervise -- ./command
        [ "$(wc -l <starts)" -eq 1 ]
    done
}

@test "restarts are bounded" {
    scripted <<<$'exit 3\nexit 3\nexit 7\nexit 0'
    run -7 supervise --max-restarts 2 -- ./command
    grep -q 'not started again after 2 restarts (--max-restarts)' <<<"$output"
}

@test "the same step twice without a new checkpoint ends it, a new checkpoint does not" {
    mkdir m.run
    fail='echo "{\"step\": 7}" >>m.run/metrics.jsonl; exit 1'
    scripted <<<"touch m.run/step-00000003.h5; $fail"$'\n'"touch m.run/step-00000005.h5; $fail"$'\n'"$fail"$'\n'"exit 0"
    run -1 supervise --run m.run -- ./command
    echo "$output"
    [ "$(wc -l <starts)" -eq 3 ]
    grep -q 'failed with exit code 1 after step 7; the newest checkpoint is of step 5' <<<"$output"
    grep -q 'the same failure twice without a new checkpoint' <<<"$output"
    rm -rf m.run starts
    run -1 supervise --run m.run -- ./command
    [ "$(wc -l <starts)" -eq 2 ]
    grep -q 'failed with exit code 1 before its first step; there is no checkpoint' <<<"$output"
}

@test "a host that is lost, or kills ranks twice, is left out" {
    cat >mpirun <<'END'
#!/bin/sh
echo "$*" >>starts
case $(wc -l <starts) in
1) echo "  Remote daemon: [[1,0],2] on node c" >&2 ;;
2 | 3) echo "mpirun noticed that process rank 1 with PID 9 on node b exited on signal 9 (Killed)." >&2 ;;
*) exit 0 ;;
esac
exit 137
END
    chmod +x mpirun
    run -0 supervise -- ./mpirun -np 6 -H a:2,b:2,c:2 mbrun m.h5 --run none.run --stages 6
    echo "$output"
    [ "$(cat starts)" = "-np 6 -H a:2,b:2,c:2 mbrun m.h5 --run none.run --stages 6
-np 4 -H a:2,b:2 mbrun m.h5 --run none.run
-np 4 -H a:2,b:2 mbrun m.h5 --run none.run
-np 2 -H a:2 mbrun m.h5 --run none.run" ]
    grep -q 'host c is lost' <<<"$output"
    grep -q 'rank 1 on b ended by signal 9 (Killed)' <<<"$output"
    grep -q 'going on without host b: 1 of 3 are left' <<<"$output"
}

@test "a rank of a real run that is killed is named, and the run comes to the same bits" {
    fixture mlp
    options="--data data.h5 --replicas 2 --micro-batch 8 --threads 1 --checkpoint-every 5 --quiet"
    # shellcheck disable=SC2086
    "$MBRUN" supervise --backoff 0.01s -- "$MPIEXEC" -n 2 "$MBRUN" model.h5 $options --epochs 100000 \
        --run parts.run >out 2>&1 3>&- &
    first=$!
    wait_for 60 compgen -G 'parts.run/step-*.h5' >/dev/null
    launcher=$(children $first | head -n 1)
    victim=$(children "$launcher" | sed -n 2p)
    [ -n "$victim" ] || skip "the ranks are no children of the launcher"
    kill -KILL "$victim"
    wait_for 60 grep -q 'start 2: ' out
    grep -q 'mbrun supervise: .* rank 1 on .* ended by signal 9 (Killed)' out
    grep -q 'failed with exit code 137 after step [0-9]*; the newest checkpoint is of step [0-9]*' out
    kept=$(sed -n 's/.*the newest checkpoint is of step \([0-9]*\)$/\1/p' out)
    goes_on() { [ "$(ls parts.run/step-*.h5 | tail -n 1)" != "parts.run/step-$(printf %08d "$kept").h5" ]; }
    wait_for 60 goes_on
    kill -USR1 $first
    code=0
    wait $first || code=$?
    cat out
    [ $code -eq 85 ]
    step=$(field step parts.run/metrics.jsonl)
    # shellcheck disable=SC2086
    ranks 1 model.h5 $options --steps "$step" --run whole.run
    [ "$(digest whole.run/final.h5)" = "$(digest "parts.run/step-$(printf %08d "$step").h5")" ]
}

@test "SIGTERM leaves time for a checkpoint under mpirun" {
    fixture mlp
    "$MBRUN" supervise -- "$MPIEXEC" -n 2 "$MBRUN" model.h5 --data data.h5 --epochs 100000 --quiet \
        >out 2>&1 3>&- &
    first=$!
    wait_for 60 test -s model.run/metrics.jsonl
    kill -TERM $first
    code=0
    wait $first || code=$?
    cat out
    [ $code -eq 85 ]
    "$MBRUN" inspect --verify "$(ls model.run/step-*.h5 | tail -n 1)"
}

@test "a signal during the wait ends it" {
    scripted <<<$'exit 1'
    "$MBRUN" supervise --backoff 60s -- ./command >out 2>&1 3>&- &
    first=$!
    wait_for 20 grep -q 'restart 1 of' out
    kill -TERM $first
    code=0
    wait $first || code=$?
    [ $code -eq 85 ]
    grep -q 'asked to stop while waiting' out
}
