"""Makes tests/fixtures/lambdas.h5 and lambdas.ref.h5: TensorFlow's functions in a functional model, as Keras 2
writes them (TFOpLambda, SlicingOpLambda). Wants tensorflow 2.15, the last with Keras 2.

Usage: make_lambdas.py DIRECTORY"""
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import numpy as np
import tensorflow as tf
from tensorflow import keras

BATCH, STEPS, SAMPLES = 16, 10, 160
keras.utils.set_random_seed(12)
rng = np.random.default_rng(12)

x = keras.Input((6, 5), name="x")
a = keras.layers.Dense(8, activation="tanh", name="a")(x)
b = keras.layers.Dense(8, name="b")(x)
scores = tf.nn.softmax(tf.matmul(a, tf.transpose(b, [0, 2, 1])) / 8**0.5)
mixed = tf.matmul(scores, b) * 0.5 + a
gate = tf.sigmoid(tf.reduce_mean(mixed, axis=1, keepdims=True) - tf.reduce_max(b, axis=1, keepdims=True))
gated = mixed * gate
both = tf.concat([gated[:, 0], gated[:, -1], tf.reduce_logsumexp(gated, axis=1), gated[:, 1:3][..., 0]], axis=-1)
flat = tf.reshape(1.5 - tf.square(tf.stack([both, -both], axis=1)), [-1, 52])
curves = tf.nn.gelu(flat) + tf.abs(flat) ** 2.0 + tf.maximum(flat, 0.1) + tf.nn.leaky_relu(flat, alpha=0.3)
curves = tf.squeeze(tf.expand_dims(curves + tf.clip_by_value(flat, -1.0, 1.0), 1), 1)
y = keras.layers.Dense(4, name="classes")(tf.tile(curves, [1, 2]))
model = keras.Model(x, y, name="lambdas")
model.compile(
    optimizer=keras.optimizers.SGD(0.003),
    loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
model.save(f"{sys.argv[1]}/lambdas.h5")
samples = rng.normal(size=(SAMPLES, 6, 5)).astype("f4")
labels = rng.integers(0, 4, SAMPLES).astype("i4")
first = model.predict_on_batch(samples[:BATCH])
loss = [
    float(model.train_on_batch(samples[i : i + BATCH], labels[i : i + BATCH])) for i in range(0, STEPS * BATCH, BATCH)
]
with h5py.File(f"{sys.argv[1]}/lambdas.ref.h5", "w") as f:
    f.attrs["batch"], f.attrs["first_batch"] = BATCH, 0
    f["x"], f["y"], f["pred0"], f["loss"] = samples, labels, np.asarray(first), np.array(loss)
    for layer in model.layers:
        for w in layer.weights:
            f[f"after/{w.name}"] = w.numpy()
