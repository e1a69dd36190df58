"""Makes tests/fixtures/operators.h5 and operators.ref.h5: sums, products, constants, indices, parts, reductions, softmax
over another axis, products of matrices and merging layers that broadcast, trained by Keras on jax.

Usage: make_operators.py DIRECTORY"""
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
import h5py
import keras
import numpy as np
from keras import layers, ops

BATCH, STEPS, SAMPLES = 16, 15, 320
keras.utils.set_random_seed(11)
rng = np.random.default_rng(11)

x = keras.Input((6, 5), name="x")
centred = (x - np.array([0.1, -0.2, 0, 0.3, 0.05], "f4")) / np.linspace(0.8, 1.3, 6, dtype="f4")[:, None]
a = layers.Dense(8, activation="tanh", name="a")(centred)
b = layers.Dense(8, name="b")(x)
scores = ops.softmax(ops.matmul(a, ops.transpose(b, (0, 2, 1))) / 8**0.5, axis=-2)
mixed = ops.matmul(scores, b) * 0.5 + a
gate = ops.sigmoid(ops.mean(mixed, axis=1, keepdims=True) - ops.max(b, axis=1, keepdims=True))
gated = layers.Multiply(name="gated")([mixed, gate])
steps = ops.unstack(gated, axis=1)
both = ops.concatenate([gated[:, 0] + steps[2] * steps[4], gated[:, -1], ops.logsumexp(gated, axis=1)], axis=-1)
spread = layers.Maximum(name="spread")([ops.stack([both, -both], axis=1), layers.Dense(1, name="c")(x)[:, :2]])
flat = ops.reshape(1.5 - ops.square(spread), (-1, 48))
first, second, third = ops.split(flat, [7, 30], axis=1)
flat = ops.concatenate([third, first, second * 1.25], axis=1)
y = layers.Dense(4, name="classes")(layers.Average(name="halfway")([flat, ops.abs(flat), ops.exp(-ops.abs(flat))]))
model = keras.Model(x, y, name="operators")
model.compile(
    optimizer=keras.optimizers.Adam(0.003),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.save(f"{sys.argv[1]}/operators.h5")
samples = rng.normal(size=(SAMPLES, 6, 5)).astype("f4")
labels = rng.integers(0, 4, SAMPLES).astype("i4")
first = model.predict_on_batch(samples[:BATCH])
loss = [
    float(model.train_on_batch(samples[i : i + BATCH], labels[i : i + BATCH])[0])
    for i in range(0, STEPS * BATCH, BATCH)
]
with h5py.File(f"{sys.argv[1]}/operators.ref.h5", "w") as f:
    f.attrs["batch"], f.attrs["first_batch"] = BATCH, 0
    f["x"], f["y"], f["pred0"], f["loss"] = samples, labels, np.asarray(first), np.array(loss)
    for w in model.weights:
        f[f"after/{w.path}"] = np.asarray(w)
