"""mbrun beside PyTorch and MPI on the same machine, for the same work. Runs alternate; all results are kept.

    python3 bench/compare.py MBRUN RESULTS [--rows gpt,mlp] [--runs 3] [--add] [--isa avx2] [--python PYTHON] [--prefix "nice -n -5"]

PYTHON has torch (default: $PYTHON, else this one). RESULTS gets ROW.jsonl, one line a run of a side, anew for each row that runs unless --add
leaves those that are there, and machine.json; bench/compare_table.py prints them as a table. A row takes up to two minutes a run of both sides; one that takes longer
is given up and says so. --isa avx2 holds both sides to AVX2 as far as their libraries can be told; what mbrun's compiler made for wider
registers stays. --prefix stands in front of each timed command."""
import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
AVX2 = {"DNNL_MAX_CPU_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
GPT = ["layers=6", "width=384", "heads=6", "length=256", "vocabulary=256"]
GPT2 = ["layers=12", "width=768", "heads=12", "length=64", "vocabulary=50257"]
GPT2_TORCH = ["--" + setting for setting in GPT2]
LIMIT = 120  # seconds of one run of one side


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mbrun")
    parser.add_argument("results")
    parser.add_argument("--rows", default=",".join(ROWS), help="of: " + ", ".join(ROWS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--add", action="store_true", help="keep the runs that RESULTS has")
    parser.add_argument("--isa", choices=("native", "avx2"), default="native")
    parser.add_argument("--python", default=os.environ.get("PYTHON", sys.executable))
    parser.add_argument("--prefix", default="")
    return parser.parse_args()


class Failed(Exception):
    pass


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.mbrun = os.path.abspath(options.mbrun)
        self.environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        self.environment.update(AVX2 if options.isa == "avx2" else {})
        self.made = {}

    def call(self, *words, timed=False):
        words = [str(word) for word in words]
        if timed:
            words = self.options.prefix.split() + words
        try:
            done = subprocess.run(words, env=self.environment, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            raise Failed(f"took longer than {LIMIT} s: {' '.join(words)}")
        except OSError as error:
            raise Failed(f"{words[0]} cannot be started: {error}")
        if done.returncode != 0:
            raise Failed(f"{' '.join(words)}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr[-1500:]}")
        return done.stdout

    def make(self, name, *words):
        """A file of the folder that a command of mbrun writes, once."""
        path = os.path.join(self.folder, name)
        if not os.path.exists(path):
            self.call(self.mbrun, *[path if word is None else word for word in words])
        return path

    def mpirun(self, ranks):
        return ["mpirun", "--bind-to", "none", "--oversubscribe", "-np", ranks]

    def train(self, model, data, ranks, threads, steps, *layout):
        """What the run kept of itself: plan.json, and seconds of a step by the last ones of its trace."""
        run = os.path.join(self.folder, "run")
        shutil.rmtree(run, ignore_errors=True)
        self.call(*self.mpirun(ranks), self.mbrun, "train", model, "--data", data, "--threads", threads, "--steps", steps, "--run", run,
                  "--checkpoint-every", "never", "--quiet", "--trace", *layout, timed=True)
        plan = json.load(open(run + "/plan.json"))
        events = json.load(open(run + "/trace.json"))["traceEvents"]
        ends = sorted(e["ts"] + e["dur"] for e in events if e.get("name") == "STEP" and e.get("ph") == "X" and e["pid"] == 0)
        last = statistics.median(b - a for a, b in zip(ends, ends[1:])) * 1e-6
        actions = plan["measured"][0]["actions"]
        mean = sum(a["seconds"] + a["wait_seconds"] for a in actions.values()) / steps
        peak = max(rank["memory"]["peak"] for rank in plan["measured"]) / 2**20
        return {"last": last, "mean": mean, "peak_mib": round(peak)}

    def torch(self, *words):
        return json.loads(self.call(self.options.python, os.path.join(HERE, "compare_torch.py"), *words, timed=True))

    def tokens(self):
        path = os.path.join(self.folder, "text.txt")
        if not os.path.exists(path):
            with open(path, "w") as file:
                file.writelines("%d squared is %d, and cubed %d.\n" % (i, i * i, i**3) for i in range(12000))
        return path

    def noise(self):
        """Images of the size that ResNet takes; PYTHON has NumPy, this one need not."""
        path = os.path.join(self.folder, "noise.npz")
        if not os.path.exists(path):
            code = ("import numpy, sys; r = numpy.random.default_rng(0); numpy.savez(sys.argv[1], x=r.random((256, 32, 32, 3), 'f4'),"
                    " y=r.integers(0, 10, 256).astype('i4'))")
            self.call(self.options.python, "-c", code, path)
        return path

    def gpt(self, name, shape, ranks, threads, steps, items, *layout):
        model = self.make(name + ".h5", "new", "gpt", "-o", None, *shape, "--optimizer", "adamw", "--lr", "1e-3", "--clip", "1")
        data = self.make(f"tokens-{name}.h5", "data", self.tokens(), "-o", None)
        got = self.train(model, data, ranks, threads, steps, *layout)
        return {"rate": round(items / got["last"], 1), "step_seconds": got["last"], "peak_mib": got["peak_mib"]}


def gpt(bench):
    return {"mbrun": lambda: bench.gpt("gpt", GPT, 1, 2, 8, 4096, "--batch", 16, "--micro-batch", 4),
            "eager": lambda: bench.torch("gpt", "eager"), "compiled": lambda: bench.torch("gpt", "compiled")}


def gpt_bf16(bench):
    return {"mbrun": lambda: bench.gpt("gpt", GPT, 1, 2, 8, 4096, "--batch", 16, "--micro-batch", 4, "--dtype", "bf16"),
            "autocast": lambda: bench.torch("gpt", "eager", "--bf16")}


def replicas(bench):
    layout = ["--stages", 1, "--replicas", 2, "--batch", 16, "--micro-batch", 4]
    return {"mbrun": lambda: bench.gpt("gpt", GPT, 2, 1, 8, 4096, *layout),
            "DDP": lambda: bench.torch("gpt", "ddp", "--micros", 2, "--threads", 1)}


def stages(bench):
    layout = ["--stages", 2, "--replicas", 1, "--batch", 64, "--micro-batch", 4, "--schedule", "1f1b"]
    words = ["--micros", 16, "--threads", 1, "--steps", 2]
    return {"mbrun": lambda: bench.gpt("gpt", GPT, 2, 1, 5, 16384, *layout),
            "GPipe": lambda: bench.torch("gpt", "gpipe", *words), "1F1B": lambda: bench.torch("gpt", "1f1b", *words)}


def gpt2(bench):
    return {"mbrun": lambda: bench.gpt("gpt2", GPT2, 1, 2, 6, 256, "--batch", 4, "--micro-batch", 4),
            "eager": lambda: bench.torch("gpt", "eager", "--micros", 1, *GPT2_TORCH)}


def fashion(bench, net, steps):
    images = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")

    def ours():
        model = bench.make(net + ".h5", "new", net, "-o", None)
        data = bench.make("fashion.h5", "data", images, "-o", None)
        got = bench.train(model, data, 1, 2, steps, "--batch", 128)
        return {"rate": round(128 / got["mean"], 1), "step_seconds": got["mean"], "peak_mib": got["peak_mib"]}

    def theirs():
        bench.environment["BENCH_SAMPLES"] = str(128 * steps)
        got = json.loads(bench.call(bench.options.python, os.path.join(HERE, "fashion_torch.py"), net, 128, 1, 0, 2, timed=True))
        return {"rate": got["samples_per_second"], "step_seconds": 128 / got["samples_per_second"], "peak_mib": got["peak_mib"]}

    return {"mbrun": ours, "PyTorch": theirs}


def resnet(bench):
    def ours():
        model = bench.make("resnet.h5", "new", "resnet", "-o", None)
        data = bench.make("noise.h5", "data", bench.noise(), "-o", None)
        got = bench.train(model, data, 1, 2, 40, "--batch", 32)
        return {"rate": round(32 / got["mean"], 1), "step_seconds": got["mean"], "peak_mib": got["peak_mib"]}

    return {"mbrun": ours, "PyTorch": lambda: bench.torch("resnet", "--batch", 32, "--steps", 40)}


def reduction(bench, ranks):
    """The three ways take turns within one program; each run gives a median."""
    program = os.path.join(os.path.dirname(bench.mbrun), "bench", "reduce")

    def all_ways():
        if not os.path.exists(program):
            raise Failed(f"{program} is not there: make bench/reduce in {os.path.dirname(bench.mbrun)}")
        got = json.loads(bench.call(*bench.mpirun(ranks), program, 40, 9, timed=True))
        names = {"mbrun": "window" if "window" in got else "messages", "messages": "messages", "MPI_Allreduce": "MPI_Allreduce"}
        medians = {name: statistics.median(got[way]) for name, way in names.items()}
        return {name: {"rate": round(got["bytes"] / s * 1e-9, 3), "step_seconds": s} for name, s in medians.items()}

    return all_ways


ROWS = {
    "gpt": ("GPT 6 x 384, 256 tokens, fp32, 2 threads", "tokens/s", gpt),
    "gpt-bf16": ("the same in bfloat16", "tokens/s", gpt_bf16),
    "replicas": ("the same, 2 replicas x 1 thread", "tokens/s", replicas),
    "stages": ("the same, 2 stages x 1 thread, 16 micro-batches", "tokens/s", stages),
    "gpt2": ("GPT-2 124M, batch 4 x 64, 2 threads", "tokens/s", gpt2),
    "mlp": ("Fashion MLP, batch 128, 2 threads", "samples/s", lambda bench: fashion(bench, "mlp", 400)),
    "cnn": ("Fashion CNN, batch 128, 2 threads", "samples/s", lambda bench: fashion(bench, "cnn", 60)),
    "resnet": ("ResNet-20, batch 32, 2 threads", "samples/s", resnet),
    "reduce-2": ("40 MiB summed over 2 ranks", "GB/s", lambda bench: reduction(bench, 2)),
    "reduce-4": ("40 MiB summed over 4 ranks", "GB/s", lambda bench: reduction(bench, 4)),
}


def one_of_each(sides):
    """The results of one round by side; a side that fails has its message."""
    if callable(sides):
        try:
            return sides()
        except Failed as error:
            return {"mbrun": {"failed": str(error)}}
    results = {}
    for side, run in sides.items():
        try:
            results[side] = run()
        except Failed as error:
            results[side] = {"failed": str(error)}
    return results


def run_row(bench, row):
    title, unit, make = ROWS[row]
    sides = make(bench)
    with open(os.path.join(bench.options.results, row + ".jsonl"), "a" if bench.options.add else "w") as file:
        for number in range(bench.options.runs):
            for side, result in one_of_each(sides).items():
                line = {"row": row, "title": title, "unit": unit, "side": side, "isa": bench.options.isa, "run": number, **result}
                file.write(json.dumps(line) + "\n")
                file.flush()
                print(f"{row} {number + 1}/{bench.options.runs} {side}: {result.get('rate', result.get('failed'))}", flush=True)


def describe(bench):
    with open("/proc/cpuinfo") as file:
        model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.machine())
    versions = bench.call(bench.options.python, "-c", "import torch; print(torch.__version__)").strip()
    machine = {"processor": model, "cores": os.cpu_count(), "kernel": platform.release(), "torch": versions, "isa": bench.options.isa,
               "mbrun": bench.call(bench.mbrun, "info"), "mpi": bench.call("mpirun", "--version").splitlines()[0],
               "prefix": bench.options.prefix, "date": time.strftime("%F")}
    with open(os.path.join(bench.options.results, "machine.json"), "w") as file:
        json.dump(machine, file, indent=1)


def main():
    options = arguments()
    unknown = set(options.rows.split(",")) - set(ROWS)
    if unknown:
        sys.exit(f"compare.py: no rows {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    os.makedirs(options.results, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, folder)
        try:
            describe(bench)
        except Failed as error:
            sys.exit(f"compare.py: {error}")
        for row in options.rows.split(","):
            run_row(bench, row)


main()
