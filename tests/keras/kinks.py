"""Gradients of functions where their pieces meet, beside Keras' on JAX. Exact zeros are not rare: masked steps and
biases that are not trained yet make them.

Usage: kinks.py MBRUN SCRATCH
Rows of an Embedding are the points, a step of SGD with a rate of 1 shows the gradients. Prints a line "ok NAME" or
"not ok NAME" for each function."""
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from keras import layers as L
from keras import ops

from compare import ROUNDING, Files, run, weights_in

POINTS = np.array([-6, -3, -2.5, -1, -0.5, -0.0, 0, 0.5, 0.7, 1, 2, 2.5, 3, 6], "f4")
A_MODEL = 16  # outputs
NAMES = """relu leaky_relu relu6 celu elu selu softsign squareplus soft_shrink sparse_plus sparse_sigmoid silu gelu tanh tanh_shrink
    hard_sigmoid hard_silu hard_tanh hard_shrink mish log_sigmoid""".split()
FUNCTIONS = {name: L.Activation(name) for name in NAMES}
FUNCTIONS.update({
    "ReLU with a slope": L.ReLU(negative_slope=0.25),
    "ReLU with a maximum": L.ReLU(max_value=2.0),
    "ReLU with a threshold": L.ReLU(threshold=0.5),
    "ReLU with slope and maximum": L.ReLU(negative_slope=0.25, max_value=2.0),
    "ReLU with slope and a maximum of 6": L.ReLU(negative_slope=0.25, max_value=6.0),
    "ReLU with slope and threshold": L.ReLU(negative_slope=0.25, threshold=0.5),
    "ReLU with all of them": L.ReLU(negative_slope=0.25, max_value=2.0, threshold=0.5),
    "LeakyReLU": L.LeakyReLU(0.25),
    "LeakyReLU without a slope": L.LeakyReLU(0.0),
    "PReLU": L.PReLU(alpha_initializer=keras.initializers.Constant(0.25)),
    "ELU": L.ELU(0.5),
    "abs": ops.abs,
    "sign": ops.sign,
    "floor": ops.floor,
    "clip": lambda t: ops.clip(t, -1.0, 2.0),
    "maximum": lambda t: ops.maximum(t, 0.5),
    "minimum": lambda t: ops.minimum(0.5, t),
    "maximum of equals": lambda t: ops.maximum(t, t * 1.0),
    "threshold": lambda t: ops.threshold(t, 0.5, -0.5),
    "where": lambda t: ops.where(t > 0.5, t, 2.0 * t),
})
# Where Keras' backends differ and mbrun does not do what JAX does (doc/agreement.md).
OTHERWISE = {"leaky_relu": {0.0: 0.2}, "ReLU with a slope": {0.0: 0.25}, "LeakyReLU": {0.0: 0.25},
             "LeakyReLU without a slope": {0.0: 0.0}, "abs": {0.0: 0.0}, "sparse_sigmoid": {-1.0: 0.0, 1.0: 0.0}, "clip": {-1.0: 1.0, 2.0: 1.0}}  # fmt: skip


def build(names):
    """Each with a table of its own."""
    i = keras.Input((1,), dtype="int32", name="i")
    outputs = [L.Reshape((1,), name=f"out_{k}")(FUNCTIONS[name](L.Embedding(len(POINTS), 1, name=f"points_{k}")(i)))
               for k, name in enumerate(names)]  # fmt: skip
    model = keras.Model(i, outputs)
    for k in range(len(names)):
        model.get_layer(f"points_{k}").set_weights([POINTS[:, None]])
    model.compile(keras.optimizers.SGD(1.0), ["mse"] * len(names))
    return model


def samples(model):
    """Each point once, and targets that make the gradient of an output 1: 2 (output - target) / points."""
    x = np.arange(len(POINTS), dtype="i4")[:, None]
    return x, [np.asarray(p) - np.float32(len(POINTS) / 2) for p in model.predict_on_batch(x)]


def wrong(name, found, wanted):
    for point, value in OTHERWISE.get(name, {}).items():
        wanted = np.where(POINTS == np.float32(point), np.float32(value), wanted)
    # Differences of numbers up to 6 + 2, after a few roundings of such.
    bad = np.flatnonzero(np.abs(found - wanted) > 16 * 8 * ROUNDING)
    return ", ".join(f"{found[k]:.4g} at {POINTS[k]:g} where Keras has {wanted[k]:.4g}" for k in bad)


def check(files, names):
    model = build(names)
    x, y = samples(model)
    files.write(model, [x], y)
    run(*files.training(1, len(x)))
    found = weights_in(files.final())
    model.train_on_batch(x, y)
    for k, name in enumerate(names):
        gradients = [POINTS - table[:, 0] for table in
                     (found[f"points_{k}/embeddings"], np.array(model.get_layer(f"points_{k}").get_weights()[0]))]  # fmt: skip
        fault = wrong(name, *gradients)
        print(f"not ok gradients of {name}: {fault}" if fault else f"ok gradients of {name}", flush=True)


def main():
    files, names = Files(*sys.argv[1:3]), list(FUNCTIONS)
    for first in range(0, len(names), A_MODEL):
        check(files, names[first : first + A_MODEL])


if __name__ == "__main__":
    main()
