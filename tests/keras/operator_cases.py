"""Cases of operators.py: operations of keras.ops in functional models."""
import keras
from keras import layers, ops

from cases import CASES, case


def positive(t):
    return layers.Activation("sigmoid")(t) + 0.5


def binary(name, function, tame=lambda t: t, constants=True):
    def both(c):
        a, b = c.pair()
        return function(tame(a), tame(b))

    def constant(c):
        t = tame(c.tensor())
        return function(t, c.number()) if c.coin() else function(c.number(), t)

    def array(c):
        shape = c.shape()
        some = lambda: [1 if c.integer(0, 3) == 0 else size for size in shape]
        t, axes = tame(c.tensor(tuple(some()))), some()
        a = c.rng.uniform(0.5, 2, axes[c.integer(0, len(axes) - 1) :]).astype("f4")
        return function(t, a if c.coin() else ops.convert_to_tensor(a))

    CASES[name] = both
    if constants:
        CASES[name + "_constant"] = constant
        CASES[name + "_array"] = array


binary("add", lambda a, b: a + b)
binary("subtract", lambda a, b: a - b)
binary("multiply", lambda a, b: a * b)
binary("divide", lambda a, b: a / b, positive)
binary("power", lambda a, b: a**b, positive)
binary("maximum", ops.maximum)
binary("minimum", ops.minimum)
binary("mod", lambda a, b: a % b, positive)
binary("subtract_from", lambda a, b: ops.divide(ops.subtract(b, a), 2.0))
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


unary("convert_to_tensor", lambda t: ops.convert_to_tensor(t) * 0.5)
unary("stop_gradient", lambda t: t * ops.stop_gradient(t))
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


@case
def glu(c):
    shape = list(c.shape())
    axis = int(c.rng.integers(0, len(shape)))
    shape[axis] *= 2
    return ops.glu(c.tensor(tuple(shape)), axis=axis + 1 if c.coin() else axis - len(shape))


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
def einsum(c):
    e = Equation(c, True)
    if len(e.x) < 2 or len(e.other) < 2:
        return ops.einsum("abc,adc->adb", c.tensor((3, 4)), c.tensor((5, 4)))
    return ops.einsum(str(e), c.tensor(e.shape(e.x)), c.tensor(e.shape(e.other)))


@case
def einsum_of_one(c):
    t = c.tensor((3, 4, 3))
    return ops.einsum(c.pick("abcb->acb", "abcd->adb", "a...b->ab...", "abcd", "abcd->a", "a...d->a..."), t)
