"""The models of examples/plugin, trained by Keras.

    plugin.py train EXAMPLE MODEL FOLDER      writes FOLDER/MODEL.h5, its data, and what Keras makes of it
    plugin.py compare EXAMPLE MODEL FOLDER    Keras' losses and weights with those of FOLDER/MODEL.run
"""

import json
import sys

import h5py
import keras
import numpy as np

sys.path.insert(0, sys.argv[2])
import model as example  # noqa: E402

STEPS, BATCH = 8, 32


class Losses(keras.callbacks.Callback):
    """Of each batch by itself, where the logs hold means over the epoch so far."""

    def __init__(self):
        super().__init__()
        self.means = []

    def on_train_batch_end(self, batch, logs):
        self.means.append(logs["loss"])

    def each(self):
        sums = [0.0] + [mean * (i + 1) for i, mean in enumerate(self.means)]
        return [b - a for a, b in zip(sums, sums[1:])]


def train(name, folder):
    own = example.Swish2(name="own") if name == "model" else example.SoftClip(limit=2.0, name="own")
    example.make(f"{folder}/{name}.h5", own)
    model = keras.models.load_model(f"{folder}/{name}.h5")
    # Betas and scales of one hide a gradient that forgets them.
    rng = np.random.default_rng(3)
    for weight in model.weights:
        weight.assign(weight + rng.uniform(-0.3, 0.3, weight.shape))
    model.compile(keras.optimizers.SGD(0.05), example.Pinball(tau=0.3))
    model.save(f"{folder}/{name}.h5")
    x = rng.uniform(-1, 1, (STEPS * BATCH, 1)).astype("f4")
    y = np.sin(3 * x)
    with h5py.File(f"{folder}/{name}.data.h5", "w") as file:
        file["x"], file["y"] = x, y
    losses = Losses()
    model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=False, verbose=0, callbacks=[losses])
    model.save(f"{folder}/{name}.keras.h5")
    with open(f"{folder}/{name}.losses", "w") as file:
        json.dump(losses.each(), file)


def compare(name, folder):
    with open(f"{folder}/{name}.losses") as file:
        wanted = json.load(file)
    lines = [json.loads(line) for line in open(f"{folder}/{name}.run/metrics.jsonl")]
    found = [line["loss"] for line in lines]
    theirs = keras.models.load_model(f"{folder}/{name}.keras.h5")
    ours = keras.models.load_model(f"{folder}/{name}.run/final.h5")
    # Sums of at most 32 x 32 products of numbers around one in float32, a step's errors on top of the last's;
    # losses are differences of sums of up to STEPS means.
    bound = STEPS * 1024 * 2.0**-24
    losses = max(abs(a - b) for a, b in zip(found, wanted))
    print(f"losses {losses:.2g} apart, {bound:.2g} allowed")
    assert len(found) == len(wanted) == STEPS and losses <= bound
    assert max(wanted) - min(wanted) > 100 * bound
    for a, b in zip(ours.weights, theirs.weights):
        apart = np.abs(np.array(a) - np.array(b)).max()
        print(f"{a.path}: {apart:.2g} apart")
        assert apart <= bound


if __name__ == "__main__":
    {"train": train, "compare": compare}[sys.argv[1]](*sys.argv[3:5])
