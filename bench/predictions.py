"""What mbrun simulate predicts beside what runs take: step times of twelve layouts on two ranks.

    python3 bench/predictions.py MBRUN FOLDER TOKENS.h5 IMAGES.h5 [STEPS] [ROUNDS]

TOKENS.h5 and IMAGES.h5 are data files of mbrun data (text, and 28 x 28 images). Each model is profiled once, by the start of
a run in two stages, and the machine by mbrun bench --hardware; nothing is fitted to what is then measured. A run's step
is the median of its last ones, from its trace, and of ROUNDS runs of each layout, which alternate, the median counts.
MODELS="gpt cnn" takes these alone. All numbers are kept in FOLDER/predictions.json."""
import json
import os
import statistics
import subprocess
import sys

mbrun, folder, tokens, images = sys.argv[1:5]
steps = int(sys.argv[5]) if len(sys.argv) > 5 else 12
rounds = int(sys.argv[6]) if len(sys.argv) > 6 else 3
chosen = os.environ.get("MODELS", "gpt cnn mlp").split()

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


def run(model, layout, count):
    """Seconds of a step: the median over the last of a run, from the end of one to the end of the next."""
    where = f"{folder}/{model}.run"
    call("mpirun", "--bind-to", "none", "-np", 2, mbrun, "train", f"{folder}/{model}.h5", *shape(model), *layout, "--steps", count,
         "--run", where, "--restart", "--checkpoint-every", "never", "--quiet", "--trace")
    events = json.load(open(f"{where}/trace.json"))["traceEvents"]
    ends = sorted(e["ts"] + e["dur"] for e in events if e.get("name") == "STEP" and e.get("ph") == "X" and e["pid"] == 0)
    return 1e-6 * statistics.median([b - a for a, b in zip(ends, ends[1:])])


def predict(model, layout):
    said = json.loads(call(mbrun, "simulate", f"{folder}/{model}.h5", "--ranks", 2, *shape(model), *layout, "--steps", 8, "--profile",
                           f"{folder}/{model}.json", "--hardware", f"{folder}/hardware.json", "--json"))
    return said["step_seconds"]


def prepare(model):
    if not os.path.exists(f"{folder}/{model}.h5"):
        call(mbrun, "new", *MODELS[model][0], "-o", f"{folder}/{model}.h5")
    run(model, LAYOUTS["2 stages, 1f1b"], 3)
    os.replace(f"{folder}/{model}.run/profile.json", f"{folder}/{model}.json")


def main():
    os.makedirs(folder, exist_ok=True)
    call("mpirun", "--bind-to", "none", "-np", 2, mbrun, "bench", "--hardware", f"{folder}/hardware.json")
    rows = []
    for model in chosen:
        prepare(model)
        measured = {name: [] for name in LAYOUTS}
        for _ in range(rounds):
            for name, layout in LAYOUTS.items():
                measured[name].append(run(model, layout, steps))
        for name, layout in LAYOUTS.items():
            took, said = statistics.median(measured[name]), predict(model, layout)
            rows.append({"model": model, "layout": name, "measured": took, "all": measured[name], "predicted": said})
            print(f"{model:4} {name:38} measured {1e3 * took:9.2f} ms   predicted {1e3 * said:9.2f} ms   {100 * (said / took - 1):+6.1f} %",
                  flush=True)
    errors = sorted(abs(row["predicted"] / row["measured"] - 1) for row in rows)
    print(f"of {len(rows)}: median error {100 * statistics.median(errors):.1f} %, worst {100 * errors[-1]:.1f} %")
    json.dump(rows, open(f"{folder}/predictions.json", "w"), indent=1)


main()
