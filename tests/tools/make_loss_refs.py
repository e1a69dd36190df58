"""Writes tests/data/losses.h5: the values, gradients and accuracies of Keras' losses.

    KERAS_BACKEND=torch python make_loss_refs.py OUTDIR

For each case a group with `x` (the model's output), `labels`, `gradient` (of the reduced loss), and as attributes
`loss`, `accuracy` (of the metric "accuracy"; absent where Keras has none) and `config` (as training_config holds it)."""
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy as np
import torch
from keras import losses as L
from keras.src.legacy.saving import serialization
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.trainers.compile_utils import get_metric

rng = np.random.default_rng(5)


def logits(*shape):
    return (3 * rng.standard_normal(shape)).astype("f4")


def softmax(*shape):
    e = np.exp(logits(*shape))
    return (e / e.sum(-1, keepdims=True)).astype("f4")


def near_certain(*shape):
    p = np.full(shape, 1e-9, "f4")
    p[..., 0] = 1
    p[0] = softmax(*shape[1:])
    return p


def classes(n, *shape):
    return rng.integers(0, n, shape).astype("i4")


def one_hot(n, *shape):
    return np.eye(n, dtype="f4")[classes(n, *shape)]


def bits(*shape):
    return rng.integers(0, 2, shape).astype("f4")


def probabilities(*shape):
    p = rng.uniform(0, 1, shape).astype("f4")
    p.ravel()[:2] = 0, 1
    return p


SCE, CE, BCE = L.SparseCategoricalCrossentropy, L.CategoricalCrossentropy, L.BinaryCrossentropy
CASES = {
    "sparse_logits": (SCE(from_logits=True), logits(6, 5), classes(5, 6)),
    "sparse_logits_large": (SCE(from_logits=True), 40 * logits(4, 3), classes(3, 4)),
    "sparse_logits_column": (SCE(from_logits=True), logits(6, 5), classes(5, 6, 1)),
    "sparse_logits_sequence": (SCE(from_logits=True), logits(3, 4, 7), classes(7, 3, 4)),
    "sparse_logits_sum": (SCE(from_logits=True, reduction="sum"), logits(6, 5), classes(5, 6)),
    "sparse_logits_ignore": (SCE(from_logits=True, reduction="sum", ignore_class=2), logits(9, 4), classes(4, 9)),
    "sparse_probability": (SCE(), softmax(6, 5), classes(5, 6)),
    "sparse_probability_clipped": (SCE(), near_certain(6, 5), classes(5, 6)),
    "sparse_probability_unscaled": (SCE(), 2 * softmax(6, 5), classes(5, 6)),
    "sparse_function": ("sparse_categorical_crossentropy", softmax(6, 5), classes(5, 6)),
    "categorical_logits": (CE(from_logits=True), logits(6, 5), one_hot(5, 6)),
    "categorical_logits_smoothed": (CE(from_logits=True, label_smoothing=0.1), logits(6, 5), one_hot(5, 6)),
    "categorical_probability": (CE(), softmax(2, 3, 5), one_hot(5, 2, 3)),
    "categorical_probability_smoothed": (CE(label_smoothing=0.2), near_certain(6, 5), one_hot(5, 6)),
    "binary_logits": (BCE(from_logits=True), logits(8, 1), bits(8, 1)),
    "binary_logits_smoothed": (BCE(from_logits=True, label_smoothing=0.1), 20 * logits(4, 3), bits(4, 3)),
    "binary_probability": (BCE(), probabilities(8, 1), bits(8, 1)),
    "binary_probability_smoothed": (BCE(label_smoothing=0.3), probabilities(4, 3), bits(4, 3)),
    "squared": ("mean_squared_error", logits(6, 3), logits(6, 3)),
    "squared_sum": (L.MeanSquaredError(reduction="sum"), logits(2, 3, 4), logits(2, 3, 4)),
    "absolute": ("mae", logits(6, 3), logits(6, 3)),
    "absolute_one": (L.MeanAbsoluteError(), logits(5, 1), logits(5, 1)),
}
with h5py.File(f"{sys.argv[1]}/losses.h5", "w") as file:
    for name, (loss, x, labels) in CASES.items():
        tensor = torch.tensor(x, requires_grad=True)
        if isinstance(loss, str):
            config, call = loss, LossFunctionWrapper(L.get(loss))
        else:
            config, call = serialization.serialize_keras_object(loss), loss
        value = call(torch.tensor(labels), tensor)
        value.backward()
        metric = get_metric("accuracy", labels, x)
        metric.update_state(labels, x)
        group = file.create_group(name)
        group["x"], group["labels"], group["gradient"] = x, labels, tensor.grad.numpy()
        group.attrs["loss"], group.attrs["accuracy"] = float(value.detach()), float(metric.result())
        group.attrs["config"] = json.dumps(config)
