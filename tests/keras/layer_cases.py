"""Cases of operators.py: layers made of operations, activations, normalization, and what is done to inputs."""
import keras
import numpy as np
from keras import layers

from cases import CASES, case
from operator_cases import Equation


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
    """Keras' scale fits the last axes alone."""
    t = c.tensor()
    axis = -1 if c.coin() else list(range(c.integer(1, len(t.shape) - 1), len(t.shape)))
    return layers.RMSNormalization(axis=axis, epsilon=c.number(1e-3, 1e-1))(t)


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
    sized = letters[-sum(size is not None for size in out) :] if isinstance(out, tuple) else letters[-1]
    bias = c.pick(None, letters[-1], sized)
    layer = layers.EinsumDense(equation, out, activation=c.pick(None, "relu", "silu"),
                               bias_axes=None if bias == "a" else bias)  # fmt: skip
    y = layer(c.tensor(shape))
    initialized(c, layer)
    return y


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


def some_model(c, shape):
    """A model of one input, which is a chain or has branches that meet."""
    if c.pick(True, False):
        return keras.Sequential([layers.Dense(3, activation="tanh"), layers.LayerNormalization(), layers.Flatten(),
                                 layers.Dense(2, activity_regularizer="l2")])  # fmt: skip
    x = keras.Input(shape)
    y = layers.Dense(shape[-1], activation="tanh")(x)
    y = layers.Concatenate()([layers.Add()([x, y]), layers.Multiply()([y, x])])
    y = keras.Sequential([layers.Dense(2), layers.ReLU()])(y)
    return keras.Model(x, layers.Dot(axes=-1)([y, y]) if len(shape) == 2 else y)


@case
def layer_TimeDistributed_model(c):
    shape = c.shape(c.pick(1, 2))
    return layers.TimeDistributed(some_model(c, shape))(c.tensor((int(c.rng.integers(1, 5)), *shape)))


@case
def layer_TimeDistributed_twice(c):
    inner = keras.Sequential([layers.Conv1D(2, 2, padding="same"), layers.GlobalMaxPooling1D(), layers.Dense(2)])
    around = keras.Sequential([layers.TimeDistributed(inner), layers.SimpleRNN(3)])
    return layers.TimeDistributed(around)(c.tensor((2, 3, 4, 2)))


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
