"""Medians of the runs of bench/quantized.sh: quantized_medians.py FOLDER MODEL...

FOLDER/times-MODEL has a line a run: samples a second, seconds a batch, peak KiB. Rates are compared with the first model's,
run by run, so that a machine that drifts drifts for both."""
import statistics
import sys

folder, models = sys.argv[1], sys.argv[2:]
runs = {m: [list(map(float, line.split())) for line in open(f"{folder}/times-{m}")] for m in models}
for model in models:
    rate = statistics.median(r[0] for r in runs[model])
    latency = statistics.median(r[1] for r in runs[model])
    gain = statistics.median(a[0] / b[0] for a, b in zip(runs[model], runs[models[0]]))
    print(f"  {model:16} {rate:10.2f} samples/s  {latency * 1000:9.2f} ms a batch  {gain:.3f} x")
