"""Each key of each layer's config at a value that is not the default: mbrun gives what Keras gives, and that is not
what it gives otherwise; or mbrun refuses the model and names the key.

Usage: keys.py MBRUN SCRATCH KEYRING SEED [COUNT]
KEYRING is tests/data/keras.json, which has the keys of each class. COUNT: so many keys, drawn by SEED; otherwise
all. A key that draws random numbers is held against mbrun itself, whose result must change. Prints a line
"ok CLASS.KEY: ..." or "not ok CLASS.KEY: ..." for each."""
import json
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import h5py
import keras
import numpy as np
from keras import layers as L

BATCH = 6
COMMON = {"name", "trainable", "dtype"}
# Weights come with the file; seeds belong to Keras' own generators; the others choose how Keras computes.
WITHOUT_EFFECT = {"seed", "unroll", "synchronized", "sparse", "vocabulary_size", "num_bins", "max_tokens", "ragged", "encoding",
                  "vocabulary_dtype", "implementation", "bounding_box_format", "unit_forget_bias", "pad_to_max_tokens"}  # fmt: skip
# Compared by masks.py and, from batch to batch, by stateful.py.
ELSEWHERE = {"zero_output_for_mask", "stateful", "mask_zero", "attention_axes"}
RANDOM = {"rate", "dropout", "recurrent_dropout", "stddev", "noise_shape"}

VECTOR, SEQUENCE, IMAGE, VOLUME = (4,), (6, 4), (7, 6, 4), (5, 6, 5, 4)
BY_RANK = {"1D": SEQUENCE, "2D": IMAGE, "3D": VOLUME}
LOOKUP = {"vocabulary": [3, 5, 7]}
# What each class is made with, and what it takes: a shape, a list of them, or ("ids", shape, below).
MADE = {
    "Activation": ({"activation": "relu"}, VECTOR),
    "ActivityRegularization": ({}, VECTOR),
    "AdditiveAttention": ({}, [SEQUENCE, SEQUENCE]),
    "AlphaDropout": ({"rate": 0.25}, VECTOR),
    "Attention": ({}, [SEQUENCE, SEQUENCE]),
    "BatchNormalization": ({}, SEQUENCE),
    "Bidirectional": ({"layer": lambda: L.LSTM(3)}, SEQUENCE),
    "CategoryEncoding": ({"num_tokens": 5}, ("ids", (3,), 5)),
    "CenterCrop": ({"height": 4, "width": 4}, IMAGE),
    "Concatenate": ({}, [SEQUENCE, SEQUENCE]),
    "Cropping1D": ({}, SEQUENCE),
    "Cropping2D": ({"cropping": 1}, IMAGE),
    "Cropping3D": ({}, VOLUME),
    "Dense": ({"units": 3}, VECTOR),
    "Discretization": ({"bin_boundaries": [0.0, 1.0], "output_mode": "one_hot"}, ("given", (1,))),
    "Dot": ({"axes": 1}, [SEQUENCE, SEQUENCE]),
    "Dropout": ({"rate": 0.25}, SEQUENCE),
    "ELU": ({}, VECTOR),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": (None, 3)}, SEQUENCE),
    "Embedding": ({"input_dim": 5, "output_dim": 3}, ("ids", (4,), 5)),
    "Flatten": ({}, IMAGE),
    "GaussianDropout": ({"rate": 0.25}, VECTOR),
    "GaussianNoise": ({"stddev": 0.25}, VECTOR),
    "GroupNormalization": ({"groups": 2}, SEQUENCE),
    "GroupedQueryAttention": ({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, [SEQUENCE, SEQUENCE]),
    "Hashing": ({"num_bins": 5, "output_mode": "one_hot"}, ("ids", (1,), 9)),
    "Identity": ({}, VECTOR),
    "IntegerLookup": ({**LOOKUP, "output_mode": "one_hot"}, ("ids", (1,), 9)),
    "StringLookup": ({"vocabulary": ["3", "5", "7"], "output_mode": "one_hot"}, ("ids", (1,), 9)),
    "LayerNormalization": ({}, SEQUENCE),
    "LeakyReLU": ({}, VECTOR),
    "Masking": ({}, SEQUENCE),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, [SEQUENCE, SEQUENCE]),
    "Normalization": ({"mean": [0.1, 0.2, 0.3, 0.4], "variance": [1.0, 2.0, 0.5, 0.7]}, SEQUENCE),
    "PReLU": ({}, SEQUENCE),
    "Permute": ({"dims": (2, 1)}, SEQUENCE),
    "RMSNormalization": ({}, SEQUENCE),
    "RNN": ({"cell": lambda: L.LSTMCell(3)}, SEQUENCE),
    "RandomBrightness": ({"factor": 0.25, "value_range": (-1, 1)}, IMAGE),
    "RandomContrast": ({"factor": 0.25, "value_range": (-1, 1)}, IMAGE),
    "RandomCrop": ({"height": 4, "width": 4}, IMAGE),
    "RandomFlip": ({}, IMAGE),
    "RandomRotation": ({"factor": 0.25}, IMAGE),
    "RandomTranslation": ({"height_factor": 0.25, "width_factor": 0.25}, IMAGE),
    "RandomZoom": ({"height_factor": 0.25}, IMAGE),
    "ReLU": ({}, VECTOR),
    "RepeatVector": ({"n": 2}, VECTOR),
    "Rescaling": ({"scale": 0.5}, VECTOR),
    "Reshape": ({"target_shape": (4, 6)}, SEQUENCE),
    "Resizing": ({"height": 4, "width": 5}, IMAGE),
    "ReversibleEmbedding": ({"input_dim": 5, "output_dim": 3}, ("ids", (4,), 5)),
    "Softmax": ({}, SEQUENCE),
    "TimeDistributed": ({"layer": lambda: L.Dense(3)}, SEQUENCE),
    "UnitNormalization": ({}, SEQUENCE),
    "UpSampling1D": ({}, SEQUENCE),
}
for dims, shape in BY_RANK.items():
    for name in ("Conv{}", "Conv{}Transpose", "SeparableConv{}"):
        MADE[name.format(dims)] = ({"filters": 4, "kernel_size": 3}, shape)
    MADE[f"ConvLSTM{dims}"] = ({"filters": 2, "kernel_size": 3}, (3, *shape))
    MADE[f"DepthwiseConv{dims}"] = ({"kernel_size": 3}, shape)
    for kind in ("Max", "Average"):
        MADE[f"{kind}Pooling{dims}"] = ({"pool_size": 3}, (7, *shape[1:]))
        MADE[f"Global{kind}Pooling{dims}"] = ({}, shape)
        MADE[f"Adaptive{kind}Pooling{dims}"] = ({"output_size": 2}, shape)
    MADE[f"SpatialDropout{dims}"] = ({"rate": 0.25}, shape)
    MADE[f"ZeroPadding{dims}"] = ({}, shape)
for dims in ("2D", "3D"):
    MADE[f"UpSampling{dims}"] = ({}, BY_RANK[dims])
for name in ("SimpleRNN", "LSTM", "GRU"):
    MADE[name] = ({"units": 3}, SEQUENCE)

# Values that are not the default, by key or by class and key.
VALUES = {
    "activation": "sigmoid", "recurrent_activation": "relu", "use_bias": False, "units": 5, "filters": 8, "kernel_size": 2, "strides": 2,
    "padding": "same", "dilation_rate": 2, "groups": 2, "data_format": "channels_first", "depth_multiplier": 2, "output_size": 1,
    "pool_size": 2, "keepdims": True, "go_backwards": True, "return_sequences": True, "return_state": True, "stateful": True,
    "zero_output_for_mask": True, "reset_after": False, "epsilon": 0.3, "center": False, "scale": False, "axis": 1, "momentum": 0.5,
    "alpha": 0.3, "negative_slope": 0.3, "max_value": 0.4, "threshold": 0.2, "l1": 0.1, "l2": 0.1, "rate": 0.5, "dropout": 0.5,
    "recurrent_dropout": 0.5, "stddev": 0.5, "height": 3, "width": 3, "n": 3, "offset": 0.3, "input_dim": 7, "output_dim": 2,
    "mask_zero": True, "height_factor": 0.1, "width_factor": 0.1, "factor": 0.1, "fill_mode": "constant", "fill_value": 0.7,
    "interpolation": "nearest", "value_range": (-0.5, 2), "use_scale": True, "normalize": True, "invert": True, "num_heads": 1,
    "key_dim": 2, "value_dim": 2, "output_shape": 5, "use_gate": True, "sliding_window": 2, "attention_axes": (1,), "size": 3,
    "num_oov_indices": 2, "output_mode": "multi_hot", "mean": 0.3, "variance": 0.4, "quantization_config": None, "salt": 7,
    "mask_value": 0.5, "head_dim": 2, "num_query_heads": 2, "num_key_value_heads": 1, "renorm": True, "renorm_momentum": 0.5,
    "renorm_clipping": {"rmax": 2.0, "rmin": 0.5, "dmax": 1.0}, "shared_axes": [1],
    "merge_mode": "sum", "logit_soft_cap": 2.0, "reverse_dtype": "float32", "tie_weights": False, "crop_to_aspect_ratio": True,
    "pad_to_aspect_ratio": True, "antialias": True, "rms_scaling": True, "bias_axes": "d", "noise_shape": (None, 1, 4),
    "output_padding": 1, "oov_token": 3, "mask_token": 3, "idf_weights": [0.1, 0.2, 0.3], "num_tokens": 6, "target_shape": (3, 8),
}  # fmt: skip
PICKED = {
    ("Activation", "activation"): "tanh",
    ("AdditiveAttention", "use_scale"): False,
    ("Attention", "score_mode"): "concat",
    ("Bidirectional", "layer"): lambda: L.GRU(3),
    ("Bidirectional", "backward_layer"): lambda: L.LSTM(3, activation="relu", go_backwards=True),
    ("CategoryEncoding", "output_mode"): "count",
    ("Cropping1D", "cropping"): 2,
    ("Cropping2D", "cropping"): 2,
    ("Cropping3D", "cropping"): (0, 1, 2),
    ("Discretization", "bin_boundaries"): [-0.5, 0.5],
    ("Discretization", "output_mode"): "count",
    ("Dot", "axes"): 2,
    ("Dropout", "noise_shape"): (None, 1, 4),
    ("EinsumDense", "equation"): "abc,bcd->abd",
    ("EinsumDense", "output_shape"): (None, 5),
    ("Hashing", "num_bins"): 7,
    ("IntegerLookup", "vocabulary"): [1, 2, 3],
    ("StringLookup", "vocabulary"): ["1", "2", "3"],
    ("LeakyReLU", "negative_slope"): 0.1,
    ("Permute", "dims"): (1, 2),
    ("RNN", "cell"): lambda: L.GRUCell(3),
    ("RandomFlip", "mode"): "horizontal",
    ("Rescaling", "scale"): 0.3,
    ("TimeDistributed", "layer"): lambda: L.Dense(5),
}

def value_of(name, key):
    """Raises KeyError where nobody has thought of one."""
    if (name, key) in PICKED:
        return PICKED[name, key]
    if key.endswith("_regularizer"):
        return keras.regularizers.L2(0.1)
    if key.endswith("_constraint"):
        return keras.constraints.MaxNorm(0.3, axis=0)
    if key == "strides" and "Pooling" in name:
        return 1
    if key == "padding" and name.startswith("ZeroPadding"):
        return 2
    return VALUES[key]


def made(value):
    return value() if callable(value) and not isinstance(value, (keras.regularizers.Regularizer, keras.constraints.Constraint)) else value


# Keys that say something only beside others.
BESIDE = {
    ("Conv*Transpose", "output_padding"): {"strides": 2},
    ("BatchNormalization", "renorm_momentum"): {"renorm": True},
    ("BatchNormalization", "renorm_clipping"): {"renorm": True},
    ("EinsumDense", "equation"): {"output_shape": (6, 3)},
    ("Resizing", "fill_mode"): {"pad_to_aspect_ratio": True},
    ("Resizing", "fill_value"): {"pad_to_aspect_ratio": True},
    ("Normalization", "mean"): {"variance": 0.5},
    ("Normalization", "variance"): {"mean": 0.5},
    ("Normalization", "axis"): {"mean": 0.1, "variance": 0.5},
    ("IntegerLookup", "idf_weights"): {"output_mode": "tf_idf"},
    ("StringLookup", "idf_weights"): {"output_mode": "tf_idf"},
}


def beside(name, key):
    return BESIDE.get((name, key), BESIDE.get((name[:4] + "*" + name[6:], key), {}))


def inputs_of(spec):
    """Input tensors, what the layer is called with, and how many integers there are, or None."""
    if isinstance(spec, tuple) and spec and spec[0] == "ids":
        i = keras.Input(spec[1], dtype="int32", name="input_0")
        return [i], i, spec[2]
    if isinstance(spec, tuple) and spec and spec[0] == "given":
        i = keras.Input(spec[1], name="input_0")
        return [i], i, None
    shapes = spec if isinstance(spec, list) else [spec]
    inputs = [keras.Input(s, name=f"input_{i}") for i, s in enumerate(shapes)]
    behind = [L.Dense(s[-1], name=f"before_{i}")(t) for i, (s, t) in enumerate(zip(shapes, inputs))]
    return inputs, behind if isinstance(spec, list) else behind[0], None


SEVERAL = {"MultiHeadAttention", "GroupedQueryAttention"}


def build(name, keys, spec):
    keras.utils.set_random_seed(1)
    keras.backend.clear_session()
    inputs, t, below = inputs_of(spec)
    layer = getattr(L, name)(**{k: made(v) for k, v in keys.items()}, name="it")
    y = layer(*t) if name in SEVERAL else layer(t)
    parts = y if isinstance(y, (list, tuple)) else [y]
    if below is not None and len(parts) == 1 and keras.backend.is_int_dtype(parts[0].dtype):
        parts = [L.Embedding(16, 2, name="behind")(parts[0])]
    outputs = [L.Dense(2, name=f"out_{i}")(p) for i, p in enumerate(parts)]
    model = keras.Model(inputs, outputs)
    rng = np.random.default_rng(7)
    model.set_weights([w if "seed" in v.path or "moving" in v.path else rng.normal(size=w.shape, scale=0.5).astype(w.dtype)
                       for v, w in zip(model.weights, model.get_weights())])  # fmt: skip
    model.compile(keras.optimizers.SGD(1.0), ["mse"] * len(outputs))
    return model, below


def data_of(model, below):
    rng = np.random.default_rng(3)
    x = [rng.integers(0, below, (BATCH, *i.shape[1:])).astype("i4") if below is not None
         else rng.normal(size=(BATCH, *i.shape[1:])).astype("f4") for i in model.inputs]  # fmt: skip
    return x, [rng.normal(size=p.shape).astype("f4") for p in listed(model.predict_on_batch(x))]


def listed(outputs):
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def by_keras(model, x, y):
    predicted = [numpy_of(p) for p in listed(model.predict_on_batch(x))]
    model.train_on_batch(x, y)
    return predicted, [np.array(w) for w in model.get_weights()]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip() or f"{command} ends with {done.returncode}")


def by_mbrun(model, x, y, mbrun, scratch):
    """Predictions, and weights in Keras' order; the model's own are lost."""
    m, d, p = f"{scratch}/m.keras", f"{scratch}/d.h5", f"{scratch}/p.h5"
    for old in (m, d, p):
        if os.path.exists(old):
            os.remove(old)
    model.save(m)
    with h5py.File(d, "w") as f:
        for tensor, values in zip(model.inputs, x):
            f[tensor.name] = values
        for name, values in zip(model.output_names, y):
            f[name] = values
    run(mbrun, "predict", m, "--data", d, "-o", p)
    run(mbrun, m, "--data", d, "--no-shuffle", "--steps", "1", "--batch", str(BATCH), "--quiet", "--restart",
        "--run", f"{scratch}/r.run", "-o", f"{scratch}/o.weights.h5")  # fmt: skip
    with h5py.File(p) as f:
        predicted = [f[name][()] for name in model.output_names]
    model.load_weights(f"{scratch}/o.weights.h5")
    return predicted, [np.array(w) for w in model.get_weights()]


def differ(a, b, share=2.0**-24 * 16 * 8 * 8):
    """The largest difference of two results, where it is more than sums of so many terms can make; else None."""
    flat = [*zip(a[0], b[0]), *zip(a[1], b[1])]
    if len(a[0]) != len(b[0]) or len(a[1]) != len(b[1]) or any(p.shape != q.shape for p, q in flat):
        return "shapes"
    worst = max((float(np.max(np.abs(p.astype("f8") - q), initial=0)) / (1 + float(np.max(np.abs(q), initial=0))) for p, q in flat
                 if np.issubdtype(q.dtype, np.floating)), default=0.0)  # fmt: skip
    return None if worst <= share else f"{worst:.3g}"


def check(name, key, mbrun, scratch):
    """What is wrong; None where nothing is; and what was seen."""
    keys, spec = MADE[name]
    keys = {**keys, **beside(name, key)}
    model, below = build(name, keys, spec)
    given = data_of(model, below)
    other, below = build(name, {**keys, key: value_of(name, key)}, spec)
    x, y = data_of(other, below)
    try:
        found = by_mbrun(other, x, y, mbrun, scratch)
    except ValueError as error:
        named = any(f"'{word}'" in str(error) for word in (name, key, *beside(name, key)))
        return (None, "refused by name") if named else (f"{error}", "")
    if key in RANDOM or name.startswith("Random"):
        before = by_mbrun(model, *given, mbrun, scratch)
        return (None, "changes what is drawn") if differ(found, before) else ("nothing changes", "")
    other, _ = build(name, {**keys, key: value_of(name, key)}, spec)
    expected = by_keras(other, x, y)
    fault = differ(found, expected)
    if fault:
        return f"differs from Keras' by {fault}", ""
    changes = differ(expected, by_keras(model, *given), 0.0)
    if changes is None and key not in WITHOUT_EFFECT and value_of(name, key) is not None:
        return "Keras' result does not change", ""
    return None, "as Keras" if changes else "as Keras, which changes nothing"


def known_keys(keyring):
    with open(keyring) as f:
        classes = json.load(f)["layers"]
    for name in sorted(set(MADE) & set(classes)):
        for key in sorted(classes[name]):
            if key not in COMMON and not key.endswith("_initializer") and key not in WITHOUT_EFFECT | ELSEWHERE:
                yield name, key


def main():
    mbrun, scratch, keyring, seed = sys.argv[1:5]
    pairs = list(known_keys(keyring))
    if len(sys.argv) > 5:
        order = np.random.default_rng(int(seed)).permutation(len(pairs))
        pairs = [pairs[i] for i in order[: int(sys.argv[5])]]
    for name, key in pairs:
        try:
            fault, seen = check(name, key, mbrun, scratch)
        except Exception as problem:  # noqa: BLE001: Keras raises all kinds
            fault, seen = f"{type(problem).__name__}: {problem}", ""
        text = f"{name}.{key}: {seen if fault is None else fault}"
        print(("ok " if fault is None else "not ok ") + text.replace("\n", " ")[:300], flush=True)


if __name__ == "__main__":
    main()
