"""Layers that keep their states from batch to batch (stateful) beside Keras' own.

Usage: stateful.py make FOLDER SEED COUNT writes model N as FOLDER/N.keras or N.h5, its data as
                                        FOLDER/N.data.h5
       stateful.py check FOLDER         compares with what mbrun made of each: FOLDER/N.out.h5, its
                                        predictions, and FOLDER/N.run/final.h5, after two epochs
A model has a random layer of each kind side by side, whose outputs are joined. Keras' fit on JAX forgets
the states of such layers, so that here they are handed on from step to step in its own StatelessScope.
Prints a line "ok ..." or "not ok ..." a model and kind, and one for the predictions."""
import glob
import os
import random
import sys

import h5py
import jax
import keras
import numpy as np
from keras import layers as L
from keras import ops

EPSILON = 2.0**-24
BATCHES, EPOCHS = 3, 2
KINDS = ["SimpleRNN", "LSTM", "GRU", "Bidirectional", "Stack", "ConvLSTM"]
RATE = 0.25


def keys_of(draw):
    return {"return_sequences": draw.random() < 0.5, "stateful": True}


def some_layer(draw, kind, x):
    name, units, loop = kind.lower(), draw.randint(1, 9), keys_of(draw)
    if kind == "Bidirectional":
        make = getattr(L, draw.choice(KINDS[:3]))
        return L.Bidirectional(make(units, **loop), merge_mode=draw.choice(["concat", "sum", "mul"]), name=name)(x)
    if kind == "Stack":
        cells = [L.LSTMCell(units, name="first"), L.GRUCell(draw.randint(1, 9), name="second")]
        return L.RNN(cells, **loop, name=name)(x)
    if kind == "ConvLSTM":
        first = draw.random() < 0.5
        images = L.Reshape((x.shape[1], *((2, 3, 2) if first else (3, 2, 2))))(L.Dense(12, name="images")(x))
        keys = {"data_format": "channels_first" if first else "channels_last", "padding": "same"}
        return L.ConvLSTM2D(draw.randint(1, 3), 2, **keys, **loop, name=name)(images)
    more = {"reset_after": draw.random() < 0.5} if kind == "GRU" else {}
    give = draw.random() < 0.5
    backwards = draw.random() < 0.3
    layer = getattr(L, kind)(units, **loop, **more, go_backwards=backwards, return_state=give, name=name)
    given = layer(x)
    return L.Concatenate()([L.Flatten()(t) for t in given]) if give else given


def build(draw):
    batch, steps, width = draw.randint(2, 7), draw.randint(1, 5), draw.randint(1, 6)
    x = L.Input(batch_shape=(batch, steps, width), name="x")
    masked = L.Masking(0.0)(x) if draw.random() < 0.5 else x
    parts = []
    for kind in KINDS:
        given = L.Flatten()(some_layer(draw, kind, x if kind == "ConvLSTM" else masked))
        parts.append(L.Dense(2, name=f"{kind.lower()}_out")(given))
    model = keras.Model(x, L.Concatenate(name="y")(parts))
    model.compile(keras.optimizers.SGD(RATE), "mean_squared_error")
    return model


def make(folder, seed, models):
    for n in range(models):
        draw = random.Random(seed * 1000 + n)
        keras.utils.set_random_seed(seed * 1000 + n)
        model = build(draw)
        numbers = np.random.default_rng(seed * 1000 + n)
        # Orthogonal recurrent kernels without saturation let errors grow; smaller ones do not.
        model.set_weights([0.7 * w for w in model.get_weights()])
        batch, steps, width = model.input_shape
        x = numbers.standard_normal((BATCHES * batch, steps, width), "f4")
        x[numbers.random((BATCHES * batch, steps)) < 0.2] = 0.0
        # Keras 3 cannot read an .h5 that it writes of a model with Masking and a layer that returns a state.
        masked = any(isinstance(layer, L.Masking) for layer in model.layers)
        model.save(f"{folder}/{n}.{'h5' if n % 2 and not masked else 'keras'}")
        with h5py.File(f"{folder}/{n}.data.h5", "w") as data:
            data["x"] = x
            data["y"] = numbers.standard_normal((BATCHES * batch, model.output_shape[-1]), "f4")


def layers_of(layer):
    return [layer.forward_layer, layer.backward_layer] if isinstance(layer, L.Bidirectional) else [layer]


def states_of(model):
    """The variables of each kind's states, in the order of the layer."""
    return {kind: [v for l in layers_of(model.get_layer(kind.lower())) for v in keras.tree.flatten(l.states)]
            for kind in KINDS}  # fmt: skip


def step_of(model, variables):
    """A function of weights, states and a batch: the loss, outputs and new states, and gradients of the weights."""

    def loss(weights, states, x, y):
        pairs = [*zip(model.trainable_variables, weights), *zip(variables, states)]
        with keras.StatelessScope(state_mapping=pairs) as scope:
            given = model(x, training=True)
            news = [scope.get_current_value(v) for v in variables]
        return ops.mean(ops.square(given - y)), (given, news)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def train(model, x, y):
    """Predictions of one pass before; weights and states after all epochs."""
    variables = [v for vs in states_of(model).values() for v in vs]
    step, batch = step_of(model, variables), model.input_shape[0]
    zeros = [np.zeros(v.shape, "f4") for v in variables]
    weights, states, predicted = [v.value for v in model.trainable_variables], zeros, []
    for at in range(0, len(x), batch):
        (_, (given, states)), _ = step(weights, states, x[at : at + batch], y[at : at + batch])
        predicted.append(np.asarray(given))
    states = zeros
    for _ in range(EPOCHS):
        for at in range(0, len(x), batch):
            (_, (_, states)), slopes = step(weights, states, x[at : at + batch], y[at : at + batch])
            weights = [w - RATE * s for w, s in zip(weights, slopes)]
    for variable, value in [*zip(model.trainable_variables, weights), *zip(variables, states)]:
        variable.assign(value)
    return np.concatenate(predicted)


def kept_of(model, run, kind):
    """What mbrun kept, as Keras has it."""
    with h5py.File(run) as f:
        group = f[f"mbrun/states/{kind.lower()}"]
        kept = [group[str(i)][()] for i in range(len(group))]
    first = kind == "ConvLSTM" and model.get_layer("convlstm").cell.data_format == "channels_first"
    return [np.moveaxis(k, -1, 1) for k in kept] if first else kept


# A value is a sum of at most LENGTH products of numbers of the size of the largest, over all steps of the
# sequences that batches continue and back, each rounded to EPSILON of it on either side, in each of the
# updates; Keras' and our functions err by a few EPSILON more.
def bound(model):
    batch, steps, width = model.input_shape
    total = steps * BATCHES * EPOCHS
    return 8 * EPSILON * (total * (width + 24) + batch * total + 16)


def error_of(wanted, found):
    if wanted.shape != found.shape:
        return float("inf")
    return float(np.max(np.abs(wanted - found)) / max(1.0, np.max(np.abs(wanted))))


def compare(folder, n):
    path = next(f for f in (f"{folder}/{n}.keras", f"{folder}/{n}.h5") if os.path.exists(f))
    model = keras.models.load_model(path, compile=False)
    with h5py.File(f"{folder}/{n}.data.h5") as data:
        x, y = data["x"][:], data["y"][:]
    with h5py.File(f"{folder}/{n}.out.h5") as out:
        found = out["y"][:]
    run = f"{folder}/{n}.run/final.h5"
    trained = keras.models.load_model(run, compile=False)
    predicted, allowed = train(model, x, y), bound(model)
    error = error_of(predicted, found)
    print(f"{'ok' if error <= allowed else 'not ok'} model {n}: predictions: {error:.2g} of {allowed:.2g}")
    for kind, variables in states_of(model).items():
        pairs = [(np.array(v), k) for v, k in zip(variables, kept_of(model, run, kind), strict=True)]
        moved = any(np.any(v != 0) for v, _ in pairs)
        for name in (kind.lower(), f"{kind.lower()}_out"):
            pairs += zip(model.get_layer(name).get_weights(), trained.get_layer(name).get_weights(), strict=True)
        error = max(error_of(a, b) for a, b in pairs)
        good = error <= allowed and moved
        print(f"{'ok' if good else 'not ok'} model {n}: {kind}: weights and states: {error:.2g} of {allowed:.2g}")


def main():
    if sys.argv[1] == "make":
        return make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    for path in sorted(glob.glob(f"{sys.argv[2]}/*.out.h5")):
        compare(sys.argv[2], os.path.basename(path).split(".")[0])


if __name__ == "__main__":
    main()
