#!/usr/bin/env bats
# Data of every kind: the same bits as from the equal HDF5 file, and what is wrong with it.
load helper

setup() {
    export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
    cd "$BATS_TEST_TMPDIR" || return 1
    "$MB_BUILDDIR/tests/cli/samples"
}

rows_model() {
    run -0 "$MBRUN" new mlp input=4 hidden=8 classes=3 -o m.h5
}
images_model() {
    run -0 "$MBRUN" new cnn input="${1-6x8x3}" filters=4,4 dense=8 classes=3 -o i.h5 --force
}
need_images() {
    [ -d png ] || skip "this build has no libpng and libjpeg"
}

# weights RANKS MODEL OPTIONS...: what two epochs make of the model.
weights() {
    local n=$1 model=$2
    shift 2
    ranks "$n" "$model" --run r --restart --epochs 2 --batch 12 --replicas 2 --quiet "$@" &&
        digest r/final.h5 | grep weights
}

# same RANKS MODEL DATA OPTIONS...: as the HDF5 file does.
same() {
    local n=$1 model=$2 reference=$3
    shift 3
    local wanted got
    wanted=$(weights "$n" "$model" --data "$reference")
    got=$(weights "$n" "$model" "$@")
    echo "$n $*: $got, wanted $wanted"
    [ -n "$wanted" ] && [ "$got" = "$wanted" ]
}

@test "arrays and tables train to the bits of the HDF5 file, on one rank and on two" {
    rows_model
    for n in 1 2; do
        same $n m.h5 s.h5 --data x.npy,y.npy
        same $n m.h5 s.h5 --data s.npz
        same $n m.h5 s.h5 --data d.npz
        same $n m.h5 s.h5 --data s.csv --label kind
        same $n m.h5 s.h5 --data s.tsv --label -1
        same $n m.h5 s.h5 --data 'half-*.csv' --label kind
        same $n m.h5 s.h5 --data half-2.csv --data half-1.csv --label kind
    done
}

@test "two stages read what each needs" {
    rows_model
    wanted=$(weights 2 m.h5 --stages 2 --data s.h5)
    for data in "s.csv --label kind" d.npz; do
        # shellcheck disable=SC2086
        got=$(weights 2 m.h5 --stages 2 --data $data)
        echo "$data: $got, wanted $wanted"
        [ "$got" = "$wanted" ]
    done
}

@test "folders of images train to the bits of their data file, on one rank and on two" {
    need_images
    images_model
    for n in 1 2; do
        same $n i.h5 png.h5 --data png
        "$MBRUN" data jpg -o jpg.h5
        same $n i.h5 jpg.h5 --data jpg
    done
    images_model 12x10x1
    "$MBRUN" data jpg --size 12x10x1 -o small.h5
    for n in 1 2; do
        same $n i.h5 small.h5 --data jpg
    done
}

@test "images that are kept or decoded again train to the same bits" {
    need_images
    images_model 12x10x1
    "$MBRUN" data jpg --size 12x10x1 -o small.h5
    for size in 0 2K 1GiB; do # 2 KiB hold four images
        same 1 i.h5 small.h5 --data jpg --val jpg --image-cache $size
    done
    both 2 "image-cache.*'much'.*512MiB" i.h5 --data jpg --image-cache much
}

@test "classes known by name serve a loss that compares with a row a class" {
    rows_model
    loss=categorical_crossentropy:from_logits=true
    "$MBRUN" data s.csv --label kind -o t.h5
    a=$(weights 1 m.h5 --data t.h5 --loss $loss)
    b=$(weights 2 m.h5 --data s.csv --label kind --loss $loss)
    c=$(weights 1 m.h5 --data hot.h5 --loss $loss)
    echo "$a $b $c"
    [ -n "$a" ] && [ "$a" = "$b" ] && [ "$a" = "$c" ]
    refused 1 "labels 'y' .*one\|labels 'y' have shape" 1 m.h5 --data s.h5 --loss $loss --run q
    run -0 "$MBRUN" new mlp input=4 hidden=8 classes=2 -o two.h5
    both 1 "labels 'y' have 3 classes, but output .* has 2" two.h5 --data s.csv --label kind --run q
    cp "$FIXTURES/regress.h5" one.h5
    awk -F, -v OFS=, '{ print $0, $1 (NR == 1 ? 2 : ""), $2 (NR == 1 ? 2 : ""), $3 (NR == 1 ? 2 : ""), $4 (NR == 1 ? 2 : ""),
        $1 (NR == 1 ? 3 : ""), $2 (NR == 1 ? 3 : ""), $3 (NR == 1 ? 3 : ""), $4 (NR == 1 ? 3 : "") }' s.csv >wide.csv
    refused 1 "labels 'y' have 3 classes, but output .* has 2" 1 one.h5 --data wide.csv --label kind --run q \
        --loss binary_crossentropy:from_logits=true
}

@test "eval, validation and predict give words the integers of the training" {
    rows_model
    run -0 ranks 1 m.h5 --data s.csv --label kind --run r --epochs 3 --quiet
    (head -n 1 s.csv; grep -v bird s.csv | tail -n +2) >some.csv
    run -0 "$MBRUN" eval r/final.h5 --data some.csv --label kind --json
    by_words=$output
    "$MBRUN" data some.csv --label kind -o wrong.h5
    "$MBRUN" data s.csv --label kind -o s2.h5
    "$MBRUN" data some.csv --label kind --like s2.h5 -o right.h5
    run -0 "$MBRUN" eval r/final.h5 --data right.h5 --json
    [ "$(field loss - <<<"$output")" = "$(field loss - <<<"$by_words")" ]
    refused 1 'wrong.h5: the words that integers of .y. stand for' 1 eval r/final.h5 --data wrong.h5
    sed 's/dog/fox/' some.csv >odd.csv
    both 1 "odd.csv: line [0-9]*, column 'kind' (number 4): 'fox' is none of the 3 words" \
        eval r/final.h5 --data odd.csv --label kind
    run -0 ranks 1 m.h5 --data s.csv --val some.csv --label kind --run v --epochs 1 --quiet
    run -0 "$MBRUN" predict r/final.h5 --data s.csv --label kind -o p.h5
    cut -d, -f1-4 s.csv >bare.csv
    run -0 "$MBRUN" predict r/final.h5 --data bare.csv -o q.h5
    cmp p.h5 q.h5
}

@test "what is wrong with data is one message with its place, on every number of ranks" {
    rows_model
    sed '5s/^[^,]*/oops/' s.csv >bad.csv
    both 1 "bad.csv: line 5, column 'a' (number 0): 'oops' is no number" m.h5 --data bad.csv --label kind
    sed '7s/^[^,]*//' s.csv >bad.csv
    both 1 "bad.csv: line 7, column 'a' (number 0): the value is missing" m.h5 --data bad.csv --label kind
    both 1 '5 columns of features, but .* takes (4,): --label COLUMN' predict m.h5 --data s.csv -o o.h5
    both 2 "no column 'kin'" m.h5 --data s.csv --label kin
    both 2 '--label names a column of a table' m.h5 --data s.h5 --label kind
    head -c 500 s.npz >cut.npz
    both 1 'cut.npz. is a zip archive that is damaged or cut off' m.h5 --data cut.npz
    head -c 300 x.npy >cut.npy
    both 1 'cut.npy: the NPY header describes a file of .* truncated' m.h5 --data cut.npy,y.npy
    both 1 "x.npy: one array has no targets" m.h5 --data x.npy
    both 1 "no file has this name or matches" m.h5 --data 'nothing-*.csv'
    echo words >words
    both 1 'words: neither HDF5, NPY, NPZ nor IDX' m.h5 --data words
    refused 1 'words: neither IDX .*--text reads it as text' 1 data words -o o.h5
    nothing_left o.h5
}

@test "a damaged image in the middle of a training ends all ranks with its name" {
    need_images
    images_model
    head -c 200 png/cat/10.png >cut && mv cut png/cat/10.png
    both 1 'png/cat/10.png: the PNG image is truncated or damaged' i.h5 --data png
    refused 1 'png/cat/10.png' 1 data png -o o.h5
    [ ! -e o.h5 ]
    rm png/cat/10.png
    both 2 'val-split holds out the last samples' i.h5 --data png --val-split 0.2
    cp jpg/cat/10.jpg png/cat/odd.gif
    both 1 'png/cat/odd.gif: only PNG and JPEG' i.h5 --data png
}

@test "data shows a bar on a terminal and nothing on a pipe" {
    script -qec true /dev/null >/dev/null 2>&1 || skip "script (bsdutils) is not installed"
    ! is_reduced || skip "too slow"
    rows_model
    # Half a second of reading at least: before, nothing is shown.
    awk 'NR == 1 { print; next } { row[NR] = $0 }
         END { for (k = 0; k < 40000; k++) for (i in row) print row[i] }' s.csv >long.csv
    script -qec "$MBRUN data long.csv --label kind --normalize -o long.h5" typed >/dev/null
    grep -q 'reading  \[=* *\]  *[0-9]* %' typed
    run -0 --separate-stderr "$MBRUN" data long.csv --label kind -o long.h5
    [ -z "$stderr" ]
    grep -q 'long.h5: 1,920,000 samples of (4,) float32, with labels of 3 classes' <<<"$output"
}
