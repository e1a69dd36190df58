"""Prints what Keras' callbacks decide on random metrics: tests/data/callbacks.txt.

Usage: KERAS_BACKEND=jax python keras_callbacks.py > tests/data/callbacks.txt

A line each: the watch (stop, plateau or best), its options as mbrun takes them, then for each epoch
VALUE=DECISION. stop: k the weights are kept, s the run ends, - neither; best: b or -; plateau: the learning
rate. Values are float32, as in Keras' logs; many are equal or differ by about min_delta."""
import os
import random

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np

EPOCHS, CASES = 24, 30


class Model:
    """As much of a model as callbacks look at."""

    def __init__(self):
        self.optimizer = keras.optimizers.SGD(0.1)
        self.stop_training, self.weights = False, None

    def get_weights(self):
        self.weights = "kept"
        return self.weights

    def set_weights(self, weights):
        pass


def values(rng, delta):
    value = rng.uniform(0.5, 2)
    for _ in range(EPOCHS):
        value += rng.choice([0, 0, delta, -delta, 1.5 * delta, -1.5 * delta, rng.gauss(0, 0.2)])
        yield float(np.float32(value))


def stop(rng):
    delta, patience = rng.choice([0, 0.125, 0.1]), rng.randrange(4)
    start, mode = rng.choice([0, 0, 3]), rng.choice(["min", "max"])
    baseline = rng.choice([None, None, 1.0])
    text = f"m:mode={mode},min-delta={delta},patience={patience},start-from-epoch={start},restore-best"
    text += "" if baseline is None else f",baseline={baseline}"
    model = Model()
    callback = keras.callbacks.EarlyStopping(
        "m", min_delta=delta, patience=patience, mode=mode, baseline=baseline, restore_best_weights=True,
        start_from_epoch=start)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values(rng, delta or 0.125)):
        model.weights = None
        callback.on_epoch_end(epoch, {"m": value})
        yield text, value, "s" if model.stop_training else "k" if model.weights else "-"
        if model.stop_training:
            return


def plateau(rng):
    delta, patience, cooldown = rng.choice([0, 0.125, 1e-4]), rng.randrange(1, 4), rng.randrange(3)
    factor, low, mode = rng.choice([0.5, 0.1, 0.3]), rng.choice([0, 0.001, 0.02]), rng.choice(["min", "max"])
    text = f"m:mode={mode},min-delta={delta},patience={patience},cooldown={cooldown},factor={factor},min-lr={low}"
    model = Model()
    callback = keras.callbacks.ReduceLROnPlateau(
        "m", factor=factor, patience=patience, mode=mode, min_delta=delta, cooldown=cooldown, min_lr=low)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(values(rng, delta or 0.125)):
        callback.on_epoch_end(epoch, {"m": value})
        yield text, value, f"{float(np.float32(model.optimizer.learning_rate)):.9g}"


def best(rng):
    mode = rng.choice(["min", "max"])
    model, seen = Model(), None
    callback = keras.callbacks.ModelCheckpoint("unused.keras", monitor="m", mode=mode, save_best_only=True)
    callback.set_model(model)
    for epoch, value in enumerate(values(rng, 0.125)):
        if callback.monitor_op is None:
            callback._set_monitor_op()
        saves = callback._is_improvement(value, seen)
        seen = value if saves else seen
        yield f"m:mode={mode}", value, "b" if saves else "-"


for kind in (stop, plateau, best):
    for seed in range(CASES):
        lines = list(kind(random.Random(f"{kind.__name__} {seed}")))
        print(kind.__name__, lines[0][0], *(f"{value:.9g}={decision}" for _, value, decision in lines))
