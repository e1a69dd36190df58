"""What mbrun simulate and mbrun plan predict beside what runs take: twelve layouts on two ranks, and the one that mbrun chooses.

    python3 bench/predictions.py MBRUN FOLDER TOKENS.h5 IMAGES.h5 [STEPS] [ROUNDS]

TOKENS.h5 and IMAGES.h5 are data files of mbrun data (text, and 28 x 28 images). Each model's layers
are measured once, in one stage and in two, and the machine, by mbrun bench; nothing is fitted to what is then measured. A run's step
is the median of its last ones, from its trace, and of ROUNDS runs of each layout, which alternate, the median counts.
MODELS="gpt cnn" takes these alone; EXTRA="--partition counted" goes to runs and plans, whose bytes are
then of the same cut. All numbers are kept in FOLDER/predictions.json."""
import json
import os
import statistics
import subprocess
import sys

mbrun, folder, tokens, images = sys.argv[1:5]
steps = int(sys.argv[5]) if len(sys.argv) > 5 else 12
rounds = int(sys.argv[6]) if len(sys.argv) > 6 else 3
chosen = os.environ.get("MODELS", "gpt cnn mlp").split()
extra = os.environ.get("EXTRA", "").split()

MODELS = {
    "gpt": (["gpt", "layers=6", "width=384", "heads=6", "length=256", "vocabulary=256"], tokens, 16, 2),
    "cnn": (["cnn"], images, 256, 32),
    "mlp": (["mlp"], images, 512, 64),
}
TWO, ONE = ["--stages", "2", "--replicas", "1"], ["--stages", "1", "--replicas", "2"]
LAYOUTS = {
    "2 stages, gpipe": TWO + ["--schedule", "gpipe"],
    "2 stages, 1f1b": TWO + ["--schedule", "1f1b"],
    "2 stages, interleaved": TWO + ["--schedule", "interleaved"],
    "2 stages, zb-h1": TWO + ["--schedule", "zb-h1"],
    "2 stages, zb-h2": TWO + ["--schedule", "zb-h2"],
    "2 stages, zb-v": TWO + ["--schedule", "zb-v"],
    "2 stages, auto": TWO + ["--schedule", "auto"],
    "2 stages, gpipe, recomputed": TWO + ["--schedule", "gpipe", "--recompute", "full"],
    "2 stages, 1f1b, recomputed": TWO + ["--schedule", "1f1b", "--recompute", "full"],
    "2 stages, 2 replicas in one pipeline": ["--stages", "2", "--replicas", "2"],
    "2 replicas": ONE,
    "2 replicas, moments shared out": ONE + ["--zero", "1"],
}


def environment():
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")


def call(*words):
    done = subprocess.run([str(w) for w in words], env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def shape(model):
    _, data, batch, micro = MODELS[model]
    return ["--data", data, "--batch", str(batch), "--micro-batch", str(micro)]


def run(model, layout, count, open_size=False):
    """Seconds of a step: the median over the last of a run, from the end of one to the end of the next. Of the rank that
    takes most, bytes that were planned, and of its process at most."""
    where = f"{folder}/{model}.run"
    size = shape(model)[:4] if open_size else shape(model)
    call("mpirun", "--bind-to", "none", "-np", 2, mbrun, "train", f"{folder}/{model}.h5", *size, *layout, *extra, "--steps", count,
         "--run", where, "--restart", "--checkpoint-every", "never", "--quiet", "--trace")
    events = json.load(open(f"{where}/trace.json"))["traceEvents"]
    ends = sorted(e["ts"] + e["dur"] for e in events if e.get("name") == "STEP" and e.get("ph") == "X" and e["pid"] == 0)
    most = max((rank["memory"] for rank in json.load(open(f"{where}/plan.json"))["measured"]), key=lambda memory: memory["planned"])
    return 1e-6 * statistics.median([b - a for a, b in zip(ends, ends[1:])]), most["planned"], most["peak"]


def stages_of(layout):
    return layout[layout.index("--stages") + 1]


def predict(model, layout):
    """Seconds of a step, and bytes of the rank that takes most: counted, and by the planner's formula."""
    where = [mbrun, "simulate", f"{folder}/{model}.h5", "--ranks", 2, *shape(model), *layout, "--profile",
             f"{folder}/{model}{stages_of(layout)}.json", "--hardware", f"{folder}/hardware.json", "--json"]
    said = json.loads(call(*where, "--steps", 8))
    best = json.loads(call(mbrun, "plan", *where[2:], *extra))["layouts"]["best"][0]
    return said["step_seconds"], best["memory"], best["memory_formula"]


def prepare(model):
    if not os.path.exists(f"{folder}/{model}.h5"):
        call(mbrun, "new", *MODELS[model][0], "-o", f"{folder}/{model}.h5")
    for stages in "12":
        call("mpirun", "--bind-to", "none", "-np", 2, mbrun, "bench", f"{folder}/{model}.h5", *shape(model), "--stages", stages,
             "--replicas", 3 - int(stages), "--profile", f"{folder}/{model}{stages}.json")


def report(model, name, measured, predicted):
    """MEASURED: of each round seconds, bytes planned and taken."""
    took = statistics.median(m[0] for m in measured)
    planned, peak = measured[0][1:]
    row = {"model": model, "layout": name, "measured": took, "all": measured, "predicted": predicted[0],
           "memory": {"predicted": predicted[1], "formula": predicted[2], "planned": planned, "process": peak}}
    print(f"{model:4} {name:36} {1e3 * took:9.2f} ms  predicted {1e3 * predicted[0]:9.2f} ({100 * (predicted[0] / took - 1):+5.1f} %)"
          f"   {planned / 2**20:6.1f} MiB  predicted {predicted[1] / 2**20:6.1f} ({100 * (predicted[1] / planned - 1):+5.1f} %,"
          f" formula {100 * (predicted[2] / planned - 1):+5.1f} %)"
          f"   process {peak / 2**20:6.1f}", flush=True)
    return row


def main():
    os.makedirs(folder, exist_ok=True)
    call("mpirun", "--bind-to", "none", "-np", 2, mbrun, "bench", "--hardware", f"{folder}/hardware.json")
    rows = []
    for model in chosen:
        prepare(model)
        measured = {name: [] for name in LAYOUTS}
        chooses = []
        for _ in range(rounds):
            for name, layout in LAYOUTS.items():
                measured[name].append(run(model, layout, steps))
            chooses.append(run(model, [], steps, open_size=True)[0])
        for name, layout in LAYOUTS.items():
            rows.append(report(model, name, measured[name], predict(model, layout)))
        best = min(row["measured"] for row in rows if row["model"] == model)
        own = statistics.median(chooses)
        rows.append({"model": model, "layout": "chosen by mbrun", "measured": own})
        print(f"{model:4} what mbrun chooses takes {1e3 * own:.2f} ms: {own / best:.3f} times the fastest of these", flush=True)
    errors = sorted(abs(row["predicted"] / row["measured"] - 1) for row in rows if "predicted" in row)
    print(f"of {len(errors)}: median error {100 * statistics.median(errors):.1f} %, worst {100 * errors[-1]:.1f} %")
    json.dump(rows, open(f"{folder}/predictions.json", "w"), indent=1)


main()
