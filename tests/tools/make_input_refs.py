"""Writes tests/data/layers_input.h5: what Keras (on jax) computes for EinsumDense, ReversibleEmbedding, TimeDistributed
and layers that prepare inputs, in training, in the form of make_layer_refs.py. Random layers draw from ranges of
one number.

    python3 tests/tools/make_input_refs.py tests/data/layers_input.h5 (made with Keras 3.15.1)
"""
import json
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
import h5py
import jax
import keras
import numpy as np
from keras import layers as L
from keras.src.legacy.saving import json_utils, saving_utils

rng = np.random.default_rng(20260118)
FIRST = {"data_format": "channels_first"}
IMAGE = (5, 6, 2)


def uniform(*shape):
    return rng.uniform(-1, 1, shape).astype("float32")


def normalization(**keys):
    """Made whole before its weights are set: finalize_state takes them for constants."""
    layer = L.Normalization(**keys)
    layer.build((None, 4, 3))
    if "mean" not in keys:
        layer.set_weights([uniform(*w.shape) + 2 if w.shape else np.array(5) for w in layer.weights])
        layer.finalize_state()
    return layer


# The layer, the shape of its input, what the input is below (0: numbers), the call's arguments.
CASES = [
    (L.EinsumDense("abc,cd->abd", (None, 5), bias_axes="d", activation="gelu"), (4, 3), 0, {}),
    (L.EinsumDense("abc,cde->abde", (4, 2, 5), bias_axes="de"), (4, 3), 0, {}),
    (L.EinsumDense("abcd,cde->abe", (4, 5), activation="softmax"), (4, 2, 3), 0, {}),
    (L.EinsumDense("abc,bcd->abd", (4, 5), bias_axes="bd", activation="tanh"), (4, 3), 0, {}),
    (L.EinsumDense("ab...,bc->ac...", 5, bias_axes="c"), (4, 3), 0, {}),
    (L.EinsumDense("abcb,cd->dab".replace("dab", "adb"), (5, 4), bias_axes="b", activation="silu"), (4, 3, 4), 0, {}),
    (L.EinsumDense("abc,b->ab", (4,), bias_axes="b"), (4, 3), 0, {}),
    (L.ReversibleEmbedding(6, 4), (3,), 6, {}),
    (L.ReversibleEmbedding(6, 4, logit_soft_cap=0.5), (3, 4), 0, {"reverse": True}),
    (L.ReversibleEmbedding(6, 4, tie_weights=False), (3, 4), 0, {"reverse": True}),
    (L.TimeDistributed(L.Conv2D(3, 2, activation="relu")), (2, *IMAGE), 0, {}),
    (L.TimeDistributed(L.TimeDistributed(L.Dense(3))), (2, 3, 4), 0, {}),
    (L.TimeDistributed(L.Embedding(6, 4)), (2, 3), 6, {}),
    (normalization(axis=-1), (4, 3), 0, {}),
    (normalization(axis=(1, 2), invert=True), (4, 3), 0, {}),
    (normalization(axis=1, mean=[1.0, 2.0, 3.0, 4.0], variance=[4.0, 3.0, 2.0, 1.0]), (4, 3), 0, {}),
    (L.Discretization([-0.5, 0.0, 0.25], output_mode="multi_hot"), (5,), 0, {}),
    (L.Discretization([-0.5, 0.0, 0.25], output_mode="int"), (5,), 0, {}),
    (L.CategoryEncoding(6, output_mode="one_hot"), (3,), 6, {}),
    (L.CategoryEncoding(6, output_mode="count"), (5,), 6, {}),
    (L.CenterCrop(3, 3), IMAGE, 0, {}),
    (L.CenterCrop(7, 4, **FIRST), (2, 5, 6), 0, {}),
    (L.RandomTranslation((0.3, 0.3), (-0.4, -0.4), fill_mode="wrap"), IMAGE, 0, {}),
    (L.RandomRotation((0.15, 0.15), fill_mode="constant", fill_value=0.5), IMAGE, 0, {}),
    (L.RandomZoom((0.3, 0.3), (-0.4, -0.4), fill_mode="nearest", **FIRST), (2, 5, 6), 0, {}),
    (L.RandomZoom((0.7, 0.7), interpolation="nearest"), IMAGE, 0, {}),
    (L.RandomContrast((-0.6, 0.6), value_range=(-0.5, 0.5)), IMAGE, 0, {}),
    (L.RandomBrightness((0.2, 0.2), value_range=(-0.5, 0.8)), IMAGE, 0, {}),
    (L.RandomCrop(7, 9), IMAGE, 0, {}),
]


def gradients(model, weights, x, below, upstream):
    call = lambda w, x: model.stateless_call(w, [v.value for v in model.non_trainable_variables], x, training=True)[0]
    if below or upstream.dtype.kind == "i":
        return jax.vjp(lambda w: call(w, x), weights)[1](upstream)[0], None
    return jax.vjp(call, weights, x)[1](upstream)


def write(file, layer, shape, below, keys):
    symbol = keras.Input(shape, dtype="int32" if below else "float32")
    model = keras.Model(symbol, layer(symbol, **keys))
    for weight in layer.trainable_weights:
        weight.assign(uniform(*weight.shape))
    weights = [np.asarray(w.value) for w in layer.trainable_weights]
    x = rng.integers(0, below, (3, *shape)).astype("int32") if below else uniform(3, *shape)
    output = np.asarray(model(x, training=True))
    upstream = uniform(*output.shape)
    group = file.create_group(layer.name)
    metadata = saving_utils.model_metadata(model)["model_config"]
    group.attrs["model"] = np.bytes_(json.dumps(metadata, default=json_utils.get_json_type))
    group["input0"], group["output"], group["grad_output"] = x, output, upstream
    for i, weight in enumerate(layer.weights):
        group[f"weight{i}"] = np.asarray(weight.value)
    if output.dtype.kind == "i":
        return
    of_weights, of_x = gradients(model, weights, x, below, upstream)
    for i, gradient in enumerate(of_weights):
        group[f"grad_weight{i}"] = np.asarray(gradient)
    if of_x is not None:
        group["grad_input0"] = np.asarray(of_x)


with h5py.File(sys.argv[1], "w", libver="latest") as file:
    file.attrs["keras_version"] = np.bytes_(keras.__version__)
    for case in CASES:
        write(file, *case)
print(len(CASES), "cases", os.path.getsize(sys.argv[1]), "bytes")
