"""The results of bench/compare.py as Markdown: compare_table.py RESULTS

A cell is the median of the runs, and in brackets the least and the most. The ratio is mbrun's rate over the fastest opponent's; a target
is what it ought to reach."""
import json
import os
import statistics
import sys

ORDER = ("gpt", "gpt-bf16", "replicas", "stages", "gpt2", "mlp", "cnn", "resnet", "reduce-2", "reduce-4")
# What each row is to reach, of the fastest opponent: with all instructions (AVX-512 or AMX), with both sides on AVX2.
TARGETS = {"gpt": (2.0, 1.25), "gpt-bf16": (1.4, None), "replicas": (2.0, 1.25), "stages": (2.0, 1.25), "gpt2": (2.0, 1.2), "mlp": (2.0, 1.4),
           "cnn": (1.6, 1.6), "resnet": (1.5, 1.2), "reduce-2": (1.5, 1.5), "reduce-4": (1.5, 1.5)}
MEMORY = {"gpt": 0.35}  # of the opponent's, at most; others: no more


def target_of(row, lines):
    target = TARGETS[row][1 if lines[0]["isa"] == "avx2" else 0]
    return f"{target:.2f}" if target else "-"


def load(folder, row):
    path = os.path.join(folder, row + ".jsonl")
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [json.loads(line) for line in file]


def by_side(lines):
    sides = {}
    for line in lines:
        sides.setdefault(line["side"], []).append(line)
    return sides


def whole(value):
    return f"{value:,.0f}".replace(",", " ")


def number(value):
    return f"{value:.2f}" if value < 100 else whole(value)


def cell(lines):
    rates = [line["rate"] for line in lines if "rate" in line]
    if not rates:
        return "failed"
    if len(rates) == 1:
        return number(rates[0])
    return f"{number(statistics.median(rates))} ({number(min(rates))} to {number(max(rates))})"


def median(lines, key):
    values = [line[key] for line in lines if line.get(key) is not None]
    return statistics.median(values) if values else None


def row_of(row, lines):
    sides = by_side(lines)
    ours = sides.pop("mbrun", [])
    others = {side: median(found, "rate") for side, found in sides.items() if side != "messages"}
    best = max((rate for rate in others.values() if rate), default=None)
    own = median(ours, "rate")
    ratio = f"{own / best:.2f}" if own and best else "-"
    opponents = "; ".join(f"{side} {cell(found)}" for side, found in sides.items())
    return f"| {lines[0]['title']}, {lines[0]['unit']} | {cell(ours)} | {opponents} | {ratio} | {target_of(row, lines)} |"


def memory_of(row, lines):
    sides = by_side(lines)
    own = median(sides.pop("mbrun", []), "peak_mib")
    others = {side: median(found, "peak_mib") for side, found in sides.items()}
    others = {side: peak for side, peak in others.items() if peak}
    if not own or not others:
        return None
    ratio = own / min(others.values())
    opponents = "; ".join(f"{side} {whole(peak)}" for side, peak in others.items())
    return f"| {lines[0]['title']} | {whole(own)} | {opponents} | {ratio:.2f} | {MEMORY.get(row, 1.0):.2f} |"


def main(folder):
    rows = [(row, lines) for row, lines in ((row, load(folder, row)) for row in ORDER) if lines]
    if not rows:
        sys.exit(f"compare_table.py: {folder} has no results of bench/compare.py")
    print("| work | mbrun | beside it | ratio | target, at least |\n|---|---|---|---|---|")
    for row, lines in rows:
        print(row_of(row, lines))
    print("\n| peak memory of a rank, MiB | mbrun | beside it | ratio | target, at most |\n|---|---|---|---|---|")
    for row, lines in rows:
        line = memory_of(row, lines)
        if line is not None:
            print(line)


main(sys.argv[1])
