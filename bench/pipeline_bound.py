"""How near a pipeline comes to what its stages allow, and what summing over replicas costs.

    python3 bench/pipeline_bound.py MBRUN FOLDER TOKENS.h5 [STEPS]

A GPT (6 layers, width 384, 256 tokens) on two ranks of one thread. A step of M micro-batches on two stages cannot take
less than M times the slower stage's forward and backward, and the other stage's once: the bound is made of the means of what
the same run's actions took (plan.json), without their waits. For replicas, one rank's step with a batch is beside two ranks'
with twice the batch. Steps are from traces, medians of three runs that alternate."""
import json
import os
import statistics
import subprocess
import sys

mbrun, folder, tokens = sys.argv[1:4]
steps = int(sys.argv[4]) if len(sys.argv) > 4 else 6
model = f"{folder}/gpt.h5"


def call(*words):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run([str(w) for w in words], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")


def run(ranks, *layout):
    """Seconds of a step, and of each rank's forward and backward of a micro-batch."""
    call("mpirun", "--bind-to", "none", "-np", ranks, mbrun, "train", model, "--data", tokens, "--threads", 1, *layout, "--steps", steps,
         "--run", f"{folder}/run", "--restart", "--checkpoint-every", "never", "--quiet", "--trace")
    events = json.load(open(f"{folder}/run/trace.json"))["traceEvents"]
    ends = sorted(e["ts"] + e["dur"] for e in events if e.get("name") == "STEP" and e.get("ph") == "X" and e["pid"] == 0)
    stages = []
    for rank in json.load(open(f"{folder}/run/plan.json"))["measured"]:
        actions = rank["actions"]
        stages.append(sum(actions[k]["seconds"] / actions[k]["count"] for k in ("F", "BW") if k in actions))
    return 1e-6 * statistics.median([b - a for a, b in zip(ends, ends[1:])]), stages


os.makedirs(folder, exist_ok=True)
call(mbrun, "new", "gpt", "-o", model, "--force", "layers=6", "width=384", "heads=6", "length=256", "vocabulary=256")
for micros in (4, 16, 32):
    parts = []
    for _ in range(3):
        took, stages = run(2, "--stages", 2, "--replicas", 1, "--schedule", "1f1b", "--batch", micros, "--micro-batch", 1)
        parts.append((micros * max(stages) + min(stages)) / took)
    print(f"2 stages, {micros:2} micro-batches: {100 * statistics.median(parts):.1f} % of the bound", flush=True)
one, two = [], []
for _ in range(3):
    one.append(run(1, "--batch", 8, "--micro-batch", 4)[0])
    two.append(run(2, "--stages", 1, "--replicas", 2, "--batch", 16, "--micro-batch", 4)[0])
print(f"2 replicas: a step {1e3 * statistics.median(two):.0f} ms, one replica alone {1e3 * statistics.median(one):.0f} ms:"
      f" {100 * (statistics.median(two) / statistics.median(one) - 1):+.1f} %")
