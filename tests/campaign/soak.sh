#!/bin/sh
# A long run of a small model with a checkpoint every 50 steps: memory and open files of each rank stay as they
# are, and its last thousand steps take as long as its first.
#
#     tests/campaign/soak.sh RESULTS [STEPS [RANKS]]
#
# in a build folder; MB_SRCDIR names the sources (default: the folder above). 200,000 steps on 2 ranks unless told
# otherwise; MB_SOAK_FOLDER is where the run lives. RESULTS gets a line "STEP SECONDS CPU RANK KIB FILES" for
# each rank about every second: seconds of the clock when that checkpoint was written, and of all ranks' CPUs. A run
# that was stopped goes on when the script is started again, and what is compared is then its last process.
[ $# -ge 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" && exit 2; }
MB_BUILDDIR=${MB_BUILDDIR-$PWD}
MB_SRCDIR=${MB_SRCDIR-$(cd "$(dirname "$0")/../.." && pwd)}
MBRUN=${MBRUN-$MB_BUILDDIR/mbrun}
MPIEXEC=${MPIEXEC-mpirun}
results=$1 steps=${2-200000} ranks=${3-2}
. "$MB_SRCDIR/tests/support/environment.sh"
. "$MB_SRCDIR/tests/support/processes.sh"
folder=${MB_SOAK_FOLDER-$(mktemp -d "${TMPDIR:-/tmp}/mb-soak.XXXXXX")} || exit 1
rm -rf "$folder/ranks"
mkdir -p "$folder/ranks"
cp "$MB_SRCDIR/tests/fixtures/mlp.h5" "$folder/model.h5"
cp "$MB_SRCDIR/tests/fixtures/mlp.ref.h5" "$folder/data.h5"
: >"$results"

# Each rank leaves its process' number.
# shellcheck disable=SC2016 -- the rank's own shell expands it
"$MPIEXEC" -n "$ranks" sh -c 'echo >"$0/ranks/$$" && exec "$@"' "$folder" "$MBRUN" "$folder/model.h5" --data "$folder/data.h5" --run "$folder/run" --threads 1 --quiet \
    --batch 32 --stages "$ranks" --replicas 1 --steps "$steps" --checkpoint-every 50 --keep 2 \
    >"$folder/out" 2>&1 </dev/null &
job=$!
trap 'kill $job 2>/dev/null' EXIT

# Ticks of a hundredth of a second, of all ranks.
cpu_of() {
    for pid in "$@"; do
        sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null
    done | awk '{ ticks += $12 + $13 } END { print ticks / 100 }'
}

# sample RANKS...: nothing as long as there is no checkpoint.
sample() {
    newest=$(find "$folder/run" -name 'step-*.h5' 2>/dev/null | sort | tail -n 1)
    written=$(stat -c %.9Y "$newest" 2>/dev/null) || return 0
    step=$(basename "$newest" .h5 | sed 's/step-0*//')
    cpu=$(cpu_of "$@") rank=0
    for pid in "$@"; do
        kib=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status" 2>/dev/null)
        files=$(ls "/proc/$pid/fd" 2>/dev/null | wc -l)
        [ -z "$kib" ] || echo "$step $written $cpu $rank $kib $files" >>"$results"
        rank=$((rank + 1))
    done
}

while alive $job; do
    # shellcheck disable=SC2046 -- one word for each rank
    sample $(ls "$folder/ranks")
    sleep 1
done
wait $job || { echo "the run fails: $(cat "$folder/out")" && exit 1; }

# Rates over about a thousand steps at both ends; of memory, what it has grown by since a tenth of the run.
awk -v steps="$steps" '
    BEGIN { n = 0 }
    $4 == 0 && first == "" { first = $1; at = $2; cpu = $3 }
    $4 == 0 && begun == "" && $1 >= first + 1000 { begun = ($2 - at) / ($1 - first); begun_cpu = ($3 - cpu) / ($1 - first) }
    $4 == 0 { step[n] = $1; time[n] = $2; used[n] = $3; n++ }
    $1 >= first + (steps - first) / 10 && !($4 in kib) { kib[$4] = $5; files[$4] = $6 }
    { last_kib[$4] = $5; last_files[$4] = $6 }
    END {
        for (i = n - 1; i > 0 && step[n - 1] - step[i] < 1000; i--) continue
        wall = (time[n - 1] - time[i]) / (step[n - 1] - step[i]); cpu_end = (used[n - 1] - used[i]) / (step[n - 1] - step[i])
        printf "a step takes %.1f us at first and %.1f us at last (%+.1f %%); of CPUs %.1f and %.1f us (%+.1f %%)\n", begun * 1e6,
            wall * 1e6, 100 * (wall / begun - 1), begun_cpu * 1e6, cpu_end * 1e6, 100 * (cpu_end / begun_cpu - 1)
        for (rank in kib) {
            printf "rank %d: %d KiB and %d files after a tenth, %d KiB and %d files at last\n", rank, kib[rank], files[rank],
                last_kib[rank], last_files[rank]
            bad += last_kib[rank] > kib[rank] + 1024 || last_files[rank] > files[rank] + 2 # of a checkpoint that is being written
        }
        exit bad > 0
    }' "$results" || { echo "memory or open files have grown" && exit 1; }
