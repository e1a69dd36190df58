#!/bin/sh
# mbrun info lists the GPUs that there are, or says in one line why there are none.
if [ ! -e "$MB_BUILDDIR/mbcudasim.so" ]; then
    echo "1..0 # SKIP the CUDA toolkit's headers were not found"
    exit 0
fi
scratch=$(mktemp -d "${TMPDIR:-/tmp}/mb-info.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
ln -s "$MB_BUILDDIR/mbcudasim.so" "$scratch/mbcuda.so"
export MB_PLUGINS=$scratch
count=0

check() { # WHAT COMMAND...
    what=$1
    shift
    count=$((count + 1))
    if "$@"; then
        echo "ok $count - $what"
    else
        echo "not ok $count - $what"
        sed 's/^/# /' "$scratch/text" | head -n 14
    fi
}

info() { # DEVICES
    MB_CUDASIM_DEVICES=$1 "$MBRUN" info >"$scratch/text" 2>&1 &&
        MB_CUDASIM_DEVICES=$1 "$MBRUN" info --json >"$scratch/json"
}

count_is() { # NUMBER PATTERN FILE
    [ "$(grep -o "$2" "$scratch/$3" | wc -l)" -eq "$1" ]
}

check "info ends with 0 where there are three GPUs" info 3
check "info has a line for each" count_is 3 '[0-2]: simulated device, compute capability 9.0, 16 GiB, at 0000:1[0-2]:00.0' text
check "info says what the plugin was built with" count_is 1 '^GPU plugin  *CUDA [0-9.]* for compute capabilities [0-9,]*, runtime [0-9.]*, driver [0-9.]*$' text
check "info has an object for each as JSON" count_is 3 '"compute_capability": *\[9, *0\]' json
check "info ends with 0 where there is no GPU" info 0
check "info says why there is none, in one line" count_is 1 '^GPU  *none: .*cudaErrorNoDevice' text
check "info lists none as JSON" count_is 1 '"cards": *\[\]' json
echo "1..$count"
