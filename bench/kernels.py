"""Rates of operations in mbrun and in PyTorch, and what part of its product's rate a step of a model reaches, in one run.

    python3 bench/kernels.py MBRUN [--runs 5] [--threads 2] [--isa avx2] [--python PYTHON] [--prefix "nice -n -5"]

Runs of `mbrun bench`, of bench/kernels_torch.py by PYTHON and of a training alternate; the table has the medians of all. Of the training the shortest
action of each kind counts, of the last steps: on a machine that other work shares a whole step is seldom undisturbed."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
AVX2 = {"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
GPT = "layers=6 width=384 heads=6 length=256 vocabulary=256 --optimizer adamw --lr 1e-3 --clip 1".split()
MICROS = 4

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("mbrun")
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--isa", choices=("native", "avx2"), default="native")
parser.add_argument("--python", default=os.environ.get("PYTHON", sys.executable))
parser.add_argument("--prefix", default="")
options = parser.parse_args()
environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", **(AVX2 if options.isa == "avx2" else {}))
mbrun = os.path.abspath(options.mbrun)


def call(*words, prefix=""):
    words = prefix.split() + [str(word) for word in words]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"kernels.py: {' '.join(words)}: exit code {done.returncode}\n{done.stderr[-1000:]}")
    return done.stdout


def rates_of(text):
    """GFLOP/s of what `mbrun bench` prints: columns stand apart by two blanks or more."""
    rates = {}
    for line in text.splitlines():
        words = re.split(r"\s{2,}", line.strip())
        if words[0] == "products":
            rates["products"] = float(words[1].split()[0])
        elif len(words) > 3 and re.fullmatch(r"[\d.]+", words[3]):
            rates[words[0]] = float(words[3])
    return rates


class Training:
    def __init__(self, folder):
        self.folder, self.model, self.data = folder, folder + "/gpt.h5", folder + "/tokens.h5"
        with open(folder + "/text.txt", "w") as file:
            file.writelines("%d squared is %d, and cubed %d.\n" % (i, i * i, i**3) for i in range(12000))
        call(mbrun, "new", "gpt", "-o", self.model, *GPT)
        call(mbrun, "data", folder + "/text.txt", "-o", self.data)
        self.flops = self.count_flops()

    def train(self, steps, *more):
        call(mbrun, "train", self.model, "--data", self.data, "--threads", options.threads, "--batch", 4 * MICROS, "--micro-batch", 4, "--steps", steps,
             "--run", self.folder + "/run", "--restart", "--checkpoint-every", "never", "--quiet", *more, prefix=options.prefix)

    def count_flops(self):
        self.train(1, "--profile")
        activities = json.load(open(self.folder + "/run/time.json"))["ranks"][0]["activities"]
        return sum(o["flops"] for a in activities.values() for o in a.get("operations", {}).values())

    def rate(self, *more):
        self.train(5, "--trace", *more)
        least = {}
        for event in json.load(open(self.folder + "/run/trace.json"))["traceEvents"]:
            if event.get("ph") == "X":
                kind = re.match("[A-Z]*", event["name"])[0]
                least[kind] = min(least.get(kind, 1e12), event["dur"] * 1e-6)
        return self.flops / (MICROS * (least["F"] + least["BW"]) + least["STEP"]) * 1e-9


def middle(values):
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})" if values else "-"


def main():
    ours, theirs = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        training = Training(folder)
        for run in range(options.runs):
            for kept, found in ((ours, rates_of(call(mbrun, "bench", "--threads", options.threads, prefix=options.prefix))),
                                (theirs, json.loads(call(options.python, HERE + "/kernels_torch.py", options.threads, prefix=options.prefix)))):
                for name, rate in found.items():
                    kept.setdefault(name, []).append(rate)
            ours.setdefault("step of the GPT", []).append(training.rate())
            if options.isa == "native":
                ours.setdefault("step of the GPT, bfloat16", []).append(training.rate("--dtype", "bf16"))
            print(f"kernels.py: run {run + 1} of {options.runs}", file=sys.stderr, flush=True)
    print(f"| operation, {options.threads} threads, {options.isa} | mbrun, GFLOP/s | PyTorch, GFLOP/s | ratio | of mbrun's products |\n|---|---|---|---|---|")
    products = statistics.median(ours["products"])
    for name, rates in ours.items():
        other = theirs.get(name, [])
        ratio = f"{statistics.median(rates) / statistics.median(other):.2f}" if other else "-"
        print(f"| {name} | {middle(rates)} | {middle(other)} | {ratio} | {100 * statistics.median(rates) / products:.0f} % |")


main()
