#!/usr/bin/env python3
"""Writes tests/data/layers.h5: what Keras (on torch) computes for single layers.

Each group is one case: @model (the model_config of a model with that layer alone), input<i>,
weight<i> (in the order of layer.weights), output, grad_output, grad_input<i>, grad_weight<i>
(trainable ones), after_weight<i> (weights that a training call changed). Made with Keras 3.15.1:

    KERAS_BACKEND=torch python3 tests/tools/make_layer_refs.py tests/data/layers.h5
"""
import json
import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
import h5py
import keras
import numpy as np
import torch
from keras import layers
from keras.src.legacy.saving import json_utils, saving_utils

rng = np.random.default_rng(20250117)


def uniform(*shape):
    return rng.uniform(-1, 1, shape).astype("float32")


def ties(*shape):
    """Few distinct values, zero among them: kinks and equal maxima."""
    return (np.round(uniform(*shape) * 2) / 2).astype("float32")


CASES = {}


def case(name, layer, *shapes, samples=3, make=uniform, vocabulary=0, call=None):
    CASES[name] = (layer, shapes, samples, make, vocabulary, call or (lambda l, x: l(x[0])))


L = layers
case("dense", L.Dense(5), (7,))
case("dense_relu_positions", L.Dense(4, activation="relu", use_bias=False), (2, 3, 5))
case("dense_gelu", L.Dense(4, activation="gelu"), (3, 6))
case("dense_softmax", L.Dense(6, activation="softmax"), (5,))
case("dense_leaky_object", L.Dense(4, activation=L.LeakyReLU(negative_slope=0.25)), (5,))
case("conv1d", L.Conv1D(4, 5, padding="same", dilation_rate=2), (11, 3))
case("conv1d_causal", L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="tanh"), (9, 3))
case("conv1d_strided", L.Conv1D(4, 4, strides=3, padding="same", groups=2), (10, 4))
case("conv2d", L.Conv2D(4, 3, padding="same", activation="relu"), (6, 5, 3))
case("conv2d_strided", L.Conv2D(3, (3, 2), strides=2, padding="same", use_bias=False), (7, 6, 2))
case("conv2d_valid_groups", L.Conv2D(6, (2, 3), strides=(1, 2), groups=3), (5, 7, 3))
case("conv2d_dilated", L.Conv2D(3, 3, dilation_rate=(2, 1), activation="silu"), (7, 5, 2))
case("maxpool1d", L.MaxPooling1D(3, strides=2), (9, 3), make=ties)
case("maxpool1d_same", L.MaxPooling1D(4, strides=3, padding="same"), (9, 3), make=ties)
case("maxpool2d", L.MaxPooling2D(2), (7, 6, 3), make=ties)
case("maxpool2d_same", L.MaxPooling2D(3, strides=2, padding="same"), (7, 6, 2), make=ties)
case("avgpool1d", L.AveragePooling1D(2), (7, 3))
case("avgpool2d", L.AveragePooling2D((2, 3), strides=(1, 2)), (6, 7, 2))
# Padding as much in front as behind: on torch Keras averages over copies of the edge otherwise, on
# its other backends over the positions inside, as here.
case("avgpool2d_same", L.AveragePooling2D(3, strides=2, padding="same"), (7, 5, 2))
case("gmaxpool1d", L.GlobalMaxPooling1D(), (7, 3), make=ties)
case("gmaxpool2d", L.GlobalMaxPooling2D(keepdims=True), (3, 4, 3), make=ties)
case("gavgpool1d", L.GlobalAveragePooling1D(keepdims=True), (7, 3))
case("gavgpool2d", L.GlobalAveragePooling2D(), (3, 4, 3))
case("flatten", L.Flatten(), (2, 3, 2))
case("reshape", L.Reshape((3, -1)), (2, 3, 2))
case("identity", L.Identity(), (2, 3))
case("cropping1d", L.Cropping1D((2, 1)), (7, 3))
for act in ("relu", "relu6", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu",
            "softplus", "softsign", "exponential", "softmax"):
    case("act_" + act, L.Activation(act), (11,), make=ties)
case("relu", L.ReLU(), (9,), make=ties)
case("relu_max", L.ReLU(max_value=0.7, negative_slope=0.1), (9,))
case("relu_threshold", L.ReLU(threshold=0.5, negative_slope=0.25), (9,))
case("leaky_relu", L.LeakyReLU(), (9,), make=ties)
case("elu", L.ELU(alpha=0.5), (9,))
case("softmax", L.Softmax(), (4, 5))
case("add", L.Add(), (3, 4), (3, 4), (3, 4), call=lambda l, x: l(x))
case("multiply", L.Multiply(), (5,), (5,), (5,), call=lambda l, x: l(x))
case("concatenate", L.Concatenate(), (3, 2), (3, 4), call=lambda l, x: l(x))
case("concatenate_axis1", L.Concatenate(axis=1), (2, 3, 2), (1, 3, 2), call=lambda l, x: l(x))
case("batchnorm", L.BatchNormalization(), (4, 3), samples=5)
case("batchnorm_momentum", L.BatchNormalization(momentum=0.7, epsilon=1e-2, scale=False), (2, 3, 4))
frozen = L.BatchNormalization()
frozen.trainable = False
case("batchnorm_frozen", frozen, (4, 3))
case("layernorm", L.LayerNormalization(), (4, 7))
case("layernorm_bare", L.LayerNormalization(center=False, scale=False, epsilon=1e-5), (7,))
case("embedding", L.Embedding(7, 3), (6,), vocabulary=7)
case("attention", L.MultiHeadAttention(2, 3), (4, 5), call=lambda l, x: l(x[0], x[0]))
case("attention_causal", L.MultiHeadAttention(2, 4, value_dim=3), (5, 6),
     call=lambda l, x: l(x[0], x[0], use_causal_mask=True))
case("attention_cross", L.MultiHeadAttention(3, 2, output_shape=7, use_bias=False), (4, 5), (6, 3),
     (6, 4), call=lambda l, x: l(x[0], x[1], key=x[2]))


def as_numpy(tensor):
    return tensor.detach().cpu().numpy().astype("float32")


def write(file, name):
    layer, shapes, samples, make, vocabulary, call = CASES[name]
    dtype = "int32" if vocabulary else "float32"
    symbols = [keras.Input(shape, dtype=dtype) for shape in shapes]
    model = keras.Model(symbols, call(layer, symbols))
    for weight in layer.weights:
        value = uniform(*weight.shape)
        weight.assign(1 + 0.5 * value if "variance" in weight.name else value)
    before = [w.numpy().copy() for w in layer.weights]
    inputs = [rng.integers(0, vocabulary, (samples, *s)).astype("int32") if vocabulary
              else make(samples, *s) for s in shapes]
    tensors = [torch.tensor(x, requires_grad=not vocabulary) for x in inputs]
    output = model(tensors if len(tensors) > 1 else tensors[0], training=True)
    upstream = uniform(*output.shape)
    if output.requires_grad:
        output.backward(torch.tensor(upstream))

    group = file.create_group(name)
    metadata = saving_utils.model_metadata(model)["model_config"]
    text = json.dumps(metadata, default=json_utils.get_json_type)
    group.attrs["model"] = np.bytes_(text)
    for i, x in enumerate(inputs):
        group[f"input{i}"] = x
        if tensors[i].grad is not None:
            group[f"grad_input{i}"] = as_numpy(tensors[i].grad)
    group["output"] = as_numpy(output)
    group["grad_output"] = upstream
    for i, weight in enumerate(layer.weights):
        group[f"weight{i}"] = before[i]
        if weight.trainable and weight.value.grad is not None:
            group[f"grad_weight{i}"] = as_numpy(weight.value.grad)
        if not np.array_equal(before[i], weight.numpy()):
            group[f"after_weight{i}"] = weight.numpy()


with h5py.File(sys.argv[1], "w", libver="latest") as file:
    file.attrs["keras_version"] = np.bytes_(keras.__version__)
    for name in CASES:
        write(file, name)
print(len(CASES), "cases", os.path.getsize(sys.argv[1]), "bytes")
