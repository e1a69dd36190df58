"""Bits per byte of a run (bench/kjv.sh) beside a peer's curve: kjv.py METRICS TOKENS_A_STEP MARGIN [PEER]

PEER has a line an evaluation: tokens and bits a byte, or the peer's own "STEP TOKENS ... val bpb BITS SECONDS"; other lines are
passed over. Between its points the peer's curve is straight. Exits with 1 where a point lies more than MARGIN above it."""
import json
import math
import re
import sys


def own_curve(path, tokens_a_step):
    points = {}
    for line in open(path):
        entry = json.loads(line)
        if entry.get("split") == "val":
            points[entry["step"] * tokens_a_step] = entry["loss"] / math.log(2)
    return sorted(points.items())


def peer_curve(path):
    points = {}
    for line in open(path):
        told = re.match(r"\s*\d+\s+(\d+)\s.*val bpb\s+([\d.]+)", line) or re.match(r"\s*(\d+)\s+([\d.]+)\s*$", line)
        if told:
            points[int(told[1])] = float(told[2])
    if not points:
        sys.exit(f"{path}: no line has tokens and bits a byte")
    return sorted(points.items())


def at(curve, tokens):
    """None outside of the curve."""
    for (left, low), (right, high) in zip(curve, curve[1:]):
        if left <= tokens <= right:
            return low + (high - low) * (tokens - left) / (right - left)
    return curve[0][1] if tokens == curve[0][0] else None


def main():
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    curve = own_curve(sys.argv[1], int(sys.argv[2]))
    peer = peer_curve(sys.argv[4]) if len(sys.argv) == 5 else []
    worst = None
    print("tokens       bits a byte" + ("    peer   difference" if peer else ""))
    for tokens, bits in curve:
        beside = at(peer, tokens) if peer else None
        print(f"{tokens:<12,} {bits:11.4f}" + ("" if beside is None else f" {beside:7.3f} {bits - beside:+12.4f}"))
        if beside is not None and (worst is None or bits - beside > worst):
            worst = bits - beside
    if peer and worst is None:
        sys.exit(f"{sys.argv[4]}: no point of the run lies within the peer's curve")
    if peer:
        print(f"at most {worst:+.4f} above the peer, {sys.argv[3]} allowed")
        sys.exit(worst > float(sys.argv[3]))


main()
