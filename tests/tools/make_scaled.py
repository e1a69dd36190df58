"""Writes tests/fixtures/scaled.h5 and scaled_warm.h5 with their .ref.h5: a model under the policy mixed_float16 and Keras' LossScaleOptimizer,
whose scale begins far too high, so that the first steps are left out, and grows until gradients overflow again.

    KERAS_BACKEND=tensorflow python make_scaled.py OUTDIR        (made with Keras 3.15.1, TensorFlow on the CPU)

Keras rounds the gradients of weights to float16, mbrun keeps them in float32: they must not be what overflows first. So
inputs are small and there are no biases: the gradients of activations are the largest by far.

scaled_warm is saved after a few steps: moments, iteration, scale and step counter must be restored."""
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import h5py
import keras
import numpy as np
from keras import layers as L

out, BATCH, STEPS, WARM = sys.argv[1], 16, 48, 11
keras.utils.set_random_seed(5)
keras.config.set_dtype_policy("mixed_float16")
i = L.Input((12,), name="x")
a = L.Dense(32, "tanh", use_bias=False, name="a")(i)
b = L.Dense(24, "tanh", use_bias=False, name="b")(a)
o = L.Dense(5, use_bias=False, name="o", dtype="float32")(b)
model = keras.Model(i, o, name="scaled")
model.compile(
    keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01, global_clipnorm=0.05), initial_scale=2.0**27,
                                        dynamic_growth_steps=5),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.save(f"{out}/scaled.h5")

rng = np.random.default_rng(7)
x = (0.1 * rng.standard_normal((BATCH * STEPS, 12))).astype("f4")
y = (x @ rng.standard_normal((12, 5))).argmax(1).astype("i4")
losses, scales, predictions = [], [], {}
for s in range(STEPS):
    part = slice(s * BATCH, (s + 1) * BATCH)
    if s in (0, WARM):
        predictions[s] = model.predict_on_batch(x[:BATCH]).astype("f4")
    if s == WARM:
        model.save(f"{out}/scaled_warm.h5")
    scales.append(float(model.optimizer.dynamic_scale) if model.optimizer.built else model.optimizer.initial_scale)
    losses.append(model.train_on_batch(x[part], y[part]))

for name, first in (("scaled", 0), ("scaled_warm", WARM)):
    with h5py.File(f"{out}/{name}.ref.h5", "w") as f:
        f.attrs["batch"], f.attrs["first_batch"] = BATCH, first
        f["x"], f["y"], f["pred0"] = x, y, predictions[first]
        f["loss"], f["loss_scale"] = np.array(losses[first:], "f8"), np.array(scales[first:], "f4")
        for w in model.weights:
            f[f"after/{w.path}"] = w.numpy()
print([int(np.log2(s)) for s in scales], int(model.optimizer.iterations))
