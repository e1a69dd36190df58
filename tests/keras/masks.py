"""Masks and attention beside Keras' own: outputs, all gradients by one step of SGD, the loss and the metrics.

Usage: masks.py MBRUN FOLDER SEED COUNT   COUNT models in FOLDER; prints a line "ok Keras ..." or
                                          "not ok Keras ..." for each
A model carries the mask of an Embedding or of Masking through random layers to one that takes it."""
import json
import random
import subprocess
import sys

import h5py
import keras
import numpy as np
from keras import layers as L

EPSILON = 2.0**-24
VOCABULARY = 6


class Draw(random.Random):
    def coin(self, share=0.5):
        return self.random() < share


def source(draw, name, steps):
    """An input and what comes out of it with a mask."""
    if draw.coin(0.6):
        x = L.Input((steps,), dtype="int32", name=name)
        table = draw.choice([L.Embedding, L.Embedding, L.ReversibleEmbedding])
        return x, table(VOCABULARY, draw.randint(2, 6), mask_zero=True)(x)
    value = draw.choice([0.0, -1.0, 0.5])
    x = L.Input((steps, draw.randint(1, 4)), name=name)
    return x, L.Masking(mask_value=value)(x)


def dropping(draw, x):
    """One that loses it."""
    return draw.choice([
        lambda: L.RMSNormalization()(x),
        lambda: L.EinsumDense("btd,de->bte", (x.shape[1], 3))(x),
        lambda: L.Conv1D(3, 1)(x),
    ])()


def passing(draw, x):
    """A layer that hands the mask on."""
    return draw.choice([
        lambda: L.Dense(draw.randint(2, 6), activation="tanh")(x),
        lambda: L.LayerNormalization()(x),
        lambda: L.Activation("sigmoid")(x),
        lambda: L.ReLU(negative_slope=0.1)(x),
        lambda: L.LeakyReLU()(x),
        lambda: L.ELU()(x),
        lambda: L.Identity()(x),
        lambda: L.Dropout(0.0)(x),
        lambda: L.Rescaling(0.5, 0.1)(x),
        lambda: L.PReLU(alpha_initializer="glorot_uniform")(x),
        lambda: L.GroupNormalization(1)(x),
        lambda: L.UnitNormalization()(x),
        lambda: L.BatchNormalization(trainable=False)(x),
        lambda: normalised(draw, x),
        lambda: L.Normalization(mean=0.2, variance=0.5)(x),
        lambda: L.ActivityRegularization(l2=0.01)(x),
        lambda: draw.choice([L.SpatialDropout1D, L.AlphaDropout, L.GaussianDropout, L.GaussianNoise])(0.0)(x),
        lambda: L.TimeDistributed(L.Dense(draw.randint(2, 6), activation="tanh"))(x),
        lambda: L.Add()([x, L.MultiHeadAttention(1, 2)(x, x)]),  # which forgets it
        lambda: dropping(draw, x),
        lambda: L.SimpleRNN(draw.randint(2, 5), return_sequences=True, zero_output_for_mask=draw.coin())(x),
        lambda: L.Bidirectional(L.GRU(draw.randint(2, 4), return_sequences=True),
                                merge_mode=draw.choice(["concat", "sum", "mul", "ave"]))(x),
        lambda: L.MultiHeadAttention(2, 3, use_bias=draw.coin())(x, x),
    ])()


def normalised(draw, x):
    """By statistics over the positions that count; epsilon keeps the slopes of few of them small.
    Keras cannot do that with a single channel."""
    if 1 in x.shape:
        return x
    if draw.coin(0.3):
        return L.TimeDistributed(L.BatchNormalization(epsilon=0.5, momentum=0.8))(x)
    return L.BatchNormalization(axis=draw.choice([-1, -1, 1]), epsilon=draw.choice([0.05, 0.5]), momentum=draw.choice([0.5, 0.9]),
                                center=draw.coin(0.8), scale=draw.coin(0.8))(x)


def merged(draw, a, b):
    """Two sequences of one length made one, or three; how decides the mask."""
    width = 4
    a, b = L.Dense(width)(a), L.Dense(width if draw.coin(0.7) else 1)(b)
    if draw.coin(0.3):
        b = b * 1.0  # an operation drops the mask
    make = draw.choice([L.Add, L.Subtract, L.Average, L.Multiply, L.Maximum, L.Minimum, L.Maximum,
                        lambda: L.Concatenate(axis=-1), lambda: L.Concatenate(axis=1)])()
    if isinstance(make, L.Concatenate):
        return make([a, b]) if a.shape == b.shape or make.axis == -1 else make([a, L.Dense(width)(b)])
    third = [] if isinstance(make, L.Subtract) or draw.coin() else [draw.choice([a, L.Dense(width)(b), a * 0.5])]
    inputs = [a, b, *third]
    draw.shuffle(inputs)
    return make(inputs)


def recurrent(draw, x):
    make = draw.choice([L.SimpleRNN, L.LSTM, L.GRU])
    keys = {"go_backwards": draw.coin(), "unroll": draw.coin(0.2), "zero_output_for_mask": draw.coin(),
            "return_sequences": draw.coin()}
    if make is L.GRU:
        keys["reset_after"] = draw.coin()
    if make is not L.SimpleRNN:
        keys["implementation"] = draw.choice([1, 2])
    units = draw.randint(1, 7)
    if draw.coin(0.3):
        cell = {L.SimpleRNN: L.SimpleRNNCell, L.LSTM: L.LSTMCell, L.GRU: L.GRUCell}[make](units)
        for key in ("reset_after", "implementation"):
            keys.pop(key, None)
        return L.RNN(cell, **keys)(x)
    if draw.coin(0.3):
        keys["go_backwards"] = False
        inside = make(units, **keys)
        if draw.coin(0.4):
            cells = [draw.choice([L.SimpleRNNCell, L.LSTMCell, L.GRUCell])(draw.randint(1, 4)) for _ in range(draw.randint(2, 3))]
            inside = L.RNN(cells, return_sequences=keys["return_sequences"], unroll=keys["unroll"])
        return L.Bidirectional(inside, merge_mode=draw.choice(["concat", "sum", "ave", "mul"]))(x)
    return make(units, **keys)(x)


def states(draw, x):
    """A layer that returns its states, and one that begins with them; or several cells in one."""
    units = draw.randint(1, 6)
    if draw.coin(0.3):
        cells = [draw.choice([L.SimpleRNNCell, L.LSTMCell, L.GRUCell])(draw.randint(1, 5)) for _ in range(draw.randint(2, 3))]
        return L.RNN(cells, return_sequences=draw.coin())(x)
    make = draw.choice([L.SimpleRNN, L.LSTM, L.GRU])
    keys = {"go_backwards": draw.coin(), "zero_output_for_mask": draw.coin()}
    first, *between = make(units, return_state=True, return_sequences=draw.coin(), **keys)(x)
    last = make(units, return_sequences=draw.coin(), **keys)(x, initial_state=between)
    return L.Concatenate()([L.Flatten()(t * 1.0) for t in (first, last, *between)])


def convolved(draw, x):
    """Under JAX Keras skips steps of images only where it unrolls the loop."""
    rank, first = draw.randint(1, 3), draw.coin(0.3)
    image = {1: (6, 2), 2: (3, 2, 2), 3: (2, 3, 1, 2)}[rank]
    make = getattr(L, f"ConvLSTM{rank}D")
    keys = {"kernel_size": draw.randint(1, 2), "padding": draw.choice(["same", "valid"]) if rank < 3 else "same",
            "unroll": True, "data_format": "channels_first" if first else "channels_last"}
    last = {"return_sequences": draw.coin(), "go_backwards": draw.coin()}
    x = L.Dense(12)(x)
    x = L.TimeDistributed(L.Reshape((image[-1], *image[:-1]) if first else image))(x)
    if draw.coin():
        return L.Flatten()(make(draw.randint(1, 3), **keys, **last)(x))
    y, h, c = make(2, **keys, return_sequences=True, return_state=True)(x)
    z = make(2, **{**keys, "kernel_size": 2, "padding": "same"}, **last)(y, initial_state=[h, c])
    return L.Concatenate()([L.Flatten()(t) for t in (z, h, c)])


def nested(draw, inputs):
    """Sequences in a sequence, each with its mask."""
    x = L.Input((draw.randint(2, 3), draw.randint(2, 5)), dtype="int32", name="c")
    inputs.append(x)
    y = L.Embedding(VOCABULARY, draw.randint(2, 5), mask_zero=True)(x)
    for _ in range(draw.randint(0, 2)):
        y = draw.choice([L.LayerNormalization(), L.Dense(3), L.TimeDistributed(L.Dense(4)), L.TimeDistributed(L.ReLU())])(y)
    keys = {"return_sequences": draw.coin(), "go_backwards": draw.coin()}
    inside = draw.choice([
        lambda: L.LSTM(draw.randint(1, 4), zero_output_for_mask=draw.coin(), **keys),
        lambda: L.GRU(draw.randint(1, 4), reset_after=draw.coin(), **keys),
        lambda: L.RNN([L.SimpleRNNCell(3), L.LSTMCell(2)], **keys),
        lambda: L.Bidirectional(L.SimpleRNN(3, return_sequences=keys["return_sequences"])),
        lambda: L.GlobalAveragePooling1D(),
    ])()
    return L.Flatten()(L.TimeDistributed(inside)(y) * 1.0)


def attention(draw, x, other):
    heads, size = draw.randint(1, 3), draw.randint(1, 5)
    width = draw.choice([None, draw.randint(1, 5)])
    # Keras 3.15 takes a value_dim of its own only where it drops probabilities: here none.
    keys = {"value_dim": width, "dropout": 0.0 if width in (None, size) else 1e-9, "use_bias": draw.coin(),
            "output_shape": draw.choice([None, 3]), "attention_axes": draw.choice([None, 1])}
    layer = L.MultiHeadAttention(heads, size, **keys)
    value = draw.choice([x, other])
    arguments = [x, value] + ([L.Dense(3)(value)] if draw.coin(0.3) else [])
    call = {"use_causal_mask": draw.coin(0.3)}
    if draw.coin(0.3):
        scores = L.Dense(value.shape[1])(L.Activation("linear")(x))
        call["attention_mask"] = scores > 0.0
    return layer(*arguments, **call)


def spread(draw, inputs):
    """Attention over axes of positions of images; masks where each row attends by itself."""
    rows, columns = draw.randint(2, 4), draw.randint(2, 4)
    if draw.coin(0.4):
        x = L.Input((rows, columns), dtype="int32", name="c")
        image = L.Embedding(VOCABULARY, 4, mask_zero=True)(x)
        axes = draw.choice([2, (2,), -2])
    else:
        x = L.Input((rows, columns, draw.randint(2, 4)), name="c")
        image = L.Dense(4)(x)
        axes = draw.choice([None, 1, 2, (1, 2), -2])
    inputs.append(x)
    value = draw.choice([image, L.Dense(3)(image)])
    call = {"use_causal_mask": axes == 1 and draw.coin()}
    attended = {2: (rows, columns), 1: (columns, rows)}.get(axes if axes != -2 else 2)
    if attended and draw.coin(0.5):
        others, positions = attended
        scores = L.Reshape((others, positions, positions))(L.Dense(others * positions**2)(L.Flatten()(image)))
        call["attention_mask"] = scores > 0.0
    layer = L.MultiHeadAttention(draw.randint(1, 3), draw.randint(1, 4), value_dim=draw.choice([None, 3]), attention_axes=axes,
                                 output_shape=draw.choice([None, 2]), dropout=draw.choice([0.0, 1e-9]))
    return L.Flatten()(layer(image, value, *([L.Dense(2)(value)] if draw.coin(0.3) else []), **call) * 1.0)


def grouped(draw, x, other):
    shared = draw.randint(1, 2)
    layer = L.GroupQueryAttention(draw.randint(1, 4), shared * draw.randint(1, 3), shared, use_bias=draw.coin())
    value = draw.choice([x, L.Dense(x.shape[-1])(other)])
    arguments = [x, value] + ([L.Dense(3)(value)] if draw.coin(0.3) else [])
    return layer(*arguments, use_causal_mask=draw.coin(0.3))


def scored(draw, x, other):
    width = draw.randint(1, 5)
    x, other = L.Dense(width)(x), L.Dense(width)(other)
    inputs = [x, draw.choice([x, other])]
    if draw.coin(0.4):
        inputs = [x, L.Dense(draw.randint(1, 5))(inputs[1]), inputs[1]]
    layer = draw.choice([
        lambda: L.AdditiveAttention(use_scale=draw.coin()),
        lambda: L.Attention(use_scale=draw.coin(), score_mode=draw.choice(["dot", "concat"])),
    ])()
    return layer(inputs, use_causal_mask=draw.coin(0.3))


def softmax(draw, x):
    width = x.shape[-1]
    keep = L.Dense(draw.choice([1, width]))(x) > 0.0
    return L.Softmax(axis=draw.choice([-1, 1]))(x, mask=keep) * 1.0  # which drops that mask


def taker(draw, kind, x, other):
    if kind == "recurrent":
        return recurrent(draw, x)
    if kind == "states":
        return states(draw, x)
    if kind == "images":
        return convolved(draw, x)
    if kind == "attention":
        return draw.choice([attention, attention, grouped])(draw, x, other)
    if kind == "scored":
        return scored(draw, x, other)
    if kind == "pooling":
        return L.GlobalAveragePooling1D(keepdims=draw.coin())(x)
    if kind == "softmax":
        return softmax(draw, x)
    return L.Dense(3)(x)  # the loss takes it


KINDS = ["recurrent", "attention", "pooling", "scored", "loss", "recurrent", "attention", "softmax", "scored", "states",
         "images", "axes", "nested"]


def loss_of(draw, y):
    reduction = draw.choice(["sum_over_batch_size", "sum", "mean_with_sample_weight"])
    if len(y.shape) == 3 and y.shape[-1] > 1 and draw.coin(0.5):
        ignored = draw.choice([None, None, 1])
        loss = keras.losses.SparseCategoricalCrossentropy(True, ignore_class=ignored, reduction=reduction)
        return loss, ["accuracy", "sparse_top_k_categorical_accuracy"]
    return draw.choice([keras.losses.MeanSquaredError, keras.losses.MeanAbsoluteError])(reduction=reduction), [
        "mae", keras.metrics.RootMeanSquaredError()]


def build(draw, kind):
    steps = draw.randint(2, 7)
    a, x = source(draw, "a", steps)
    b, other = source(draw, "b", steps)
    inputs = [a]
    for _ in range(draw.randint(0, 3)):
        x = passing(draw, x)
    if kind in ("attention", "scored"):
        y = taker(draw, kind, x, other)
        y = L.Concatenate(axis=1)([L.Dense(2)(y), L.Dense(2)(other)])
        inputs = [a, b]
    elif kind in ("axes", "nested"):
        inputs = []
        y = spread(draw, inputs) if kind == "axes" else nested(draw, inputs)
    else:
        if draw.coin(0.5):
            x = merged(draw, x, other)
            inputs = [a, b]
        y = taker(draw, kind, x, other)
    y = L.Dense(3, name="y")(y)
    model = keras.Model(inputs, y)
    loss, metrics = loss_of(draw, y)
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=metrics)
    return model


def some_input(numbers, shape, dtype, layer):
    if dtype == "int32":
        return numbers.integers(0, VOCABULARY, shape) * (numbers.random(shape) < 0.7)
    x = numbers.standard_normal(shape)
    if layer is not None:
        x[numbers.random(shape[:-1]) < 0.3] = layer.mask_value
    return x


def masking_of(model, name):
    return next((l for l in model.layers if isinstance(l, L.Masking) and l.input is model.get_layer(name).output), None)


def write_data(path, model, samples, numbers):
    sparse = isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)
    with h5py.File(path, "w") as data:
        for x in model.inputs:
            value = some_input(numbers, (samples, *x.shape[1:]), x.dtype, masking_of(model, x.name))
            value[:, 0] = 1  # no sample is masked as a whole: means over it are 0 / 0
            if value.ndim == 3 and x.dtype == "int32":
                value[:, :, 0] = 1
            data[x.name] = value.astype("i4" if x.dtype == "int32" else "f4")
        shape = (samples, *model.output_shape[1:])
        data["y"] = (
            numbers.integers(0, shape[-1], shape[:-1]).astype("i4")
            if sparse
            else numbers.standard_normal(shape).astype("f4")
        )


def make(path, seed, kind):
    draw = Draw(seed)
    keras.utils.set_random_seed(seed)
    model = build(draw, kind)
    numbers = np.random.default_rng(seed)
    for weight in model.weights:  # biases of zero would leave positions that are masked at kinks
        some = numbers.uniform(-0.3, 0.3, weight.shape)
        weight.assign(some if weight.name == "bias" else 0.7 * weight.numpy())
    model.save(f"{path}.keras")
    write_data(f"{path}.data.h5", model, draw.randint(3, 9), numbers)
    return model


# A value is a sum of at most LENGTH products of numbers of the size of the largest, over the steps and
# back, each rounded to EPSILON of it on either side; Keras' and our functions err by a few EPSILON more.
def bound(model, samples):
    steps = max(t.shape[1] for t in model.inputs)
    return 16 * EPSILON * (steps * 64 + samples * steps + 64)


def error_of(wanted, found):
    return float(np.max(np.abs(wanted - found)) / max(1.0, np.max(np.abs(wanted))))


def run(mbrun, path):
    data = ["--data", f"{path}.data.h5"]
    train = ["--no-shuffle", "--batch", "9", "--steps", "1", "--quiet", "--run", f"{path}.run", "-o", f"{path}.out.keras"]
    for command in (["predict", f"{path}.keras", *data, "-o", f"{path}.out.h5"], [f"{path}.keras", *data, *train]):
        done = subprocess.run([mbrun, *command], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])


def learns_statistics(model):
    return any(isinstance(l, L.BatchNormalization) and l.trainable for l in model._flatten_layers())


def compare(path, model):
    """What is wrong, by name, each beside what is allowed."""
    with h5py.File(f"{path}.data.h5") as data:
        x, y = [data[t.name][:] for t in model.inputs], data["y"][:]
    with h5py.File(f"{path}.out.h5") as out:
        found = out["y"][:]
    with open(f"{path}.run/metrics.jsonl") as lines:
        line = json.loads(next(iter(lines)))
    trained = keras.models.load_model(f"{path}.out.keras", compile=False).get_weights()
    start = model.get_weights()
    errors = {"values": error_of(np.asarray(model.predict_on_batch(x)), found)}
    # Under JAX Keras loses the mask between the loss of a step and its metrics; evaluation keeps it,
    # but normalises by other statistics.
    logs = {} if learns_statistics(model) else model.test_on_batch(x, y, return_dict=True)
    logs["loss"] = model.train_on_batch(x, y, return_dict=True)["loss"]
    changes = [(a - s, b - s) for a, b, s in zip(model.get_weights(), trained, start)]
    errors["gradients"] = max(error_of(a, b) for a, b in changes)
    for name, value in logs.items():
        errors[name] = abs(line[name] - float(value)) / max(1.0, abs(float(value)))
    moved = any(np.any(a) for a, _ in changes)
    allowed = bound(model, len(y))
    return moved and "loss" in errors and max(errors.values()) <= allowed, allowed, errors


def main():
    mbrun, folder, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for n in range(count):
        path, kind = f"{folder}/{n}", KINDS[n % len(KINDS)]
        what = f"Keras does the same: {kind}, seed {seed * 1000 + n}"
        try:
            model = make(path, seed * 1000 + n, kind)
            run(mbrun, path)
            good, allowed, errors = compare(path, model)
            told = ", ".join(f"{name} {error:.1g}" for name, error in errors.items())
            print(f"{'ok' if good else 'not ok'} {what}: {told} of {allowed:.1g}", flush=True)
        except Exception as error:
            print(f"not ok {what}: {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main()
