"""Operations of keras.ops in functional models, the layers made of the same, activations and normalization:
outputs and gradients of mbrun beside Keras'.

Usage: operators.py MBRUN SCRATCH SEED ROUNDS
Each round makes every case once with random shapes and settings, several cases a model, each behind Dense
layers of its own. Outputs are compared before, weights after one step of SGD with a learning rate of 1,
which are the gradients. Prints a line "ok NAME" or "not ok NAME" for each case of each round."""
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
import h5py
import keras
import numpy as np
from keras import layers, ops

BATCH = 6
A_MODEL = 4  # cases


def positive(t):
    return layers.Activation("sigmoid")(t) + 0.5


class Case:
    """Makes its own inputs: random tensors of a shape behind Dense layers."""

    def __init__(self, rng, inputs, dense):
        self.rng, self.inputs, self.dense = rng, inputs, dense

    def shape(self, rank=None):
        rank = rank or int(self.rng.integers(1, 4))
        return tuple(int(n) for n in self.rng.integers(2, 6, rank))

    def tensor(self, shape=None):
        shape = shape or self.shape()
        i = keras.Input(shape, name=f"input_{len(self.inputs)}")
        self.inputs.append(i)
        return layers.Dense(shape[-1], name=f"dense_{next(self.dense)}")(i)

    def given(self, shape):
        """An input as it is."""
        i = keras.Input(shape, name=f"input_{len(self.inputs)}")
        self.inputs.append(i)
        return i

    def ids(self, shape, below):
        """Whole numbers from 0 to below."""
        i = keras.Input(shape, name=f"input_{len(self.inputs)}", dtype="int32")
        BELOW[i.name] = below
        self.inputs.append(i)
        return i

    def pair(self):
        """Two tensors of one shape, or of shapes that broadcast."""
        shape = self.shape()
        other = tuple(1 if self.rng.integers(0, 3) == 0 else n for n in shape)
        a, b = (shape, other) if self.rng.integers(0, 2) else (other, shape)
        return self.tensor(a), self.tensor(b)

    def axis(self, t, new=0):
        axis = int(self.rng.integers(1, len(t.shape) + new))
        return axis if self.rng.integers(0, 2) else axis - len(t.shape) - new

    def axes(self, t):
        n = len(t.shape) - 1
        picked = self.rng.permutation(np.arange(1, n + 1))[: int(self.rng.integers(1, n + 1))]
        return tuple(int(a) for a in picked)

    def pick(self, *values):
        return values[int(self.rng.integers(0, len(values)))]

    def coin(self):
        return bool(self.rng.integers(0, 2))

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def number(self, low=0.5, high=2):
        return float(np.float32(self.rng.uniform(low, high)))


CASES = {}
BELOW = {}  # of inputs that are whole numbers


def case(function):
    CASES[function.__name__.strip("_")] = function
    return function


def binary(name, function, tame=lambda t: t, constants=True):
    def both(c):
        a, b = c.pair()
        return function(tame(a), tame(b))

    def constant(c):
        t = tame(c.tensor())
        return function(t, c.number()) if c.coin() else function(c.number(), t)

    CASES[name] = both
    if constants:
        CASES[name + "_constant"] = constant


binary("add", lambda a, b: a + b)
binary("subtract", lambda a, b: a - b)
binary("multiply", lambda a, b: a * b)
binary("divide", lambda a, b: a / b, positive)
binary("power", lambda a, b: a**b, positive)
binary("maximum", ops.maximum)
binary("minimum", ops.minimum)
binary("mod", lambda a, b: a % b, positive)
binary("where", lambda a, b: ops.where(a > b, a * 2.0, b), constants=False)
binary("logical", lambda a, b: ops.where(ops.logical_and(a > 0.0, b <= 0.0), a, b), constants=False)


def unary(name, function, tame=lambda t: t):
    CASES[name] = lambda c: function(tame(c.tensor()))


for name in "negative abs square exp expm1 sin cos tanh sinh cosh arctan erf sign floor ceil".split():
    unary(name, getattr(ops, name))
for name in "sqrt rsqrt reciprocal log log1p log2 log10 tan".split():
    unary(name, getattr(ops, name), positive)
for name in """relu relu6 sigmoid sparse_sigmoid softplus softsign soft_shrink sparse_plus silu squareplus log_sigmoid
        leaky_relu hard_sigmoid hard_silu elu selu gelu celu tanh_shrink hard_tanh hard_shrink softmax""".split():
    unary(name, getattr(ops, name))
# Parts of which one may go unused.
def split(c):
    t, axis = c.tensor((4, 6)), -1 if c.coin() else 1
    parts = ops.split(t, 2 if c.coin() else [1, 3], axis=axis)
    return ops.concatenate([ops.tanh(parts[-1]), parts[0]], axis=axis)


def unstack(c):
    t, axis = c.tensor((3, 4, 5)), int(c.rng.integers(1, 4))
    parts = ops.unstack(t, axis=axis)
    return ops.tanh(parts[2]) * parts[0] + parts[1]


CASES.update(split=split, unstack=unstack)
CASES["softmax_axis"] = lambda c: (lambda t: ops.softmax(t, axis=c.axis(t)))(c.tensor())
CASES["log_softmax"] = lambda c: (lambda t: ops.log_softmax(t, axis=c.axis(t)))(c.tensor())
CASES["layer_Softmax"] = lambda c: (lambda t: layers.Softmax(axis=c.axis(t))(t))(c.tensor())
unary("celu_alpha", lambda t: ops.celu(t, alpha=0.3))
unary("squareplus_b", lambda t: ops.squareplus(t, b=1.5))
unary("soft_shrink_threshold", lambda t: ops.soft_shrink(t, threshold=0.3))
unary("hard_shrink_threshold", lambda t: ops.hard_shrink(t, threshold=0.3))
unary("threshold", lambda t: ops.threshold(t, 0.2, -0.4))
unary("general_relu", lambda t: keras.activations.relu(t, negative_slope=0.2, max_value=0.7, threshold=0.1))
unary("mish", lambda t: layers.Activation("mish")(t * 2.0))
unary("gelu_exact", lambda t: ops.gelu(t, approximate=False))
unary("clip", lambda t: ops.clip(t, -0.4, 0.3))
unary("elu_alpha", lambda t: ops.elu(t, alpha=0.3))
unary("leaky_relu_slope", lambda t: ops.leaky_relu(t, negative_slope=0.4))


unary("stop_gradient", lambda t: t * ops.stop_gradient(t))
unary("convert_to_tensor", lambda t: ops.convert_to_tensor(t) * 0.5)
unary("cast", lambda t: ops.cast(t * 0.3 > 0.0, "float32") + ops.cast(t, "float32"))
CASES["cast_of_integers"] = lambda c: ops.cast(c.ids((3, 4), 9), "float32") * c.tensor((3, 4))


def reduction(name, function):
    def one(c):
        t = c.tensor()
        return function(t, axis=c.axis(t), keepdims=c.coin())

    def several(c):
        t = c.tensor(c.shape(3))
        return function(t, axis=c.axes(t), keepdims=c.coin())

    CASES[name] = one
    CASES[name + "_axes"] = several


for name in "sum mean max min amax amin var std logsumexp".split():
    reduction(name, getattr(ops, name))


@case
def getitem(c):
    t = c.tensor(c.shape(3))
    n = t.shape
    picks = [
        lambda: t[:, 0],
        lambda: t[:, -1],
        lambda: t[..., 1],
        lambda: t[:, 1:],
        lambda: t[:, :, ::2],
        lambda: t[:, None, :, -2],
        lambda: t[:, : n[1] - 1, None],
        lambda: t[:, 0, 1:2, -1],
        lambda: t[..., None],
    ]
    return picks[int(c.rng.integers(0, len(picks)))]()


@case
def transpose(c):
    t = c.tensor(c.shape(3))
    return ops.transpose(t, [0] + [int(a) for a in 1 + c.rng.permutation(3)])


@case
def swapaxes(c):
    t = c.tensor(c.shape(3))
    return ops.swapaxes(t, c.axis(t), c.axis(t))


@case
def moveaxis(c):
    t = c.tensor(c.shape(3))
    return ops.moveaxis(t, c.axis(t), c.axis(t))


@case
def expand_dims(c):
    t = c.tensor()
    return ops.expand_dims(t, c.axis(t, 1))


@case
def squeeze(c):
    t = ops.expand_dims(c.tensor(c.shape(2)), 2)
    return ops.squeeze(t, 2 if c.coin() else -2)


@case
def reshape(c):
    t = c.tensor((4, 6))
    return ops.reshape(t, [(-1, 24), (-1, 8, 3), (-1, 2, 2, 6), (-1, 6, 4)][int(c.rng.integers(0, 4))])


@case
def concatenate(c):
    shape = c.shape()
    axis = int(c.rng.integers(1, len(shape) + 1))
    other = tuple(int(c.rng.integers(1, 5)) if i + 1 == axis else n for i, n in enumerate(shape))
    return ops.concatenate([c.tensor(shape), c.tensor(other), c.tensor(shape)], axis=axis)


@case
def stack(c):
    t = c.tensor()
    return ops.stack([t, t * 2.0, c.tensor(t.shape[1:])], axis=c.axis(t, 1))


@case
def flip(c):
    t = c.tensor()
    return ops.flip(t, c.axis(t))


@case
def repeat(c):
    t = c.tensor()
    return ops.repeat(t, int(c.rng.integers(1, 4)), axis=c.axis(t))


@case
def tile(c):
    t = c.tensor()
    return ops.tile(t, [1] + [int(n) for n in c.rng.integers(1, 4, len(t.shape) - 1)])


@case
def pad(c):
    t = c.tensor()
    widths = [(0, 0)] + [tuple(int(n) for n in c.rng.integers(0, 3, 2)) for _ in t.shape[1:]]
    return ops.pad(t, widths, constant_values=c.number()) if c.coin() else ops.pad(t, widths)


@case
def matmul(c):
    lead, m, k, n = c.shape(1) if c.coin() else (), *c.shape(3)
    return ops.matmul(c.tensor((*lead, m, k)), c.tensor((*lead, k, n)))


# ---- activations as layers, and within one

FUNCTIONS = """relu leaky_relu relu6 softmax celu elu selu softplus softsign squareplus soft_shrink sparse_plus silu gelu tanh
    tanh_shrink sigmoid sparse_sigmoid exponential hard_sigmoid hard_silu hard_tanh hard_shrink linear mish log_softmax
    log_sigmoid swish hard_swish""".split()


def activation(name):
    def layer(c):
        if c.coin():
            return layers.Activation(name)(c.tensor())
        return layers.Dense(c.integer(1, 5), activation=name, name=f"dense_{next(c.dense)}")(c.tensor())

    CASES[f"activation_{name}"] = layer


for name in FUNCTIONS:
    activation(name)


@case
def glu(c):
    shape = list(c.shape())
    axis = int(c.rng.integers(0, len(shape)))
    shape[axis] *= 2
    return ops.glu(c.tensor(tuple(shape)), axis=axis + 1 if c.coin() else axis - len(shape))


@case
def layer_ReLU(c):
    return layers.ReLU(max_value=c.number(0.6, 2), negative_slope=c.number(0, 0.5), threshold=c.number(0, 0.5))(c.tensor())


@case
def layer_LeakyReLU(c):
    return layers.LeakyReLU(negative_slope=c.number(0, 1))(c.tensor())


@case
def layer_ELU(c):
    return layers.ELU(alpha=c.number())(c.tensor())


@case
def layer_Softmax_axes(c):
    t = c.tensor(c.shape(3))
    return layers.Softmax(axis=list(c.axes(t)))(t)


@case
def layer_PReLU(c):
    t = c.tensor()
    shared = [None, list(c.axes(t)), c.integer(1, len(t.shape) - 1)][c.integer(0, 2)]
    regularizer = keras.regularizers.L1L2(1e-2, 1e-2) if c.coin() else None
    return layers.PReLU(alpha_initializer=keras.initializers.RandomUniform(-0.5, 0.5), shared_axes=shared,
                        alpha_regularizer=regularizer, alpha_constraint="non_neg" if c.coin() else None)(t)


# ---- normalization


def normal_weights(c, *names):
    """Initial values, regularizers and constraints that are not the default, now and then."""
    keys = {}
    for name in names:
        keys[f"{name}_initializer"] = keras.initializers.RandomUniform(0.5, 1.5)
        if c.coin():
            keys[f"{name}_regularizer"] = keras.regularizers.L1L2(1e-2, 1e-2)
        if c.coin():
            keys[f"{name}_constraint"] = keras.constraints.MaxNorm(c.number(), axis=0)
    return keys


def normal_keys(c, *names):
    return {"epsilon": c.number(1e-3, 1e-1), "center": c.coin(), "scale": c.coin(), **normal_weights(c, *names)}


@case
def layer_LayerNormalization(c):
    t = c.tensor()
    axis = c.axis(t) if c.coin() else list(c.axes(t))
    return layers.LayerNormalization(axis=axis, rms_scaling=c.integer(0, 3) == 0, **normal_keys(c, "gamma", "beta"))(t)


@case
def layer_RMSNormalization(c):
    t = c.tensor()
    return layers.RMSNormalization(axis=c.axis(t) if c.coin() else list(c.axes(t)), epsilon=c.number(1e-3, 1e-1))(t)


@case
def layer_GroupNormalization(c):
    shape = list(c.shape())
    axis, groups = c.integer(0, len(shape) - 1), c.integer(1, 3)
    shape[axis] = groups * c.integer(2 if len(shape) == 1 else 1, 3)
    return layers.GroupNormalization(groups=-1 if len(shape) > 1 and c.coin() else groups,
                                     axis=axis + 1 if axis + 1 < len(shape) else -1,
                                     **normal_keys(c, "gamma", "beta"))(c.tensor(tuple(shape)))


@case
def layer_UnitNormalization(c):
    t = c.tensor()
    return layers.UnitNormalization(axis=c.axis(t) if c.coin() else list(c.axes(t)))(t)


@case
def layer_BatchNormalization(c):
    t = c.tensor()
    moving = {"moving_mean_initializer": keras.initializers.RandomUniform(-0.5, 0.5),
              "moving_variance_initializer": keras.initializers.RandomUniform(0.5, 1.5)}
    layer = layers.BatchNormalization(axis=c.axis(t), momentum=c.number(0.5, 0.99), **moving,
                                      **normal_keys(c, "gamma", "beta"))
    layer.trainable = c.coin()
    return layer(t)


# ---- regularization: of the random ones what prediction shows


@case
def layer_ActivityRegularization(c):
    return layers.ActivityRegularization(l1=c.number(0, 0.1), l2=c.number(0, 0.1))(c.tensor())


# ---- layers made of the same


def merging(name, most=4):
    layer = getattr(layers, name)

    def merge(c):
        shape = c.shape(int(c.rng.integers(2, 4)))
        count = int(c.rng.integers(2, most + 1))
        shapes = [shape] + [tuple(1 if c.rng.integers(0, 3) == 0 else n for n in shape)[
            int(c.rng.integers(0, 2)) :] for _ in range(count - 1)]
        order = c.rng.permutation(count)
        return layer()([c.tensor(shapes[i]) for i in order])

    CASES[f"layer_{name}"] = merge


for name in ["Add", "Multiply", "Average", "Maximum", "Minimum"]:
    merging(name)
merging("Subtract", 2)


@case
def layer_Permute(c):
    t = c.tensor(c.shape(3))
    return layers.Permute([int(a) for a in 1 + c.rng.permutation(3)])(t)


@case
def layer_RepeatVector(c):
    return layers.RepeatVector(int(c.rng.integers(1, 5)))(c.tensor(c.shape(1)))


@case
def layer_Rescaling(c):
    return layers.Rescaling(c.number(), offset=c.number())(c.tensor())


@case
def layer_Dot(c):
    a, b = list(c.shape()), list(c.shape())
    i, j = int(c.rng.integers(0, len(a))), int(c.rng.integers(0, len(b)))
    b[j] = a[i]
    return layers.Dot(axes=(i + 1, j + 1 if c.coin() else j - len(b)))([c.tensor(tuple(a)), c.tensor(tuple(b))])


# ---- layers with weights of their own


def initialized(c, layer):
    """Weights that are not the zeros and ones that many begin with."""
    layer.set_weights([c.rng.normal(size=w.shape, scale=0.5).astype("f4") for w in layer.weights])
    return layer


class Equation:
    """An einsum of x and a kernel, or of two tensors with the samples: each letter stands for what says where it
    stands."""

    def __init__(self, c, both):
        rng = c.rng
        groups = {"each": "ef", "rows": "bcd", "columns": "uvw", "summed": "xyz", "alone": "l"}
        letters = {k: list(v[: int(rng.integers(0, len(v)))]) for k, v in groups.items()}
        if not letters["columns"] + letters["rows"] + letters["each"]:
            letters["rows"] = ["b"]
        pick = lambda *names: [str(l) for l in rng.permutation(sum((letters[n] for n in names), []))]
        self.x = ["a", *pick("each", "rows", "summed", "alone")]
        self.other = (["a"] if both else []) + pick("each", "columns", "summed")
        if not both and not self.other:
            letters["columns"], self.other = ["u"], ["u"]
        self.y = ["a", *pick("each", "rows", "columns")]
        if rng.integers(0, 5) == 0 and letters["summed"] and len(self.x) < 5:
            self.x.append(letters["summed"][0])  # a diagonal
        self.size = {l: int(rng.integers(1, 6)) for l in "bcdefluvwxyz"}

    def shape(self, term):
        return tuple(self.size[l] for l in term if l != "a")

    def __str__(self):
        return f"{''.join(self.x)},{''.join(self.other)}->{''.join(self.y)}"


@case
def layer_EinsumDense(c):
    e = Equation(c, False)
    axes = [l for l in e.y[1:] if c.coin()]
    hidden = set(e.x) - set(e.other) - set(axes)
    known = [None if l in hidden and c.coin() else e.size[l] for l in e.y[1:]]
    layer = layers.EinsumDense(str(e), known, activation=c.pick(None, "tanh", "gelu", "softmax"),
                               bias_axes="".join(axes) or None)  # fmt: skip
    x = c.tensor(e.shape(e.x)) if len(e.x) > 1 else layers.Reshape(())(c.tensor((1,)))
    y = layer(x)
    initialized(c, layer)
    return y


@case
def layer_EinsumDense_ellipsis(c):
    """What people write."""
    width, n, m = (int(n) for n in c.rng.integers(2, 6, 3))
    shape = c.shape(int(c.rng.integers(1, 4)))
    equation, out, shape = c.pick(
        ("...x,xy->...y", n, (*shape, width)),
        ("...x,xyz->...yz", (n, m), (*shape, width)),
        ("...xy,xyz->...z", (m,), (*shape, width, n)),
        ("ab...,bc->ac...", n, shape),
        ("abc...,cde->abde...", (None, n, m), (3, width, *shape)),
        ("abc,cd->abd", (None, n), (4, width)),
        ("abcd,cde->abe", (4, m), (4, width, n)),
        ("abc,bcd->abd", (n, 3), (n, width)),
        ("abc,cd->adb", (n, 4), (4, width)),
        ("ab,b->ab", (width,), (width,)),
    )  # fmt: skip
    letters = equation.split("->")[1].replace("...", "")
    bias = c.pick(None, letters[-1], letters[1:] if len(letters) > 1 and not equation.startswith("...") else letters)
    layer = layers.EinsumDense(equation, out, activation=c.pick(None, "relu", "silu"),
                               bias_axes=None if bias == "a" else bias)  # fmt: skip
    y = layer(c.tensor(shape))
    initialized(c, layer)
    return y


@case
def einsum(c):
    e = Equation(c, True)
    if len(e.x) < 2 or len(e.other) < 2:
        return ops.einsum("abc,adc->adb", c.tensor((3, 4)), c.tensor((5, 4)))
    return ops.einsum(str(e), c.tensor(e.shape(e.x)), c.tensor(e.shape(e.other)))


@case
def einsum_of_one(c):
    t = c.tensor((3, 4, 3))
    return ops.einsum(c.pick("abcb->acb", "abcd->adb", "a...b->ab...", "abcd", "abcd->a", "a...d->a..."), t)


@case
def layer_ReversibleEmbedding(c):
    vocabulary, width = (int(n) for n in c.rng.integers(3, 9, 2))
    layer = layers.ReversibleEmbedding(vocabulary, width, tie_weights=c.coin(), reverse_dtype=c.pick(None, "float32"),
                                       logit_soft_cap=c.pick(None, c.number()))  # fmt: skip
    rows = layer(c.ids((4,), vocabulary))
    initialized(c, layer)
    mixed = layers.Dense(width, name=f"dense_{next(c.dense)}")(rows)
    return layer(mixed, reverse=True) if c.coin() else layers.Concatenate()([layer(mixed, reverse=True), rows])


def some_layer(c):
    """A layer, and the shape of a step."""
    n = int(c.rng.integers(2, 6))
    return c.pick(
        (layers.Dense(n, activation="tanh"), c.shape()),
        (layers.Conv1D(n, 2, strides=2, bias_initializer="random_normal"), (6, 3)),
        (layers.Conv2D(n, 3, padding="same", activation="relu"), (4, 5, 2)),
        (layers.MaxPooling1D(2), (5, 3)),
        (layers.Flatten(), c.shape(2)),
        (layers.LSTM(n), (4, 3)),
        (layers.Bidirectional(layers.GRU(n, return_sequences=True)), (4, 3)),
        (layers.LayerNormalization(), c.shape()),
        (layers.EinsumDense("ab,cb->ac", n, bias_axes="c"), (4,)),
        (layers.Softmax(), c.shape()),
        (layers.TimeDistributed(layers.Dense(n)), (3, 4)),
        (layers.TimeDistributed(layers.TimeDistributed(layers.Conv1D(n, 2))), (2, 3, 4, 2)),
    )


@case
def layer_TimeDistributed(c):
    layer, step = some_layer(c)
    return layers.TimeDistributed(layer)(c.tensor((int(c.rng.integers(1, 5)), *step)))


@case
def layer_TimeDistributed_Embedding(c):
    layer = layers.TimeDistributed(layers.Embedding(7, 3))
    return layer(c.ids((4, 2), 7))


# ---- what is done to inputs


@case
def layer_Normalization(c):
    t = c.tensor(c.shape(3))
    axis = c.pick(-1, 1, (1, 3), (2,), None)
    kept = [t.shape[a] for a in sorted([] if axis is None else [a % 4 for a in np.atleast_1d(axis)])]
    mean, variance = c.rng.normal(size=kept).tolist(), c.rng.uniform(0.2, 2, size=kept).tolist()
    how = c.pick("weights", "numbers", "one number")
    if how == "one number":
        mean, variance = c.number(), c.number()
    given = {} if how == "weights" else {"mean": mean, "variance": variance}
    layer = layers.Normalization(axis=axis, invert=c.coin(), **given)
    y = layer(t)
    if how == "weights":
        layer.set_weights([np.array(mean), np.array(variance), np.array(7)])
        layer.finalize_state()
    return y


def some_image(c):
    """Behind a Dense layer, in either data format."""
    first = c.coin()
    image = [int(n) for n in c.rng.integers(4, 8, 2)]
    channels = int(c.rng.integers(1, 4))
    shape = (channels, *image) if first else (*image, channels)
    return c.tensor(shape), image, {"data_format": "channels_first" if first else "channels_last"}


@case
def layer_CenterCrop(c):
    t, _, keys = some_image(c)
    height, width = (int(n) for n in c.rng.integers(1, 10, 2))
    return layers.CenterCrop(height, width, **keys)(t)


@case
def layer_Discretization(c):
    values = c.given((int(c.rng.integers(1, 5)),))
    boundaries = sorted(c.rng.normal(size=int(c.rng.integers(1, 6))).tolist())
    mode = c.pick("int", "one_hot", "multi_hot", "count")
    y = layers.Discretization(boundaries, output_mode=mode)(values)
    return layers.Embedding(len(boundaries) + 1, 3)(y) if mode == "int" else y


@case
def layer_CategoryEncoding(c):
    tokens = int(c.rng.integers(1, 9))
    ids = c.ids(c.pick((1,), (4,)), tokens)
    return layers.CategoryEncoding(tokens, output_mode=c.pick("one_hot", "multi_hot", "count"))(ids)


# Random layers, where the numbers that they draw are given: training moves images as Keras does, and so the
# gradients tell; outside training images pass. (RandomCrop is not here: outside training Keras 3 gives another
# shape than it says.)


def same(c, low, high):
    number = float(np.float32(c.rng.uniform(low, high)))
    return (number, number)


def filling(c):
    return {"fill_mode": c.pick("constant", "nearest", "wrap", "reflect"), "fill_value": c.number(),
            "interpolation": c.pick("bilinear", "nearest")}  # fmt: skip


@case
def layer_RandomTranslation(c):
    t, _, keys = some_image(c)
    return layers.RandomTranslation(same(c, -0.9, 0.9), same(c, -0.9, 0.9), **filling(c), **keys)(t)


@case
def layer_RandomRotation(c):
    t, _, keys = some_image(c)
    return layers.RandomRotation(same(c, -1, 1), **filling(c), **keys)(t)


@case
def layer_RandomZoom(c):
    t, _, keys = some_image(c)
    return layers.RandomZoom(same(c, -0.5, 0.9), c.pick(None, same(c, -0.5, 0.9)), **filling(c), **keys)(t)


@case
def layer_RandomContrast(c):
    t, _, keys = some_image(c)
    factor = c.number(0.1, 0.9)
    return layers.RandomContrast((-factor, factor), value_range=(-0.4, 0.9), **keys)(t)


@case
def layer_RandomBrightness(c):
    t, _, keys = some_image(c)
    layer = layers.RandomBrightness(same(c, -0.9, 0.9), value_range=(-0.4, 0.9), **keys)
    layer.value_range = (-0.4, 0.9)  # Keras cannot write the list that it made of this to HDF5
    return layer(t)


# ---- a model of several cases


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


def listed(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def write_data(path, model, rng):
    x = [numbers(rng, i) for i in model.inputs]
    # an output's symbolic shape may have holes
    y = [rng.normal(size=o.shape).astype("f4") for o in listed(model.predict_on_batch(x))]
    with h5py.File(path, "w") as f:
        for tensor, values in zip(model.inputs, x):
            f[tensor.name] = values
        for name, values in zip(model.output_names, y):
            f[name] = values
    return x, y


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip() or f"{command} ends with {done.returncode}")


def close(found, expected, terms, scale=None):
    """Sums of TERMS numbers of the largest one's size, each with a dozen roundings."""
    expected = np.asarray(expected)
    size = np.max(np.abs(expected)) if scale is None else scale
    return np.max(np.abs(np.asarray(found) - expected), initial=0) <= 16 * 2.0**-24 * terms * (size + 1)


def predictions(path, model):
    with h5py.File(path) as f:
        return [f[name][()] for name in model.output_names]


def compare(model, mbrun, scratch, rng):
    """What differs, by the number of the case: None where nothing does."""
    m, d = f"{scratch}/m.h5", f"{scratch}/d.h5"
    for old in (m, d, f"{scratch}/p.h5"):
        if os.path.exists(old):
            os.remove(old)
    model.save(m)
    x, y = write_data(d, model, rng)
    run(mbrun, "predict", m, "--data", d, "-o", f"{scratch}/p.h5")
    run(mbrun, m, "--data", d, "--no-shuffle", "--steps", "1", "--batch", str(BATCH), "--quiet",
        "--restart", "--run", f"{scratch}/r.run")
    expected = listed(model.predict_on_batch(x))
    found = predictions(f"{scratch}/p.h5", model)
    faults = [None if close(a, b, 8) else "outputs" for a, b in zip(found, expected)]
    before = {w.path: np.array(w) for w in model.weights}
    model.train_on_batch(x, y)
    return faults, before, weights(f"{scratch}/r.run/final.h5")


def weights(path):
    found = {}
    with h5py.File(path) as f:
        f["model_weights"].visititems(
            lambda name, item: found.update({"/".join(name.split("/")[1:]): item[()]})
            if isinstance(item, h5py.Dataset) else None)
    return found


def owners(model, names):
    """Which case each Dense layer belongs to: those before its output."""
    owner = {}
    for k, output in enumerate(model.outputs):
        todo = [output]
        while todo:
            operation = todo.pop()._keras_history.operation
            if operation.name not in owner:
                todo += [t for node in operation._inbound_nodes for t in node.input_tensors]
            owner.setdefault(operation.name, k)
    return owner


def check(names, mbrun, scratch, rng):
    model = make(rng, names)
    try:
        faults, before, found = compare(model, mbrun, scratch, rng)
    except ValueError as error:
        return [str(error)] * len(names)
    owner = owners(model, names)
    for weight in model.weights:
        k = owner[weight.path.split("/")[0]]
        expected = np.array(weight) - before[weight.path]
        got = found[weight.path] - before[weight.path]
        scale = np.max(np.abs(before[weight.path])) + np.max(np.abs(expected))
        if not close(got, expected, BATCH * 8, scale):
            faults[k] = faults[k] or f"the gradient of {weight.path}"
    return faults


def main():
    mbrun, scratch, seed, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    names = sorted(CASES) if len(sys.argv) < 6 else sys.argv[5:]
    good = {name: 0 for name in names}
    bad = {}
    for r in range(rounds):
        for first in range(0, len(names), A_MODEL):
            part = names[first : first + A_MODEL]
            rng = np.random.default_rng([seed, r, first])
            keras.utils.set_random_seed(seed + r)
            for name, fault in zip(part, check(part, mbrun, scratch, rng)):
                good[name] += fault is None
                if fault is not None:
                    bad.setdefault(name, f"round {r} of seed {seed}: {fault}")
    for name in names:
        print(f"ok Keras' {name} over {rounds} random configurations" if name not in bad
              else f"not ok Keras' {name}: {bad[name]}", flush=True)


main()
