#!/bin/sh
# What each format does to the matrices of a trained model: signal to noise on average over the
# matrices, of the median one, of all together (10 log10(sum w^2 / sum error^2)) and of the worst one.
# Average and median have to reach a floor; the sum belongs to the few matrices with outliers, which
# E3M4 can only hold at the cost of their small weights.
#
#     tests/tools/safetensors_to_h5.py model.safetensors model.h5
#     tests/campaign/sqnr.sh MBRUN MODEL.h5 [options of mbrun quantize, such as --method nearest]
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mbrun=$1
model=$2
shift 2
python=${PYTHON:-python3}
failed=0
while read -r format floor; do
    "$mbrun" quantize "$model" --format "$format" --dry-run --json "$@" </dev/null |
        "$python" -c '
import json, math, statistics, sys
name, floor = sys.argv[1], float(sys.argv[2])
lines = [t for t in json.load(sys.stdin)["tensors"] if t["format"] != "fp32" and t["sqnr_db"] is not None]
noise = [t["rmse"] ** 2 * t["elements"] for t in lines]
signal = sum(n * 10 ** (t["sqnr_db"] / 10) for n, t in zip(noise, lines))
median = statistics.median(t["sqnr_db"] for t in lines)
worst = min(lines, key=lambda t: t["sqnr_db"])
mean = statistics.mean(t["sqnr_db"] for t in lines)
print("%-14s mean %6.2f dB  median %6.2f dB  all %6.2f dB  worst %6.2f dB  %s" % (
    name, mean, median, 10 * math.log10(signal / sum(noise)), worst["sqnr_db"], worst["tensor"]))
if min(mean, median) < floor:
    sys.exit("%s: %d matrices are below %g dB on average" % (name, len(lines), floor))
' "$format" "$floor" || failed=1
done <<END
fp16 70
bf16 55
e3m4 36
int8:channel 40
int8:block=32 44
int4:block=32 20
END
exit $failed
