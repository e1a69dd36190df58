# Sourced by the tests of the bindings: what the tool makes of 64 points, so that each language's program can compare
# its digest with it, and what a program prints as cases.
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
count=0

result() { # STATUS NAME
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
    else
        echo "not ok $count - $2"
        tail -n 15 "$scratch/log" 2>/dev/null | cut -c 1-300 | sed 's/^/# /'
    fi
}

# The same points and settings stand in every program.
make_digest() {
    awk 'BEGIN { print "x1,x2,label"
        for (i = 0; i < 64; i++) {
            a = i * 37 % 64 / 32 - 1; b = (i * 53 + 11) % 64 / 32 - 1
            print a "," b "," (a * a + b * b < 0.5)
        } }' >points.csv
    "$MBRUN" data points.csv --label label -o points.h5 >log 2>&1 &&
        "$MBRUN" new mlp -o start.h5 input=2 hidden=8 classes=2 >log 2>&1 &&
        "$MBRUN" train start.h5 --data points.h5 --steps 12 --batch 16 --replicas 2 \
            --micro-batch 4 --run tool --device cpu --threads 1 >log 2>&1 &&
        digest=$("$MBRUN" inspect --digest tool/final.h5 | sed -n 's/^weights *//p') && [ -n "$digest" ]
    result $? "the tool trains on the points"
    rm -f start.h5
}

# cases WHAT COMMAND...: every line "ok NAME" or "not ok NAME" is a case; so is the end.
cases() {
    what=$1
    shift
    timeout -k 5 300 "$@" >cases 2>log
    ended=$?
    while read -r line; do
        case $line in
        'ok '*) result 0 "${line#ok }" ;;
        'not ok '*) result 1 "${line#not ok }" ;;
        esac
    done <cases
    result "$ended" "$what"
}
