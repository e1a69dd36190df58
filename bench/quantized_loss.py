"""The figures of bench/quantized_loss.sh, from what mbrun prints with --json."""
import json
import math
import os
import statistics
import sys

part, folder = sys.argv[1], sys.argv[2]


def last(name):
    return json.loads(open(f"{folder}/{name}").read().splitlines()[-1])


if part == "split":
    text = open(f"{folder}/kjv.txt", "rb").read()
    cut = len(text) * 9 // 10
    middle = cut + (len(text) - cut) // 2
    for name, piece in (("train", text[:cut]), ("choose", text[cut:middle]), ("unseen", text[middle:])):
        open(f"{folder}/{name}.txt", "wb").write(piece)
elif part == "cnn":
    report, before, after = last("report"), last("before"), last("after")
    print(json.dumps({"seed": int(sys.argv[3]), "before": before["accuracy"], "after": after["accuracy"],
                      "bytes": report["bytes_after"] / report["bytes_before"]}))
elif part == "median":
    runs = [json.loads(line) for line in open(f"{folder}/cnn.lines")]
    drop = statistics.median(r["before"] - r["after"] for r in runs)
    size = statistics.median(r["bytes"] for r in runs)
    print(f"median of {len(runs)}: accuracy falls by {100 * drop:.3f} points at {size:.4f} x the bytes")
else:
    name = sys.argv[3]
    before, after = last("before")["loss"] / math.log(2), last("after")["loss"] / math.log(2)
    size = os.path.getsize(f"{folder}/gpt-{name}.h5") / os.path.getsize(f"{folder}/gpt.run/final.h5")
    print(f"gpt {name:8} {after:.5f} bits a byte, {after - before:+.5f} ({100 * (after / before - 1):+.3f} %), file {size:.3f} x")
