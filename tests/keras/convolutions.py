"""Random configurations of the layers over images, against Keras in float64.

Usage: convolutions.py make FOLDER SEED COUNT [CLASS...]
       convolutions.py check FOLDER SEED COUNT [CLASS...]
make writes models of COUNT branches for each class, each a Dense layer (whose gradient shows that of the layer's
input), a Reshape to the layer's input and the layer, with the data of one batch: GROUP.h5, GROUP.data.h5. Where
COUNT is small a model has the branches of several classes, as Keras compiles one faster than several.
mbrun predicts with it (GROUP.out.h5) and trains one step of SGD (GROUP.run). check does the same with Keras and
prints a line "ok CLASS" or "not ok CLASS" each; what differed goes to standard error."""
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
import h5py
import keras
import numpy as np
from keras import layers as L

SAMPLES, WIDTH = 3, 4
BRANCHES = 8  # of a model; more where one class alone has more
EPSILON = 2.0**-24


class Draw:
    """Random choices, the same for a class and a branch whatever the others draw."""

    def __init__(self, name, seed, branch):
        self.rng = np.random.default_rng([seed, branch, *name.encode()])

    def one(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def many(self, n, low, high):
        return [self.one(low, high) for _ in range(n)]

    def of(self, *values):
        return values[self.one(0, len(values) - 1)]

    def now_and_then(self):
        return self.one(0, 3) == 0


def regularizer(draw):
    return draw.of(None, None, {"class_name": "L1L2", "config": {"l1": 1e-5, "l2": 1e-4}})


def constraint(draw):
    norm = lambda name, **more: {"class_name": name, "config": {"axis": 0, **more}}
    return draw.of(None, None, None, "non_neg", norm("MaxNorm", max_value=0.4), norm("UnitNorm"))


def weights(draw, *prefixes):
    keys = {"use_bias": draw.of(True, True, False), "bias_initializer": "random_normal",
            "activation": draw.of(None, "tanh", "gelu", "softmax", "elu"),
            "bias_regularizer": regularizer(draw), "activity_regularizer": regularizer(draw),
            "bias_constraint": draw.of(None, None, "non_neg")}  # fmt: skip
    for prefix in prefixes:
        keys[f"{prefix}_regularizer"] = regularizer(draw)
        keys[f"{prefix}_constraint"] = constraint(draw)
    return keys


def window(draw, n, strided, dilated):
    """Strides and dilations exclude each other in Keras."""
    keys = {"padding": draw.of("valid", "same")}
    choice = draw.one(0, 2)
    if choice == 1 and strided:
        keys["strides"] = draw.many(n, 1, 3) if strided == "any" else draw.one(1, 3)
    if choice == 2 and dilated:
        keys["dilation_rate"] = draw.many(n, 1, 2)
    return keys


def spatial_of(name):
    return next((int(d) for d in "123" if f"{d}D" in name), 2)


def sizes(draw, n):
    return draw.many(n, *((6, 11), (5, 8), (4, 5))[n - 1])


def conv(draw, n):
    groups = draw.of(1, 1, 2, 3)
    keys = {"filters": groups * draw.one(1, 4), "kernel_size": draw.many(n, 1, 3 if n > 1 else 4),
            "groups": groups, **window(draw, n, "any", True), **weights(draw, "kernel")}  # fmt: skip
    if n == 1 and draw.now_and_then():
        keys["padding"] = "causal"
    return keys, groups * draw.one(1, 3)


def depthwise(draw, n):
    return {"kernel_size": draw.many(n, 1, 3), "depth_multiplier": draw.one(1, 3),
            **window(draw, n, "equal", True), **weights(draw, "depthwise")}, draw.of(1, 2, 3, 17)  # fmt: skip


def separable(draw, n):
    keys, channels = depthwise(draw, n)
    keys.update({"filters": draw.one(1, 5), **weights(draw, "depthwise", "pointwise")})
    return keys, channels


def transposed(draw, n):
    keys = {"filters": draw.one(1, 4), "kernel_size": draw.many(n, 1, 4 if n < 3 else 3),
            **window(draw, n, "any", True), **weights(draw, "kernel")}  # fmt: skip
    strides = keys.get("strides")
    if strides and draw.of(True, False):
        keys["output_padding"] = [draw.one(0, s - 1) for s in strides]
    return keys, draw.one(1, 4)


def pool(draw, n):
    keys = {"pool_size": draw.many(n, 1, 3), "padding": draw.of("valid", "same")}
    keys["strides"] = draw.of(None, draw.many(n, 1, 3))
    return keys, draw.of(1, 3, 8)


def global_pool(draw, n):
    return {"keepdims": draw.of(True, False)}, draw.of(1, 3, 8)


def adaptive(draw, n):
    return {"output_size": draw.many(n, 1, 7)}, draw.of(1, 3, 8)


def box(draw, n, key, most):
    pairs = [draw.many(2, 0, most) for _ in range(n)]
    return {key: pairs[0] if n == 1 else draw.of(draw.one(0, most), tuple(draw.many(n, 0, most)), pairs)}, draw.one(1, 4)


def up_sampling(draw, n):
    keys = {"size": draw.many(n, 1, 3) if n > 1 else draw.one(1, 4)}
    if n == 2:
        keys["interpolation"] = draw.of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
    return keys, draw.one(1, 4)


def resizing(draw, n):
    return {"height": draw.one(1, 12), "width": draw.one(1, 12), "antialias": draw.of(True, False),
            "interpolation": draw.of("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")}, draw.one(1, 4)  # fmt: skip


MAKERS = {
    "SeparableConv1D SeparableConv2D": separable,
    "DepthwiseConv1D DepthwiseConv2D": depthwise,
    "Conv1DTranspose Conv2DTranspose Conv3DTranspose": transposed,
    "Conv1D Conv2D Conv3D": conv,
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D GlobalAveragePooling1D GlobalAveragePooling2D "
    "GlobalAveragePooling3D": global_pool,
    "AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D AdaptiveAveragePooling1D "
    "AdaptiveAveragePooling2D AdaptiveAveragePooling3D": adaptive,
    "MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D": pool,
    "Cropping1D Cropping2D Cropping3D": lambda draw, n: box(draw, n, "cropping", 1),
    "ZeroPadding1D ZeroPadding2D ZeroPadding3D": lambda draw, n: box(draw, n, "padding", 2),
    "UpSampling1D UpSampling2D UpSampling3D": up_sampling,
    "Resizing": resizing,
}
NAMES = [name for names in MAKERS for name in names.split()]
LAST_ONLY = {"Cropping1D", "UpSampling1D"}  # they have no data_format


def branch_of(name, seed, i, dtype):
    """A layer and the shape of its input; None: its window does not fit."""
    draw = Draw(name, seed, i)
    maker = next(maker for names, maker in MAKERS.items() if name in names.split())
    n = spatial_of(name)
    keys, channels = maker(draw, n)
    image = sizes(draw, n)
    shape = [*image, channels]
    if name not in LAST_ONLY and draw.of(True, False):
        keys["data_format"] = "channels_first"
        shape = [channels, *image]
        if keys.get("activation") == "softmax":
            keys["activation"] = "tanh"  # mbrun refuses the other, which runs along the width
    elif name not in LAST_ONLY:
        keys["data_format"] = "channels_last"
    layer = getattr(L, name)(name=f"layer_{name}_{i}", dtype=dtype, **keys)
    try:
        outputs = layer.compute_output_shape((SAMPLES, *shape))
    except ValueError:
        return None
    return (layer, shape, keys) if all(o is None or o > 0 for o in outputs) else None


def branches_of(name, seed, count, dtype):
    found, i = [], 0
    while len(found) < count:
        branch = branch_of(name, seed, i, dtype)
        if branch:
            found.append((f"{name}_{i}", *branch))
        i += 1
    return found


def groups_of(names, count):
    each = max(1, BRANCHES // count)
    return [names[i : i + each] for i in range(0, len(names), each)]


def concatenate(tensors, dtype):
    """mbrun joins up to 16 tensors at a time."""
    while len(tensors) > 1:
        tensors = [
            L.Concatenate(dtype=dtype)(tensors[i : i + 16]) if len(tensors[i : i + 16]) > 1 else tensors[i]
            for i in range(0, len(tensors), 16)
        ]
    return tensors[0]


def build(group, seed, count, dtype):
    """The model, and (branch, output of it, class's keys) each."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed)
    x = L.Input((WIDTH,), name="x", dtype=dtype)
    branches = []
    for name in group:
        for branch, layer, shape, keys in branches_of(name, seed, count, dtype):
            wide = L.Dense(int(np.prod(shape)), name=f"wide_{branch}", dtype=dtype)(x)
            y = layer(L.Reshape(shape, name=f"shape_{branch}", dtype=dtype)(wide))
            branches.append((branch, L.Flatten(name=f"flat_{branch}", dtype=dtype)(y), shape, keys))
    model = keras.Model(x, concatenate([b[1] for b in branches], dtype), name=f"of_{group[0].lower()}")
    # The mean over all columns gives gradients of their number's inverse.
    model.compile(keras.optimizers.SGD(float(model.output_shape[-1])), "mean_squared_error")
    return model, branches


def data_of(seed, columns):
    rng = np.random.default_rng([seed, 7])
    return rng.standard_normal((SAMPLES, WIDTH), "f4"), rng.standard_normal((SAMPLES, columns), "f4")


def make(folder, seed, count, names):
    for group in groups_of(names, count):
        model, _ = build(group, seed, count, "float32")
        model.save(f"{folder}/{group[0]}.h5")
        x, y = data_of(seed, model.output_shape[-1])
        with h5py.File(f"{folder}/{group[0]}.data.h5", "w") as file:
            file["x"], file["y"] = x, y


def elements(shape):
    return int(np.prod([d for d in shape if d is not None]))


def difference(what, found, wanted, terms, kept=0.0):
    """A sum of so many terms errs by EPSILON of the largest partial sum each; so does one that is added to what
    is kept in float32, once for all."""
    largest = float(np.max(np.abs(wanted), initial=0.0))
    most = EPSILON * (terms * max(largest, 1.0) + 2 * kept)
    error = float(np.max(np.abs(found - wanted), initial=0.0))
    if error <= most:
        return []
    return [f"{what}: off by {error:.3g}, where {most:.3g} is allowed and the largest is {largest:.3g}"]


def check_outputs(branches, found, wanted):
    """What differs of each class, and how many terms a sum of each branch has."""
    at, terms, differ = 0, {}, []
    for branch, output, shape, keys in branches:
        columns = elements(output.shape[1:])
        # No sum of the branch, forward or backward, has more terms; functions err by a few more.
        terms[branch] = SAMPLES * (elements(shape) + columns) + 64
        differ += difference(f"{branch} {keys}: output", found[:, at : at + columns],
                             wanted[:, at : at + columns], terms[branch])  # fmt: skip
        at += columns
    return terms, differ


def check(folder, seed, count, group):
    path = f"{folder}/{group[0]}"
    start = keras.models.load_model(f"{path}.h5").get_weights()
    model, branches = build(group, seed, count, "float64")
    model.set_weights([w.astype("f8") for w in start])
    x, y = data_of(seed, model.output_shape[-1])
    with h5py.File(f"{path}.out.h5") as file:
        found = file[next(iter(file))][()]
    terms, differ = check_outputs(branches, found, np.asarray(model.predict_on_batch(x.astype("f8"))))
    model.train_on_batch(x.astype("f8"), y.astype("f8"))
    trained = keras.models.load_model(f"{path}.run/final.h5")
    trained = dict(zip([v.path for v in trained.weights], trained.get_weights()))
    keys = {branch: keys for branch, _, _, keys in branches}
    for variable, before in zip(model.weights, start):
        branch = variable.path.split("/")[0].split("_", 1)[1]
        after = keras.ops.convert_to_numpy(variable)
        differ += difference(f"{branch} {keys[branch]}: step of {variable.path}", trained[variable.path] - before,
                             after - before, terms[branch], float(np.max(np.abs(before)) + np.max(np.abs(after))))  # fmt: skip
    return differ


def main():
    what, folder, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    names = sys.argv[5:] or NAMES
    if what == "make":
        return make(folder, seed, count, names)
    for group in groups_of(names, count):
        try:
            differ = check(folder, seed, count, group)
        except Exception as error:
            differ = [f"{name}_0: {error!r}" for name in group]
        for name in group:
            wrong = [text for text in differ if text.startswith(f"{name}_")]
            print(f"not ok {name}" if wrong else f"ok {name}", flush=True)
            for text in wrong:
                print(text, file=sys.stderr, flush=True)


main()
