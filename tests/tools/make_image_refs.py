"""Writes tests/data/layers_images.h5: what Keras (on jax) computes for the layers over images that
make_layer_refs.py, whose form this has, leaves out: torch computes some of them otherwise or in one data format.

    KERAS_BACKEND=jax python3 tests/tools/make_image_refs.py tests/data/layers_images.h5 (made with Keras 3.15.1)
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

rng = np.random.default_rng(20260117)
FIRST = {"data_format": "channels_first"}
SHAPES = {1: (7, 3), 2: (5, 6, 3), 3: (4, 3, 4, 2)}


def uniform(*shape):
    return rng.uniform(-1, 1, shape).astype("float32")


CASES = [
    (L.Conv3D(3, (2, 3, 2), padding="same"), 3),
    (L.DepthwiseConv1D(3, depth_multiplier=2), 1),
    (L.DepthwiseConv2D(3, strides=2, padding="same", activation="tanh"), 2),
    (L.SeparableConv1D(4, 3, activation="gelu"), 1),
    (L.SeparableConv2D(4, 3, depth_multiplier=2, padding="same", **FIRST), 2),
    (L.Conv1DTranspose(4, 3, strides=2, padding="same"), 1),
    (L.Conv2DTranspose(2, 3, strides=2, padding="same", output_padding=(1, 0)), 2),
    (L.Conv3DTranspose(2, 2, strides=(1, 2, 1), **FIRST), 3),
    (L.UpSampling1D(3), 1),
    (L.UpSampling2D((2, 3), interpolation="bicubic"), 2),
    (L.UpSampling3D((1, 2, 2), **FIRST), 3),
    (L.Resizing(3, 9, interpolation="lanczos3"), 2),
    (L.Cropping2D(((1, 0), (2, 1))), 2),
    (L.Cropping3D((1, 1, 0), **FIRST), 3),
    (L.ZeroPadding1D((1, 2)), 1),
    (L.ZeroPadding2D(((1, 0), (2, 1)), **FIRST), 2),
    (L.ZeroPadding3D((1, 0, 1)), 3),
    (L.MaxPooling3D((2, 2, 3), strides=2, padding="same"), 3),
    (L.AveragePooling3D(2, strides=1, padding="same", **FIRST), 3),
    (L.GlobalMaxPooling3D(keepdims=True), 3),
    (L.GlobalAveragePooling3D(**FIRST), 3),
    (L.AdaptiveMaxPooling1D(3), 1),
    (L.AdaptiveMaxPooling2D((2, 4)), 2),
    (L.AdaptiveMaxPooling3D((2, 2, 3), **FIRST), 3),
    (L.AdaptiveAveragePooling1D(5), 1),
    (L.AdaptiveAveragePooling2D((3, 4), **FIRST), 2),
    (L.AdaptiveAveragePooling3D((3, 2, 3)), 3),
]


def write(file, layer, dimensions):
    symbol = keras.Input(SHAPES[dimensions])
    model = keras.Model(symbol, layer(symbol))
    for weight in layer.weights:
        weight.assign(uniform(*weight.shape))
    weights = [np.asarray(w.value) for w in layer.weights]
    x = uniform(3, *SHAPES[dimensions])
    output, back = jax.vjp(lambda w, x: model.stateless_call(w, [], x)[0], weights, x)
    upstream = uniform(*output.shape)
    of_weights, of_x = back(upstream)
    group = file.create_group(layer.name)
    metadata = saving_utils.model_metadata(model)["model_config"]
    group.attrs["model"] = np.bytes_(json.dumps(metadata, default=json_utils.get_json_type))
    group["input0"], group["grad_input0"] = x, np.asarray(of_x)
    group["output"], group["grad_output"] = np.asarray(output), upstream
    for i, weight in enumerate(weights):
        group[f"weight{i}"], group[f"grad_weight{i}"] = weight, np.asarray(of_weights[i])


with h5py.File(sys.argv[1], "w", libver="latest") as file:
    file.attrs["keras_version"] = np.bytes_(keras.__version__)
    for layer, dimensions in CASES:
        write(file, layer, dimensions)
print(len(CASES), "cases", os.path.getsize(sys.argv[1]), "bytes")
