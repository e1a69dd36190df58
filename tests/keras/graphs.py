"""Random graphs: three steps of training beside Keras', and the same bits over several ranks.

Usage: graphs.py keras MBRUN SCRATCH SEED FIRST COUNT
       graphs.py ranks MBRUN SCRATCH SEED FIRST COUNT MPIEXEC
Model K of a seed is always the same. keras: each is trained by mbrun, by Keras in float32, and by Keras in float64,
which is the measure: of the losses and of each weight, mbrun's errors may be AS_MUCH times those that Keras makes in
float32 at the worst of all, and FLOOR besides. ranks: each has layers that draw random numbers too, and is trained on
1 rank and on 2, 3 or 4 to one digest. Prints "ok NAME" or "not ok NAME" for each model, and behind "# " what was
made how often. Torch is the quickest backend for it, which compiles nothing; jax wants JAX_ENABLE_X64=1."""
import collections
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras
import numpy as np

from compare import ROUNDING, Files, run
from random_graphs import build, loss_of, samples

BATCH, STEPS = 8, 3
AS_MUCH = 8
FLOOR = 16 * ROUNDING
TRIES = 50
made = collections.Counter()  # classes of layers and operations
refused = collections.Counter()  # by Keras
ratios = []  # of mbrun's errors to Keras'


# ---- training by Keras, in float32 and in float64


def doubled(config):
    """The configuration with float64 wherever float32 stands."""
    if isinstance(config, dict):
        return {k: doubled(v) for k, v in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(doubled(v) for v in config)
    return "float64" if config == "float32" else config


def in_double(model, losses):
    keras.config.set_floatx("float64")
    twin = keras.Model.from_config(doubled(model.get_config()))
    twin.compile(type(model.optimizer).from_config(model.optimizer.get_config()), [loss_of(l) for l in losses],
                 run_eagerly=True)  # fmt: skip
    twin.set_weights([np.asarray(w) for w in model.get_weights()])
    return twin


def values_of(model):
    return [np.asarray(v, "f8") for v in model.get_weights()]


def train(model, x, y):
    losses = []
    for s in range(STEPS):
        rows = slice(s * BATCH, (s + 1) * BATCH)
        result = model.train_on_batch([a[rows] for a in x], [a[rows] for a in y])
        model.reset_metrics()
        losses.append(float(np.ravel(result)[0]))
    return losses, values_of(model)


def error(model, found, expected):
    """The largest error over losses and weights, relative to the largest number of each, and where it is. What is smaller
    than a hundredth of the largest of all may be what cancellation leaves (the gradient of a key's bias is 0)."""
    names = ["the losses", *(w.path for w in model.weights)]
    errors = []
    least = 0.01 * max(float(np.max(np.abs(b), initial=0)) for b in expected[1])
    for name, a, b in zip(names, [np.array(found[0]), *found[1]], [np.array(expected[0]), *expected[1]]):
        part = float(np.max(np.abs(a - b), initial=0)) / max(np.max(np.abs(b), initial=0), least)
        errors.append((part if np.isfinite(part) else np.inf, name))
    return max(errors)


# ---- training by mbrun


def losses_of(path):
    with open(path) as lines:
        return [line["loss"] for line in map(json.loads, lines) if line.get("split") == "train"]


def attempt(files, random, *seed):
    """A model saved as it begins; where no layer draws numbers also what it becomes in double, and Keras' error."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(int(rng.integers(2**31)))
    keras.config.set_floatx("float32")
    keras.backend.clear_session()
    model, g, losses = build(rng, random)
    x, y = samples(rng, g, model, losses, BATCH * STEPS)
    files.write(model, x, y)
    if random:
        return model, None, None
    true = train(in_double(model, losses), x, y)
    keras.config.set_floatx("float32")
    if not np.isfinite(true[0]).all() or max(true[0]) > 1e3:
        raise ValueError("not tame")
    return model, true, error(model, train(model, x, y), true)[0]


def make(files, random, seed, k):
    """The first of attempts that Keras itself trains, to numbers that are finite and tame."""
    for n in range(TRIES):
        try:
            found = attempt(files, random, seed, k, n, int(random))
            made.update(type(operation).__name__ for operation in found[0].operations)
            return found
        except Exception as problem:  # noqa: BLE001: Keras raises all kinds of them
            refused[f"{type(problem).__name__}: {problem}".splitlines()[0][:70]] += 1
    raise ValueError(f"no model that Keras trains in {TRIES} tries")


def check(files, seed, k):
    model, true, theirs = make(files, False, seed, k)
    run(*files.training(STEPS, BATCH))
    model.load_weights(files.final())  # Keras does not read operations from HDF5
    ours, where = error(model, (losses_of(files.path("r.run/metrics.jsonl")), values_of(model)), true)
    ratios.append(ours / (theirs + FLOOR))
    if not ours <= AS_MUCH * theirs + FLOOR:
        return f"an error of {ours:.3g} in {where}, where Keras makes one of {theirs:.3g}"
    return None


def check_ranks(files, mpiexec, seed, k):
    make(files, True, seed, k)
    rng = np.random.default_rng([seed, k, 99])
    ranks = int(rng.integers(2, 5))
    layout = ["--replicas", "2", "--micro-batch", "2", "--schedule", str(rng.choice(["gpipe", "1f1b"]))]
    digests = []
    for n in (1, ranks):
        run(mpiexec, "-np", str(n), *files.training(STEPS, BATCH, f"r{n}", *layout))
        digests.append(run(files.mbrun, "inspect", "--digest", files.final(f"r{n}")))
    return None if digests[0] == digests[1] else f"other bits on {ranks} ranks"


def report(what, k, attempt):
    try:
        fault = attempt()
    except Exception as problem:  # noqa: BLE001: whatever it is, it is the answer of this model
        fault = f"{type(problem).__name__}: {problem}"
    print(f"ok {what} {k}" if fault is None else f"not ok {what} {k}: {fault}".replace("\n", " "), flush=True)


def tell():
    print("# " + ", ".join(f"{name} {n}" for name, n in sorted(made.items())))
    for problem, n in refused.most_common():
        print(f"# Keras, {n} times: {problem}")
    if ratios:
        print(f"# mbrun's errors as parts of Keras': median {np.median(ratios):.2f}, largest {max(ratios):.2f}")


def main():
    what, files, seed, first, count = sys.argv[1], Files(*sys.argv[2:4]), *map(int, sys.argv[4:7])
    for k in range(first, first + count):
        if what == "keras":
            report("Keras trains graph", k, lambda: check(files, seed, k))
        else:
            report("one digest over ranks of graph", k, lambda: check_ranks(files, sys.argv[7], seed, k))
    tell()


if __name__ == "__main__":
    main()
