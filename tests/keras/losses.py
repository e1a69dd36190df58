"""Models with random losses, what Keras makes of them in five steps, and what mbrun did.

Usage: losses.py make FOLDER SEED COUNT     COUNT configurations of every loss, each NAME.h5 (the model), NAME.data.h5
                                            and, in expected.json, its options and Keras' losses
       losses.py check FOLDER               compares with NAME.run/metrics.jsonl and NAME.eval; a line of TAP a loss"""
import json
import math
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import h5py
import keras
import numpy as np

STEPS, INPUTS, EPS = 5, 6, 2.0**-23
MEANS = ["sum_over_batch_size", "mean", "mean_with_sample_weight"]


class Random:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def one(self, *choices):
        return choices[self.rng.integers(len(choices))]

    def number(self, low, high):
        return round(float(self.rng.uniform(low, high)), 3)

    def array(self, low, high, *shape):
        return self.rng.uniform(low, high, shape).astype("f4")

    def classes(self, n, *shape):
        return self.rng.integers(0, n, shape).astype("i4")


def numbers(low, high):
    return lambda r, shape: r.array(low, high, *shape)


def one_hot(r, shape):
    return np.eye(shape[-1], dtype="f4")[r.classes(shape[-1], *shape[:-1])]


def classes(r, shape):
    return r.classes(shape[-1], *shape[:-1])


def bits(r, shape):
    return r.classes(2, *shape).astype("f4")


def sides(r, shape):
    return bits(r, shape) * 2 - 1 if r.one(True, False) else bits(r, shape)


def distribution(r, shape):
    p = r.array(0.05, 1, *shape)
    return p / p.sum(-1, keepdims=True)


def nothing(r, shape):
    return {}


def smoothing(r):
    return {"label_smoothing": r.one(0.0, r.number(0.05, 0.3))}


def crossentropy(r, shape):
    return {"from_logits": r.one(True, False), "axis": r.one(-1, len(shape) - 1), **smoothing(r)}


def sparse(r, shape):
    return {"from_logits": r.one(True, False), "ignore_class": r.one(None, 1, -1)}


def focal(r, shape):
    return {"alpha": r.number(0.1, 0.9), "gamma": r.one(0.0, 1.0, 1.5, 2.0), **crossentropy(r, shape)}


def binary_focal(r, shape):
    return {"apply_class_balancing": r.one(True, False), **focal(r, shape)}


def last_axes(r, shape):
    first = r.rng.integers(1, len(shape))
    return {"axis": list(range(int(first), len(shape)))}


def axes(r, shape):
    return r.one({"axis": None}, last_axes(r, shape))


def circle(r, shape):
    return {"gamma": r.number(1, 6), "margin": r.number(0.1, 0.6), "remove_diagonal": r.one(True, False)}


# Of samples: any whole numbers.
def kinds(r, shape):
    return r.classes(3, shape[0]) * 40 - 3


def tversky(r, shape):
    return {"alpha": r.number(0.2, 0.8), "beta": r.number(0.2, 0.8), **axes(r, shape)}


# Of each loss: its other keys, what its labels are, what the model ends with.
LOSSES = {
    "MeanSquaredError": (nothing, numbers(-1, 1), "linear"),
    "MeanAbsoluteError": (nothing, numbers(-1, 1), "linear"),
    "MeanAbsolutePercentageError": (nothing, numbers(0.5, 2), "linear"),
    "MeanSquaredLogarithmicError": (nothing, numbers(0, 2), "softplus"),
    "Huber": (lambda r, s: {"delta": r.number(0.2, 1.5)}, numbers(-1, 1), "linear"),
    "LogCosh": (nothing, numbers(-1, 1), "linear"),
    "CosineSimilarity": (last_axes, numbers(-1, 1), "linear"),
    "BinaryCrossentropy": (crossentropy, bits, "sigmoid"),
    "BinaryFocalCrossentropy": (binary_focal, bits, "sigmoid"),
    "CategoricalCrossentropy": (crossentropy, one_hot, "softmax"),
    "CategoricalFocalCrossentropy": (focal, one_hot, "softmax"),
    "SparseCategoricalCrossentropy": (sparse, classes, "softmax"),
    "CategoricalGeneralizedCrossEntropy": (lambda r, s: {"q": r.number(0.1, 0.9)}, classes, "softmax"),
    "Poisson": (nothing, numbers(0, 3), "softplus"),
    "KLDivergence": (nothing, distribution, "softmax"),
    "Hinge": (nothing, sides, "linear"),
    "SquaredHinge": (nothing, sides, "linear"),
    "CategoricalHinge": (nothing, one_hot, "linear"),
    "Dice": (axes, bits, "sigmoid"),
    "Tversky": (tversky, bits, "sigmoid"),
    "Circle": (circle, kinds, "unit"),
}
SINGLE_CLASS = ["SparseCategoricalCrossentropy", "CategoricalCrossentropy", "CategoricalGeneralizedCrossEntropy"]


def make_model(end, shape):
    layers = [keras.Input((INPUTS,)), keras.layers.Dense(8, "tanh"), keras.layers.Dense(math.prod(shape))]
    layers += [keras.layers.Reshape(shape)]
    layers += [keras.layers.UnitNormalization() if end == "unit" else keras.layers.Activation(end)]
    return keras.Sequential(layers)


def make_loss(name, config):
    keys = dict(config)
    if isinstance(keys.get("axis"), list):
        keys["axis"] = tuple(keys["axis"])
    return getattr(keras.losses, name)(**keys)


# Keras itself leaves some keys out of what it writes (delta, q, the axis of CosineSimilarity).
def write_model(path, model, name, config):
    model.save(path)
    with h5py.File(path, "a") as file:
        training = json.loads(file.attrs["training_config"])
        training["loss"] = {"module": "keras.losses", "class_name": name, "config": config, "registered_name": None}
        file.attrs["training_config"] = json.dumps(training)


# Shapes that a weight may have, of values of the loss of shape SHAPE (with the batch's axis).
def some_weights(r, shape):
    if len(shape) == 0:
        return None
    one = (shape[0],) + (1,) * max(0, len(shape) - 1)
    form = r.one(None, one, shape)
    return None if form is None else r.array(0.1, 2, *form) * r.classes(5, *form).clip(0, 1)


def some_class_weights(r, name, weights, shape):
    if name not in SINGLE_CLASS or weights is not None or len(shape) > 2 or r.one(True, False):
        return None
    return {c: r.number(0.2, 3) for c in range(shape[-1]) if r.one(True, False)} or None


def make_case(folder, name, index, seed):
    r = Random(seed)
    keras.utils.set_random_seed(int(seed) % 2**31)
    keys, labels, end = LOSSES[name]
    # Few shapes: JAX compiles each operation anew for each.
    batch, shape = 6, r.one((1,), (4,), (3, 4), (2, 3, 4))
    if (shape == (1,) and labels in (one_hot, classes, distribution)) or labels is kinds:
        shape = (4,)
    samples = STEPS * batch - r.one(0, 2)
    x, y = r.array(-1, 1, samples, INPUTS), labels(r, (samples, *shape))
    config = {"reduction": r.one("sum", *MEANS), **keys(r, (samples, *shape))}
    if config.get("from_logits"):
        end = "linear"
    if config.get("ignore_class") == -1:
        y = np.where(r.classes(4, *y.shape) == 0, -1, y).astype("i4")
    loss = make_loss(name, config)
    values = np.shape(make_loss(name, {**config, "reduction": "none"})(y[:batch], np.full((batch, *shape), 0.5, "f4")))
    weights = some_weights(r, (samples, *values[1:]) if values and name != "Circle" else ())
    class_weight = some_class_weights(r, name, weights, (samples, *shape))
    model = make_model(end, shape)
    # Of a loss in percent the slope is a hundred times the others': steps of their size leave tanh where it is not flat,
    # where the last bit of a value is all that its derivative is made of.
    percent = 100.0 if "Percentage" in name else 1.0
    model.compile(keras.optimizers.SGD(0.05 / percent), loss, run_eagerly=True)
    label = f"{name}_{index}"
    write_model(f"{folder}/{label}.h5", model, name, config)
    with h5py.File(f"{folder}/{label}.data.h5", "w") as data:
        data["x"], data["y"] = x, y
        if weights is not None:
            data["sample_weight"] = weights
    found = []
    for first in range(0, samples, batch):
        part = slice(first, first + batch)
        model.reset_metrics()
        weight = None if weights is None else weights[part]
        found.append(float(model.train_on_batch(x[part], y[part], weight, class_weight)))
    # Of a sum the mean over batches is taken, where Keras gives the last one, which has fewer samples, less weight.
    sums = config["reduction"] == "sum" or not values
    after = float(model.evaluate(x, y, batch, verbose=0, sample_weight=weights))
    after = None if sums and samples % batch != 0 else after
    options = ["--batch", str(batch)]
    if class_weight:
        options += ["--class-weight", ",".join(f"{c}={w}" for c, w in class_weight.items())]
    # Terms of a step's loss that are added up, and the size of one of them.
    length = INPUTS + 8 + batch * math.prod(shape)
    size = percent * (2.5 * config.get("gamma", 1) if name == "Circle" else 1)  # the slope by a distance
    size *= batch * math.prod(shape[:-1]) if config["reduction"] in ("sum", "mean_with_sample_weight") else 1
    about = f"{config}, {batch} x {shape}, weights {np.shape(weights)}, classes {class_weight}"
    return {"case": label, "loss": name, "options": options, "losses": found, "eval": after, "length": length,
            "size": size, "about": about}


def make(folder, seed, count):
    cases = []
    for n, name in enumerate(LOSSES):
        for index in range(count):
            cases.append(make_case(folder, name, index, seed + 1000 * n + index))
    with open(f"{folder}/expected.json", "w") as file:
        json.dump(cases, file)
    with open(f"{folder}/models", "w") as file:
        for case in cases:
            print(case["case"], case["options"][1], *case["options"], file=file)


# Each of the additions, and of a handful of operations on an element before them, errs by EPS of the terms' size at
# most; two implementations by twice that. A step adds what its gradient erred by to what the earlier ones left.
def near(case, step, expected, found):
    allowed = 2 * EPS * (case["length"] + 16) * (step + 1) * max(case["size"], abs(expected))
    if not abs(expected - found) <= allowed:
        raise ValueError(f"step {step + 1}: {found!r} where Keras has {expected!r}, {allowed:.2g} allowed")


def check_case(folder, case):
    with open(f"{folder}/{case['case']}.run/metrics.jsonl") as file:
        lines = [json.loads(line) for line in file]
    found = [line["loss"] for line in lines if line["split"] == "train"]
    if len(found) != STEPS:
        raise ValueError(f"{len(found)} steps")
    for step in range(STEPS):
        near(case, step, case["losses"][step], found[step])
    with open(f"{folder}/{case['case']}.eval") as file:
        after = json.load(file)["loss"]
    if case["eval"] is not None:
        near(case, STEPS, case["eval"], after)


def check(folder):
    bad = {name: [] for name in LOSSES}
    with open(f"{folder}/expected.json") as file:
        cases = json.load(file)
    for case in cases:
        try:
            check_case(folder, case)
        except Exception as error:
            bad[case["loss"]].append(f"{case['case']} ({case['about']}): {error}")
    for name, errors in bad.items():
        count = sum(case["loss"] == name for case in cases)
        print(f"{'not ok' if errors else 'ok'} {name} is Keras' over {STEPS} steps of {count} configurations")
        for error in errors:
            print(error, file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        check(sys.argv[2])
