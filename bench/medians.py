"""Medians of the runs of bench/fashion.sh: medians.py NAME FILE EPOCH...

FILE has one JSON line a run: accuracy after each epoch, samples_per_second, peak_mib."""
import json
import statistics
import sys

runs = [json.loads(line) for line in open(sys.argv[2])]
parts = []
for epoch in map(int, sys.argv[3:]):
    accuracies = [run["accuracy"][epoch - 1] for run in runs]
    parts.append(f"accuracy {statistics.median(accuracies):.4f} after {epoch} epochs")
for key in ("samples_per_second", "peak_mib"):
    parts.append(f"{key} {statistics.median([run[key] for run in runs]):.0f}")
print(f"median of {len(runs)}, {sys.argv[1]}:", ", ".join(parts))
