"""Recurrent layers beside Keras' own: outputs, and all gradients by one step of SGD.

Usage: recurrent.py make FOLDER SEED COUNT writes model N as FOLDER/N.keras or N.h5, its data as
                                         FOLDER/N.data.h5
       recurrent.py check FOLDER         compares with what mbrun made of each: FOLDER/N.out.h5, its
                                         predictions, and FOLDER/N.run/final.h5, after one step
A model has BRANCHES random layers of each class side by side, whose outputs are joined. Prints a line
"ok ..." or "not ok ..." a model and class, and one for the names of the weights."""
import glob
import os
import random
import sys

import h5py
import keras
import numpy as np
from keras import layers as L

BRANCHES = 2
EPSILON = 2.0**-24
PIXELS = 24  # times channels, of a ConvLSTM's image
KINDS = ["SimpleRNN", "LSTM", "GRU", "Bidirectional", "RNN", "States", "ConvLSTM"]
ELEMENTWISE = ["tanh", "sigmoid", "relu", "linear", "softsign", "silu", "hard_sigmoid", "gelu", "elu", "softplus"]


def cell_keys(draw, kind):
    keys = {
        "units": draw.randint(1, 12),
        "use_bias": draw.random() < 0.7,
        "activation": draw.choice(["tanh", "tanh"] + ELEMENTWISE),
        "kernel_regularizer": draw.choice([None, None, "l2"]),
        "bias_initializer": draw.choice(["zeros", "random_normal"]),
    }
    if kind != "SimpleRNN":
        keys["recurrent_activation"] = draw.choice(["sigmoid", "sigmoid"] + ELEMENTWISE[:7])
        keys["implementation"] = draw.choice([1, 2])
    if kind == "LSTM":
        keys["unit_forget_bias"] = draw.random() < 0.5
    if kind == "GRU":
        keys["reset_after"] = draw.random() < 0.5
    return keys


def loop_keys(draw):
    return {
        "return_sequences": draw.random() < 0.5,
        "go_backwards": draw.random() < 0.5,
        "unroll": draw.random() < 0.2,
    }


def both_ways(draw, name):
    make, mode = getattr(L, draw.choice(KINDS[:3])), draw.choice(["concat", "sum", "ave", "mul"])
    keys, loop = cell_keys(draw, make.__name__), loop_keys(draw)
    back = None
    if loop["go_backwards"] or draw.random() < 0.3:
        back_keys = dict(cell_keys(draw, make.__name__), units=keys["units"])
        back_loop = dict(loop, go_backwards=not loop["go_backwards"])
        back = make(**back_keys, **back_loop, name=f"{name}_back")
    return L.Bidirectional(make(**keys, **loop), merge_mode=mode, backward_layer=back, name=name)


def some_layer(draw, kind, name):
    if kind == "Bidirectional":
        return both_ways(draw, name)
    if kind == "RNN":
        inner = draw.choice(KINDS[:3])
        cell = getattr(L, inner + "Cell")(**cell_keys(draw, inner), name=f"{name}_cell")
        return L.RNN(cell, **loop_keys(draw), name=name)
    return getattr(L, kind)(**cell_keys(draw, kind), **loop_keys(draw), name=name)


def joined(parts):
    return parts[0] if len(parts) == 1 else L.Concatenate()(parts)


# A layer that returns its states, and one that begins with them: of the encoder-decoder.
def handed_on(draw, name, x):
    make = getattr(L, draw.choice(KINDS[:3]))
    both = draw.random() < 0.5
    mode = draw.choice(["concat", "sum", "ave", "mul", None])
    units = draw.randint(1, 12)

    def one(suffix, **more):
        keys = dict(cell_keys(draw, make.__name__), units=units, return_sequences=draw.random() < 0.5)
        if not both:
            return make(**keys, **more, go_backwards=draw.random() < 0.3, name=name + suffix)
        return L.Bidirectional(make(**keys, **more), merge_mode=mode, name=name + suffix)

    first, n = one("", return_state=True)(x), 2 if both and mode is None else 1
    last = one("_b")(x, initial_state=list(first[n:]))
    lasts = list(last) if both and mode is None else [last]
    # The state alone of one, and all outputs of the other, are used.
    some = first[:n] if draw.random() < 0.5 else []
    return joined([L.Flatten()(t) for t in [*some, first[n], *lasts]])


IMAGES = {1: (PIXELS // 2, 2), 2: (4, PIXELS // 8, 2), 3: (2, 3, PIXELS // 12, 2)}


def convolved(draw, name, x):
    rank, first = draw.randint(1, 3), draw.random() < 0.3
    strided, dilated = draw.choice([(1, 1), (1, 1), (2, 1), (1, 2)])
    image = IMAGES[rank]
    keys = {
        "filters": draw.randint(1, 4),
        "data_format": "channels_first" if first else "channels_last",
        "use_bias": draw.random() < 0.7,
        "recurrent_activation": draw.choice(["sigmoid", "hard_sigmoid"]),
        "activation": draw.choice(["tanh", "softsign"]),
    }
    shapes = {"kernel_size": draw.randint(1, 2), "strides": strided, "dilation_rate": dilated}
    shapes["padding"] = draw.choice(["same", "valid"])
    if dilated * (shapes["kernel_size"] - 1) >= min(image):
        shapes["padding"] = "same"  # nothing would be left
    states, last = draw.random() < 0.5, {"return_sequences": draw.random() < 0.5}
    last["go_backwards"] = draw.random() < 0.5
    make = getattr(L, f"ConvLSTM{rank}D")
    x = L.Dense(PIXELS, name=f"{name}_b")(x)
    x = L.Reshape((x.shape[1], *([image[-1], *image[:-1]] if first else image)))(x)
    if not states:
        return L.Flatten()(make(**keys, **shapes, **last, name=name)(x))
    y, h, c = make(**keys, **shapes, return_sequences=True, return_state=True, name=name)(x)
    z = make(**keys, kernel_size=3, padding="same", **last, name=f"{name}_b_b")(y, initial_state=[h, c])
    return L.Concatenate()([L.Flatten()(z), L.Flatten()(h), L.Flatten()(c)])


# Keras fails at a stack of one that returns its states.
def stacked(draw, name, x):
    cells = []
    for i in range(draw.randint(2, 3)):
        kind = draw.choice(KINDS[:3])
        keys = {k: v for k, v in cell_keys(draw, kind).items() if k != "implementation"}
        cells.append(getattr(L, kind + "Cell")(**keys, name=f"{name}_cell_{i}"))
    given = L.RNN(cells, **loop_keys(draw), return_state=draw.random() < 0.5, name=name)(x)
    return joined([L.Flatten()(t) for t in keras.tree.flatten(given)])


def branch(draw, kind, name, x):
    if kind == "States":
        return handed_on(draw, name, x)
    if kind == "ConvLSTM":
        return convolved(draw, name, x)
    if kind == "RNN" and draw.random() < 0.7:
        return stacked(draw, name, x)
    return L.Flatten()(some_layer(draw, kind, name)(x))


def build(draw):
    steps, width = draw.randint(1, 8), draw.randint(1, 9)
    x = L.Input((steps, width), name="x")
    parts = []
    for kind in KINDS:
        outputs = [branch(draw, kind, f"{kind.lower()}_{i}", x) for i in range(BRANCHES)]
        parts.append(L.Concatenate(name=f"all_{kind.lower()}")(outputs))
    model = keras.Model(x, L.Concatenate(name="y")(parts))
    # The loss is a mean over columns: this makes a step as large as one on their sum.
    model.compile(keras.optimizers.SGD(float(model.output_shape[-1])), "mean_squared_error")
    return model


def make(folder, seed, models):
    for n in range(models):
        draw = random.Random(seed * 1000 + n)
        keras.utils.set_random_seed(seed * 1000 + n)
        model = build(draw)
        numbers = np.random.default_rng(seed * 1000 + n)
        # Orthogonal recurrent kernels without saturation let errors grow; a little smaller they do not.
        model.set_weights([0.7 * w for w in model.get_weights()])
        samples = draw.randint(2, 9)
        model.save(f"{folder}/{n}.{'h5' if n % 2 else 'keras'}")
        with h5py.File(f"{folder}/{n}.data.h5", "w") as data:
            data["x"] = numbers.standard_normal((samples, *model.input_shape[1:]), "f4")
            data["y"] = numbers.standard_normal((samples, model.output_shape[-1]), "f4")


# A value is a sum of at most LENGTH products of numbers of the size of the largest, over the steps and
# back, each rounded to EPSILON of it on either side; Keras' and our functions err by a few EPSILON more.
# A kernel has at most 27 positions of 4 channels, and its gradient a term for each pixel.
def bound(model, samples, kind):
    steps, width = model.input_shape[1:]
    if kind == "ConvLSTM":
        return 8 * EPSILON * (steps * (2 * 108 + width + 24) + samples * steps * PIXELS + 16)
    return 8 * EPSILON * (steps * (width + 24) + samples * steps + 16)


def error_of(wanted, found):
    return float(np.max(np.abs(wanted - found)) / max(1.0, np.max(np.abs(wanted))))


def weights_of(model, kind):
    names = [f"{kind.lower()}_{i}" for i in range(BRANCHES)]
    layers = [layer for layer in model.layers if layer.name.replace("_b", "") in names]
    return [np.array(w) for layer in layers for w in layer.weights]


# Keras does not train a model as it loads it; with a fresh optimizer it does.
def load_to_train(path):
    optimizer = keras.models.load_model(path).optimizer
    model = keras.models.load_model(path, compile=False)
    model.compile(type(optimizer).from_config(optimizer.get_config()), "mean_squared_error")
    return model


def compare(folder, n):
    model = load_to_train(next(f for f in (f"{folder}/{n}.keras", f"{folder}/{n}.h5") if os.path.exists(f)))
    with h5py.File(f"{folder}/{n}.data.h5") as data:
        x, y = data["x"][:], data["y"][:]
    with h5py.File(f"{folder}/{n}.out.h5") as out:
        found = out["y"][:]
    trained = keras.models.load_model(f"{folder}/{n}.run/final.h5")
    start = {kind: weights_of(model, kind) for kind in KINDS}
    joined = keras.Model(model.input, [model.get_layer(f"all_{kind.lower()}").output for kind in KINDS])
    wanted, first = joined.predict_on_batch(x), 0
    model.train_on_batch(x, y)
    for kind, part in zip(KINDS, wanted):
        errors = [error_of(np.asarray(part), found[:, first : first + part.shape[1]])]
        first += part.shape[1]
        pairs = list(zip(weights_of(model, kind), weights_of(trained, kind), start[kind]))
        errors += [error_of(a, b) for a, b, _ in pairs]
        moved = any(not np.array_equal(a, before) for a, _, before in pairs)
        allowed = bound(model, len(x), kind)
        good = max(errors) <= allowed and moved
        print(f"{'ok' if good else 'not ok'} model {n}: {BRANCHES} layers {kind}: {max(errors):.2g} of {allowed:.2g}")
    names = [w.path for w in model.weights] == [w.path for w in trained.weights]
    print(f"{'ok' if names else 'not ok'} model {n}: the weights have Keras' names")


def main():
    if sys.argv[1] == "make":
        return make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    for path in sorted(glob.glob(f"{sys.argv[2]}/*.out.h5")):
        compare(sys.argv[2], os.path.basename(path).split(".")[0])


if __name__ == "__main__":
    main()
