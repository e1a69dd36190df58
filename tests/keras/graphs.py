"""Random valid graphs of 3 to 40 nodes over all layers: three steps of training beside Keras', and the same bits
over several ranks.

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
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy as np
from keras import layers as L
from keras import ops

BATCH, STEPS = 8, 3
LARGEST = 240  # elements of a tensor, without the samples
AS_MUCH = 8
FLOOR = 16 * 2.0**-24
TRIES = 50
SMOOTH = ["tanh", "sigmoid", "softplus", "softsign", "silu", "gelu", "elu", "selu", "mish", "swish", "celu", "log_sigmoid"]
KINKED = ["relu", "leaky_relu", "relu6", "hard_sigmoid", "hard_tanh", "hard_silu", "linear"]
made = collections.Counter()  # classes of layers and operations
refused = collections.Counter()  # by Keras
ratios = []  # of mbrun's errors to Keras'


class Graph:
    """What was made so far: tensors that others may take, those without a reader first."""

    def __init__(self, rng, random):
        self.rng, self.random = rng, random
        self.inputs, self.below, self.open, self.taken, self.nodes = [], {}, [], [], 0

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def number(self, low=0.5, high=2.0):
        return float(np.float32(self.rng.uniform(low, high)))

    def coin(self, one_in=2):
        return self.integer(1, one_in) == 1

    def pick(self, *values):
        return values[self.integer(0, len(values) - 1)]

    def activation(self):
        return self.pick(*SMOOTH, *KINKED)

    def shape(self, rank):
        return tuple(self.integer(2, {1: 12, 2: 8, 3: 6, 4: 4}[rank]) for _ in range(rank))

    def axis(self, t):
        return self.integer(1, len(t.shape) - 1)

    def axes(self, t):
        n = len(t.shape) - 1
        return sorted(int(a) for a in self.rng.permutation(np.arange(1, n + 1))[: self.integer(1, n)])

    def enter(self, rank):
        t = keras.Input(self.shape(rank), name=f"input_{len(self.inputs)}")
        self.inputs.append(t)
        return t

    def enter_ids(self):
        rows = self.integer(3, 9)
        t = keras.Input((self.integer(2, 6),), dtype="int32", name=f"input_{len(self.inputs)}")
        self.inputs.append(t)
        self.below[t.name] = rows
        return rows, t

    def take(self, ranks=(1, 2, 3, 4)):
        """A tensor of one of the ranks; the newest without a reader, or any."""
        fit = [t for t in self.open if len(t.shape) - 1 in ranks]
        used = [t for t in self.taken if len(t.shape) - 1 in ranks]
        if not fit and not used:
            return None
        return fit[self.integer(max(0, len(fit) - 3), len(fit) - 1)] if fit and (not used or not self.coin(4)) else self.pick(*used)

    def read(self, *tensors):
        for t in tensors:
            if any(t is o for o in self.open):
                self.open = [o for o in self.open if o is not t]
                self.taken.append(t)

    def give(self, t, *sources):
        self.read(*sources)
        self.open.append(t)


def elements(t):
    return int(np.prod(t.shape[1:]))


# ---- what may be done to a tensor: by the ranks that it takes; each gives a tensor, or None where it does not fit

ONE, TWO, RANDOM = [], [], []


def one(*ranks, into=ONE):
    def add(function):
        into.append((ranks or (1, 2, 3, 4), function))
        return function

    return add


def two(function):
    TWO.append(function)
    return function


@one()
def dense(g, t):
    return L.Dense(g.integer(1, 10), activation=g.activation(), use_bias=g.coin(),
                   kernel_regularizer=g.pick(None, None, "l2"))(t)  # fmt: skip


@one(2, 3)
def einsum_dense(g, t):
    n = g.integer(1, 8)
    if len(t.shape) == 4:
        return L.EinsumDense("abcd,de->abce", (None, None, n), bias_axes=g.pick(None, "e"))(t)
    equation, out = g.pick(("abc,cd->abd", (None, n)), ("abc,bd->adc", (n, None)), ("abc,bcd->ad", (n,)))
    return L.EinsumDense(equation, out, activation=g.pick(None, "tanh"))(t)


@one()
def activation(g, t):
    return L.Activation(g.pick(*SMOOTH, *KINKED, "softmax", "log_softmax", "squareplus", "soft_shrink", "tanh_shrink"))(t)


@one()
def activation_layer(g, t):
    return g.pick(lambda: L.ReLU(max_value=g.number(), negative_slope=0.1), lambda: L.LeakyReLU(0.2),
                  lambda: L.ELU(g.number()), lambda: L.Softmax(axis=g.axis(t)),
                  lambda: L.PReLU(shared_axes=g.pick(None, g.axes(t)), alpha_initializer="random_uniform"))()(t)  # fmt: skip


@one()
def normalize(g, t):
    """Over the last axes: over others Keras on torch takes the last ones all the same where their sizes are equal."""
    axes = list(range(g.axis(t), len(t.shape)))
    if np.prod([t.shape[a] for a in axes]) < 3:
        return None
    return g.pick(lambda: L.LayerNormalization(axis=axes, epsilon=0.05), lambda: L.RMSNormalization(axis=axes, epsilon=0.05),
                  lambda: L.BatchNormalization(axis=g.axis(t), momentum=0.8, epsilon=0.1))()(t)  # fmt: skip


@one()
def unit_norm(g, t):
    return L.UnitNormalization(axis=g.axes(t))(ops.add(t, 0.3))


@one()
def group_norm(g, t):
    axis = g.axis(t)
    if elements(t) // t.shape[axis] * 2 < 4 or t.shape[axis] % 2:
        return None
    return L.GroupNormalization(groups=2, axis=axis, epsilon=0.05)(t)


@one()
def rescale(g, t):
    return g.pick(lambda: L.Rescaling(g.number(), offset=g.number(-1, 1)), lambda: L.Identity(),
                  lambda: L.ActivityRegularization(l2=1e-3), lambda: L.Activation("linear"))()(t)  # fmt: skip


@one()
def operator(g, t):
    return g.pick(lambda: t * g.number(), lambda: t + g.number(), lambda: 1.0 - t, lambda: ops.sin(t), lambda: -t,
                  lambda: ops.square(ops.tanh(t)), lambda: ops.abs(t), lambda: ops.sqrt(ops.square(t) + 1.0),
                  lambda: ops.exp(ops.tanh(t)), lambda: ops.log1p(ops.square(t)), lambda: ops.clip(t, -1.0, 1.5),
                  lambda: t / (1.5 + ops.square(t)), lambda: ops.erf(t), lambda: ops.gelu(t),
                  lambda: ops.softmax(t, axis=g.axis(t)))()  # fmt: skip


@one(2, 3, 4)
def reduce(g, t):
    function = g.pick(ops.mean, ops.max, ops.sum, ops.min, ops.logsumexp)
    axis = g.axis(t)
    return function(t, axis=axis, keepdims=g.coin()) if elements(t) > t.shape[axis] else None


@one(2, 3, 4)
def slice_of(g, t):
    last = t.shape[1] - 1
    return g.pick(lambda: t[:, 0], lambda: t[:, last], lambda: t[:, :last] if last else None, lambda: t[..., :1],
                  lambda: t[:, ::2], lambda: ops.flip(t, axis=g.axis(t)))()  # fmt: skip


@one()
def reshape(g, t):
    n = elements(t)
    divisors = [d for d in range(1, n + 1) if n % d == 0]
    first = g.pick(*divisors)
    second = g.pick(*[d for d in divisors if (n // first) % d == 0])
    shape = g.pick((n,), (first, n // first), (first, second, n // first // second))
    return g.pick(L.Reshape(shape), L.Flatten())(t) if g.coin() else ops.reshape(t, (-1, *shape))


@one(2, 3, 4)
def permute(g, t):
    order = [int(a) for a in 1 + g.rng.permutation(len(t.shape) - 1)]
    return L.Permute(order)(t) if g.coin() else ops.transpose(t, (0, *order))


@one(1)
def widen(g, t):
    return g.pick(lambda: L.RepeatVector(g.integer(2, 5))(t), lambda: ops.expand_dims(t, 1),
                  lambda: ops.repeat(t, 2, axis=1), lambda: ops.tile(t, (1, 3)))()  # fmt: skip


def window(g, sizes):
    return [g.integer(1, min(3, n)) for n in sizes]


def formats(g, t):
    """The data format, and the sizes that a window goes over."""
    first = g.coin(4)
    return ("channels_first", t.shape[2:]) if first else ("channels_last", t.shape[1:-1])


@one(2, 3, 4)
def convolve(g, t):
    rank = len(t.shape) - 2
    form, sizes = formats(g, t)
    channels = t.shape[1] if form == "channels_first" else t.shape[-1]
    groups = g.pick(1, 1, *[d for d in (2, 3) if channels % d == 0])
    keys = {"strides": 1, "dilation_rate": 1, g.pick("strides", "dilation_rate"): g.integer(1, 2)}
    if min(sizes) < 5:
        keys["dilation_rate"] = 1
    padding = g.pick("valid", "same", *(["causal"] if rank == 1 and form == "channels_last" else []))
    layer = getattr(L, f"Conv{rank}D")
    return layer(groups * g.integer(1, 3), window(g, sizes), padding=padding, groups=groups, data_format=form,
                 activation=g.activation(), **keys)(t)  # fmt: skip


@one(2, 3, 4)
def convolve_otherwise(g, t):
    rank = len(t.shape) - 2
    form, sizes = formats(g, t)
    keys = {"padding": g.pick("valid", "same"), "strides": g.integer(1, 2), "data_format": form}
    kernel = window(g, sizes)
    if rank == 3 or g.coin(3):
        if 2**rank * elements(t) > LARGEST:
            return None
        return getattr(L, f"Conv{rank}DTranspose")(g.integer(1, 3), kernel, **keys)(t)
    if g.coin():
        return getattr(L, f"DepthwiseConv{rank}D")(kernel, depth_multiplier=g.integer(1, 2), **keys)(t)
    return getattr(L, f"SeparableConv{rank}D")(g.integer(1, 4), kernel, **keys)(t)


@one(2, 3, 4)
def pool(g, t):
    rank = len(t.shape) - 2
    form, sizes = formats(g, t)
    name = g.pick("Max", "Average")
    padding = g.pick("valid", "same") if name == "Max" else "valid"  # Keras on torch counts what it pads with
    return getattr(L, f"{name}Pooling{rank}D")(window(g, sizes), strides=g.pick(None, 1, 2), data_format=form,
                                               padding=padding)(t)  # fmt: skip


@one(2, 3, 4)
def pool_globally(g, t):
    rank = len(t.shape) - 2
    form, sizes = formats(g, t)
    name = g.pick("Max", "Average")
    if g.coin(3):
        return getattr(L, f"Adaptive{name}Pooling{rank}D")(tuple(g.integer(1, n) for n in sizes), data_format=form)(t)
    return getattr(L, f"Global{name}Pooling{rank}D")(data_format=form, keepdims=g.coin())(t)


@one(2, 3, 4)
def border(g, t):
    rank = len(t.shape) - 2
    if g.coin():
        return getattr(L, f"ZeroPadding{rank}D")(1)(t)
    if g.coin() and min(t.shape[1:-1]) > 2:
        return getattr(L, f"Cropping{rank}D")(1)(t)
    return getattr(L, f"UpSampling{rank}D")(2)(t) if 2**rank * elements(t) <= LARGEST else None


@one(3)
def resize(g, t):
    height, width = g.integer(1, 6), g.integer(1, 6)
    if g.coin():
        return L.CenterCrop(min(height, t.shape[1]), min(width, t.shape[2]))(t)
    return L.Resizing(height, width, interpolation=g.pick("bilinear", "nearest"))(t)


def recurrent_keys(g):
    return {"return_sequences": g.coin(), "go_backwards": g.coin(4), "use_bias": g.coin()}


@one(2)
def recur(g, t):
    name, units = g.pick("SimpleRNN", "LSTM", "GRU"), g.integer(1, 6)
    keys = recurrent_keys(g)
    if g.coin(4):
        cell = getattr(L, f"{name}Cell")(units)
        return L.RNN(cell, return_sequences=keys["return_sequences"])(t)
    layer = getattr(L, name)(units, **keys)
    return L.Bidirectional(layer, merge_mode=g.pick("concat", "sum", "mul", "ave"))(t) if g.coin(3) else layer(t)


@one(2, 3, 4)
def distribute(g, t):
    inner = g.pick(L.Dense(g.integer(1, 6), activation="tanh"), L.Flatten(), L.LayerNormalization(epsilon=0.05),
                   *([L.Conv1D(2, 2, padding="same"), L.GRU(3), L.GlobalAveragePooling1D()] if len(t.shape) == 4 else []),
                   *([L.Conv2D(2, 2, padding="same"), L.MaxPooling2D(1)] if len(t.shape) == 5 else []))  # fmt: skip
    return L.TimeDistributed(inner)(t)


@one(2)
def attend(g, t):
    return L.MultiHeadAttention(g.integer(1, 2), g.integer(1, 4), use_bias=g.coin())(t, t, use_causal_mask=g.coin())


@one(2)
def attend_otherwise(g, t):
    other = L.Dense(t.shape[-1], activation="tanh")(t)
    return g.pick(lambda: L.Attention(use_scale=g.coin())([t, other]), lambda: L.AdditiveAttention()([t, other]),
                  lambda: L.GroupQueryAttention(g.integer(1, 4), 4, 2)(t, other, use_causal_mask=g.coin()))()  # fmt: skip


@one(2)
def encode_and_decode(g, t):
    """States that another layer begins with."""
    make, units = g.pick(L.SimpleRNN, L.LSTM, L.GRU), g.integer(1, 5)
    _, *states = make(units, return_state=True, go_backwards=g.coin())(t)
    return make(units, return_sequences=g.coin())(t, initial_state=states)


@one(2)
def keep_states(g, t):
    y, *states = L.LSTM(g.integer(1, 4), return_state=True)(t)
    return L.Concatenate()([y, *states]) if g.coin() else states[-1]


@one(3, 4)
def recur_over_images(g, t):
    rank = len(t.shape) - 3
    return getattr(L, f"ConvLSTM{rank}D")(g.integer(1, 3), g.integer(1, 2), padding=g.pick("same", "valid"),
                                          return_sequences=g.coin())(t)  # fmt: skip


def draws(*ranks):
    return one(*ranks, into=RANDOM)


@draws()
def drop(g, t):
    rate = g.number(0.1, 0.5)
    shape = tuple(None if g.coin() else 1 for _ in t.shape[1:])
    return g.pick(lambda: L.Dropout(rate, noise_shape=(None, *shape)), lambda: L.AlphaDropout(rate), lambda: L.GaussianDropout(rate),
                  lambda: L.GaussianNoise(rate), lambda: L.Dropout(rate))()(t)  # fmt: skip


@draws(2, 3, 4)
def drop_channels(g, t):
    return getattr(L, f"SpatialDropout{len(t.shape) - 2}D")(0.3)(t)


@draws(3)
def augment(g, t):
    return g.pick(L.RandomFlip(), L.RandomRotation(0.2), L.RandomTranslation(0.3, 0.3), L.RandomZoom(0.3),
                  L.RandomCrop(max(1, t.shape[1] - 1), t.shape[2]))(t)  # fmt: skip


@draws(2)
def recur_with_dropout(g, t):
    return L.LSTM(g.integer(1, 5), dropout=0.2, recurrent_dropout=0.2, return_sequences=g.coin())(t)


def matching(g, t):
    """Another tensor of the same shape, or one that is made to have it."""
    same = [o for o in g.open + g.taken if o is not t and tuple(o.shape) == tuple(t.shape)]
    if same and not g.coin(3):
        return g.pick(*same)
    other = g.take((1,) if len(t.shape) == 2 else (len(t.shape) - 1, 1))
    if other is None or elements(t) > 64:
        return None
    flat = other if len(other.shape) == 2 else L.Flatten()(other)
    whole = L.Dense(elements(t), activation="tanh")(flat)
    g.read(other)
    return whole if len(t.shape) == 2 else L.Reshape(t.shape[1:])(whole)


@two
def merge(g, a, b):
    name = g.pick("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
    return getattr(L, name)()([a, b])


@two
def operate(g, a, b):
    return g.pick(lambda: a + b, lambda: a - b, lambda: a * b, lambda: ops.maximum(a, b), lambda: a / (1.5 + ops.abs(b)),
                  lambda: ops.where(a > b, a, ops.tanh(b)), lambda: ops.stack([a, b], axis=g.axis(a)))()  # fmt: skip


@two
def broadcast(g, a, b):
    axis = g.axis(b)
    return a * ops.mean(b, axis=axis, keepdims=True)


@two
def concatenate(g, a, b):
    axis = g.axis(a)
    return L.Concatenate(axis=axis)([a, b]) if g.coin() else ops.concatenate([a, b], axis=axis)


@two
def products(g, a, b):
    if len(a.shape) != 3:
        return None
    return g.pick(lambda: L.Dot(axes=g.integer(1, 2), normalize=False)([a, b]) / 4.0,
                  lambda: ops.matmul(a, ops.transpose(b, (0, 2, 1))) / 4.0,
                  lambda: ops.einsum("abc,adc->abd", a, b) / 4.0)()  # fmt: skip


# ---- a model


def node_count(g):
    """Layers and operations between what is open and the inputs, which are among them."""
    seen, todo = set(), list(g.open) + list(g.inputs)
    while todo:
        operation = todo.pop()._keras_history.operation
        if id(operation) not in seen:
            seen.add(id(operation))
            for node in operation._inbound_nodes:
                todo += node.input_tensors
    return len(seen)


def grow(g):
    """One more layer or operation; nothing where what was drawn does not fit."""
    if len(g.open) > 1 and g.coin(3) or g.coin(8):
        a = g.take()
        b = None if a is None else matching(g, a)
        t = None if b is None else g.pick(*TWO)(g, a, b)
        sources = (a, b)
    else:
        ranks, function = g.pick(*(RANDOM if g.random and g.coin(4) else ONE))
        a = g.take(ranks)
        t = None if a is None else function(g, a)
        sources = (a,)
    if t is not None and None not in t.shape[1:] and len(t.shape) in (2, 3, 4, 5) and 0 < elements(t) <= LARGEST:
        g.give(t, *sources)


def masked(g):
    if g.coin():
        rows, ids = g.enter_ids()
        return L.Embedding(rows, g.integer(2, 5), mask_zero=True)(ids)
    ids = ops.cast(g.enter_ids()[1], "float32")
    return L.Masking(2.0)(ops.expand_dims(ids, -1))


def heed(g, t):
    """What takes a mask; behind an operation there is none. (No attention: Keras' gradients of it on torch are not
    those on jax.)"""
    t = g.pick(lambda: t, lambda: L.Dense(3, activation="tanh")(t), lambda: L.LayerNormalization(epsilon=0.05)(t))()
    if g.coin(3):
        return L.GlobalAveragePooling1D()(t) + 0.1
    layer = g.pick(L.SimpleRNN, L.LSTM, L.GRU)(g.integer(1, 5), return_sequences=g.coin())
    return (L.Bidirectional(layer) if g.coin(3) else layer)(t) * 1.1


def begin(g):
    for _ in range(g.pick(1, 1, 1, 2, 2, 3)):
        if g.coin(5):
            rows, ids = g.enter_ids()
            g.open.append(L.Embedding(rows, g.integer(2, 5))(ids))
        elif g.coin(5):
            g.open.append(heed(g, masked(g)))
        else:
            g.open.append(g.enter(g.pick(1, 2, 2, 3, 3, 4)))


def end(g):
    """Every tensor without a reader goes into one of the outputs."""
    flat = [t if len(t.shape) == 2 else L.Flatten()(t) for t in g.open]
    joined = L.Concatenate()(flat) if len(flat) > 1 else flat[0]
    outputs = [L.Dense(g.integer(2, 4), name=f"out_{i}")(joined) for i in range(g.pick(1, 1, 1, 2))]
    return outputs, [g.pick("mean_squared_error", "huber", "log_cosh", "classes") for _ in outputs]


def loss_of(name):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True) if name == "classes" else name


def optimizer(g):
    o = keras.optimizers
    return g.pick(lambda: o.SGD(0.1), lambda: o.SGD(0.05, momentum=0.9), lambda: o.Adam(0.01, epsilon=0.1),
                  lambda: o.SGD(0.1, clipnorm=g.number()), lambda: o.RMSprop(0.01, epsilon=0.1))()  # fmt: skip


def build(rng, random=False):
    g = Graph(rng, random)
    begin(g)
    wanted = g.integer(3, 36)
    for _ in range(200):
        if node_count(g) >= wanted:
            break
        grow(g)
    outputs, losses = end(g)
    model = keras.Model(g.inputs, outputs)
    model.compile(optimizer(g), [loss_of(l) for l in losses], run_eagerly=True)
    for w in model.trainable_weights:
        if len(w.shape) == 1:
            w.assign(np.asarray(w) + rng.uniform(0, 0.2, w.shape))
    return model, g, losses


def samples(rng, g, model, losses):
    count = BATCH * STEPS
    x = [rng.integers(0, g.below[i.name], (count, *i.shape[1:])).astype("i4") if i.name in g.below
         else rng.normal(size=(count, *i.shape[1:])).astype("f4") for i in model.inputs]  # fmt: skip
    y = [rng.integers(0, o.shape[-1], (count,)).astype("i4") if l == "classes"
         else rng.normal(size=(count, o.shape[-1])).astype("f4") for o, l in zip(model.outputs, losses)]  # fmt: skip
    return x, y


def write_data(path, model, x, y):
    with h5py.File(path, "w") as f:
        for tensor, values in zip(model.inputs, x):
            f[tensor.name] = values
        for name, values in zip(model.output_names, y):
            f[name] = values


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
    """The largest error over losses and weights, relative to the largest number of each, and where it is."""
    names = ["the losses", *(w.path for w in model.weights)]
    errors = []
    for name, a, b in zip(names, [np.array(found[0]), *found[1]], [np.array(expected[0]), *expected[1]]):
        part = float(np.max(np.abs(a - b), initial=0)) / max(np.max(np.abs(b), initial=0), 1e-3)
        errors.append((part if np.isfinite(part) else np.inf, name))
    return max(errors)


# ---- training by mbrun


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise ValueError((done.stderr.strip() or f"{command} ends with {done.returncode}").splitlines()[0])
    return done.stdout


def mbrun_command(mbrun, scratch, name):
    return [mbrun, f"{scratch}/m.h5", "--data", f"{scratch}/d.h5", "--no-shuffle", "--steps", str(STEPS), "--batch", str(BATCH),
            "--restart", "--run", f"{scratch}/{name}.run"]  # fmt: skip


def metrics(path):
    with open(path) as lines:
        return [line["loss"] for line in map(json.loads, lines) if line.get("split") == "train"]


def save(model, x, y, scratch):
    for name in ("m.h5", "d.h5"):
        if os.path.exists(f"{scratch}/{name}"):
            os.remove(f"{scratch}/{name}")
    model.save(f"{scratch}/m.h5")
    write_data(f"{scratch}/d.h5", model, x, y)


def attempt(scratch, random, *seed):
    """A model saved as it begins; where no layer draws numbers also what it becomes in double, and Keras' error."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(int(rng.integers(2**31)))
    keras.config.set_floatx("float32")
    keras.backend.clear_session()
    model, g, losses = build(rng, random)
    x, y = samples(rng, g, model, losses)
    save(model, x, y, scratch)
    if random:
        return model, None, None
    true = train(in_double(model, losses), x, y)
    keras.config.set_floatx("float32")
    if not np.isfinite(true[0]).all() or max(true[0]) > 1e3:
        raise ValueError("not tame")
    return model, true, error(model, train(model, x, y), true)[0]


def make(scratch, random, seed, k):
    """The first of attempts that Keras itself trains, to numbers that are finite and tame."""
    for n in range(TRIES):
        try:
            found = attempt(scratch, random, seed, k, n, int(random))
            made.update(type(operation).__name__ for operation in found[0].operations)
            return found
        except Exception as problem:  # noqa: BLE001: Keras raises all kinds of them
            refused[f"{type(problem).__name__}: {problem}".splitlines()[0][:70]] += 1
    raise ValueError(f"no model that Keras trains in {TRIES} tries")


def check(mbrun, scratch, seed, k):
    model, true, theirs = make(scratch, False, seed, k)
    run(*mbrun_command(mbrun, scratch, "a"), "--quiet")
    model.load_weights(f"{scratch}/a.run/final.h5")  # Keras does not read operations from HDF5
    ours, where = error(model, (metrics(f"{scratch}/a.run/metrics.jsonl"), values_of(model)), true)
    ratios.append(ours / (theirs + FLOOR))
    if not ours <= AS_MUCH * theirs + FLOOR:
        return f"an error of {ours:.3g} in {where}, where Keras makes one of {theirs:.3g}"
    return None


def check_ranks(mbrun, mpiexec, scratch, seed, k):
    make(scratch, True, seed, k)
    rng = np.random.default_rng([seed, k, 99])
    ranks = int(rng.integers(2, 5))
    layout = ["--replicas", "2", "--micro-batch", "2", "--schedule", str(rng.choice(["gpipe", "1f1b"]))]
    digests = []
    for n in (1, ranks):
        run(mpiexec, "-np", str(n), *mbrun_command(mbrun, scratch, f"r{n}"), *layout, "--quiet")
        digests.append(run(mbrun, "inspect", "--digest", f"{scratch}/r{n}.run/final.h5"))
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
    what, mbrun, scratch, seed, first, count = *sys.argv[1:4], *map(int, sys.argv[4:7])
    for k in range(first, first + count):
        if what == "keras":
            report("Keras trains graph", k, lambda: check(mbrun, scratch, seed, k))
        else:
            report("one digest over ranks of graph", k, lambda: check_ranks(mbrun, sys.argv[7], scratch, seed, k))
    tell()


if __name__ == "__main__":
    main()
