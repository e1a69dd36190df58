"""What random_graphs.py makes graphs of: the tensors that are there, and what may be done to one, or to two of one
shape. A function that does not fit its tensor gives None."""
import keras
import numpy as np
from keras import layers as L
from keras import ops

LARGEST = 240  # elements of a tensor, without the samples
SMOOTH = ["tanh", "sigmoid", "softplus", "softsign", "silu", "gelu", "elu", "selu", "mish", "swish", "celu", "log_sigmoid"]
KINKED = ["relu", "leaky_relu", "relu6", "hard_sigmoid", "hard_tanh", "hard_silu", "linear"]


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


# ---- what may be done to a tensor, by the ranks that it takes

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
