"""Operations of keras.ops in functional models, the layers made of the same, activations and normalization:
outputs and gradients of mbrun beside Keras'.

Usage: operators.py MBRUN SCRATCH SEED ROUNDS [CASE...]
Each round makes every case once with random shapes and settings, several cases a model, each behind Dense
layers of its own. Outputs are compared before, weights after one step of SGD with a learning rate of 1,
which are the gradients. Prints a line "ok NAME" or "not ok NAME" for each case of each round."""
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
import keras
import numpy as np
from keras import layers, ops

import layer_cases  # noqa: F401: which adds its own
import operator_cases  # noqa: F401
from cases import BELOW, CASES, Case
from compare import ROUNDING, Files, listed, run, weights_in

BATCH = 6
A_MODEL = 4  # cases


def make(rng, names):
    inputs, outputs = [], []
    BELOW.clear()
    dense = iter(range(10**6))
    for name in names:
        outputs.append(CASES[name](Case(rng, inputs, dense)))
    for i, t in enumerate(outputs):
        t = ops.expand_dims(t, -1) if len(t.shape) == 1 else t
        outputs[i] = layers.Identity(name=f"out_{i}")(t)
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss=["mse"] * len(outputs))
    return model


def numbers(rng, tensor):
    shape = (BATCH, *tensor.shape[1:])
    below = BELOW.get(tensor.name)
    return rng.normal(size=shape).astype("f4") if below is None else rng.integers(0, below, shape).astype("i4")


def samples(model, rng):
    x = [numbers(rng, i) for i in model.inputs]
    # an output's symbolic shape may have holes
    return x, [rng.normal(size=o.shape).astype("f4") for o in listed(model.predict_on_batch(x))]


def close(found, expected, terms, scale=None):
    """Sums of TERMS numbers of the largest one's size, each with a dozen roundings."""
    expected = np.asarray(expected)
    size = np.max(np.abs(expected)) if scale is None else scale
    return np.max(np.abs(np.asarray(found) - expected), initial=0) <= 16 * ROUNDING * terms * (size + 1)


def compare(files, model, rng):
    """What differs, by the number of the case: None where nothing does; weights before, and mbrun's after."""
    x, y = samples(model, rng)
    files.write(model, x, y)
    found = files.predict(model)
    run(*files.training(1, BATCH))
    expected = listed(model.predict_on_batch(x))
    faults = [None if close(a, b, 8) else "outputs" for a, b in zip(found, expected)]
    before = {w.path: np.array(w) for w in model.weights}
    model.train_on_batch(x, y)
    return faults, before, weights_in(files.final())


def owners(model):
    """Which case each weight belongs to, by its path: those of the layers before its output."""
    owner = {}
    for k, output in enumerate(model.outputs):
        todo = [output]
        while todo:
            operation = todo.pop()._keras_history.operation
            if operation.name not in owner:
                todo += [t for node in operation._inbound_nodes for t in node.input_tensors]
            owner.setdefault(operation.name, k)
    return {w.path: owner[layer.name] for layer in model.layers for w in layer.weights}


def check(names, files, rng):
    model = make(rng, names)
    try:
        faults, before, found = compare(files, model, rng)
    except ValueError as error:
        return [str(error)] if len(names) == 1 else [check([name], files, rng)[0] for name in names]
    owner = owners(model)
    for weight in model.weights:
        k = owner[weight.path]
        expected = np.array(weight) - before[weight.path]
        got = found[weight.path] - before[weight.path]
        scale = np.max(np.abs(before[weight.path])) + np.max(np.abs(expected))
        if not close(got, expected, BATCH * 8, scale):
            faults[k] = faults[k] or f"the gradient of {weight.path}"
    return faults


def main():
    files, seed, rounds = Files(*sys.argv[1:3]), int(sys.argv[3]), int(sys.argv[4])
    names = sorted(CASES) if len(sys.argv) < 6 else sys.argv[5:]
    bad = {}
    for r in range(rounds):
        for first in range(0, len(names), A_MODEL):
            part = names[first : first + A_MODEL]
            rng = np.random.default_rng([seed, r, first])
            keras.utils.set_random_seed(seed + r)
            for name, fault in zip(part, check(part, files, rng)):
                if fault is not None:
                    bad.setdefault(name, f"round {r} of seed {seed}: {fault}")
    for name in names:
        print(f"ok Keras' {name} over {rounds} random configurations" if name not in bad
              else f"not ok Keras' {name}: {bad[name]}", flush=True)


if __name__ == "__main__":
    main()
