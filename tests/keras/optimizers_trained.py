"""Whole runs of mbrun under each of Keras' optimizers against Keras' fit, with averages of weights, accumulation,
loss scaling, a regularizer and a constraint among them; and what mbrun writes, loaded by Keras.

Usage: optimizers_trained.py MBRUN SCRATCH SEED COUNT
Prints two lines "ok NAME" or "not ok NAME" for each optimizer, or for some where COUNT is below 20: Keras predicts with what was trained and goes on
with it; Keras' optimizer takes the moments as they lie in the file and goes on as one that never stopped."""
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import h5py
import keras
import numpy as np
from keras import optimizers as O
from keras.src.legacy.saving import legacy_h5_format

mbrun, scratch = sys.argv[1:3]
seed, all_of_them = int(sys.argv[3]), int(sys.argv[4]) >= 20
rng = np.random.default_rng(seed)
STEPS, BATCH = 20, 8
# Two implementations differ by up to 5e-6 of the largest magnitude (tests/fixtures/README.md), of which optimizers
# that divide by the gradient's own size make up to twenty times as much.
TOLERANCE = 1e-4

# Keras' own list of what it deserializes lacks it.
CUSTOM = {"Lamb": O.Lamb}

AVERAGE = {"use_ema": True, "ema_momentum": 0.8}
OPTIMIZERS = [
    O.SGD(0.05, momentum=0.7, nesterov=True, loss_scale_factor=3.0, **AVERAGE),
    O.RMSprop(0.003, momentum=0.5, centered=True, epsilon=1e-3, gradient_accumulation_steps=3),
    O.Adam(0.01, amsgrad=True, gradient_accumulation_steps=3, **AVERAGE, ema_overwrite_frequency=2),
    O.AdamW(0.01, weight_decay=0.1, global_clipnorm=0.5, **AVERAGE),
    O.Adagrad(0.05, weight_decay=0.05, **AVERAGE),
    O.Adadelta(0.5, epsilon=1e-4, clipvalue=0.05),
    O.Adamax(0.01, gradient_accumulation_steps=2, clipnorm=0.1),
    O.Nadam(0.01, **AVERAGE, ema_overwrite_frequency=3),
    O.Ftrl(0.1, l1_regularization_strength=0.001, beta=0.3, gradient_accumulation_steps=2),
    O.Lion(0.003, weight_decay=0.1, loss_scale_factor=16.0),
    O.Lamb(0.01, weight_decay=0.1, **AVERAGE),
    O.Adafactor(keras.optimizers.schedules.CosineDecay(0.05, 30), gradient_accumulation_steps=3),
    O.Muon(0.01, exclude_layers=["dense_last"], **AVERAGE),
    O.ScheduleFreeAdamW(0.02, weight_decay=0.1, warmup_steps=5, gradient_accumulation_steps=2),
]


def make_model(optimizer):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(11, "tanh", kernel_regularizer=keras.regularizers.L2(0.01), name="dense_first"),
            keras.layers.Dense(5, "tanh", kernel_constraint=keras.constraints.MaxNorm(1.0), name="dense_middle"),
            keras.layers.Dense(3, name="dense_last"),
        ]
    )
    model.compile(optimizer, keras.losses.MeanSquaredError())
    return model


def make_data():
    x = rng.standard_normal((STEPS * BATCH, 6)).astype("f4")
    y = np.tanh(x @ rng.standard_normal((6, 3))).astype("f4")
    with h5py.File(f"{scratch}/data.h5", "w") as file:
        file["x"], file["y"] = x, y
    return x, y


def train(name, *options):
    folder = f"{scratch}/{name}{len(options)}.run"
    command = [mbrun, f"{scratch}/{name}.h5", "--data", f"{scratch}/data.h5", "--no-shuffle", "--batch", str(BATCH)]
    subprocess.run(command + ["--run", folder, "--restart", "--quiet", *options], check=True)
    return f"{folder}/final.h5"


def check(condition, text):
    if not condition:
        raise ValueError(text)


def close(expected, found, what):
    expected, found = np.asarray(expected), np.asarray(found)
    check(expected.shape == found.shape, f"{what} has shape {found.shape}, not {expected.shape}")
    error, largest = np.max(np.abs(expected - found), initial=0), np.max(np.abs(expected), initial=0)
    check(error <= TOLERANCE * largest, f"{what} differs by {error:.3g} where the largest is {largest:.3g}")


class Trained:
    """What fit left, in numpy: with jax an average that became a weight shares its memory, which the next call of
    the model gives away."""

    def __init__(self, model):
        self.optimizer = model.optimizer
        self.names = [w.path for w in model.weights]
        self.weights = [np.array(w) for w in model.weights]
        self.moment_names = [v.path for v in model.optimizer.variables]
        self.moments = [np.array(v) for v in model.optimizer.variables]

    def model(self):
        """A model that goes on from here."""
        optimizer = type(self.optimizer).from_config(self.optimizer.get_config())
        model = make_model(optimizer)
        optimizer.build(model.trainable_variables)
        model.set_weights(self.weights)
        optimizer.set_weights(self.moments)
        return model

    def check(self, other, what):
        for name, a, b in zip(self.names + self.moment_names, self.weights + self.moments, other.weights + other.moments):
            close(a, b, f"{name} {what}")


def check_trained(name, trained, x, y):
    found = keras.models.load_model(train(name), custom_objects=CUSTOM)
    for path, a, b in zip(trained.names, trained.weights, found.weights):
        close(a, b, path)
    close(trained.model().predict_on_batch(x), found.predict_on_batch(x), "a prediction")
    before = [np.array(w) for w in found.weights]
    for _ in range(4):
        found.train_on_batch(x, y)
    check(any(not np.array_equal(a, b) for a, b in zip(before, found.weights)), "four more steps changed nothing")


# load_model builds the optimizer for no variables, so that a model of an .h5 file with moments cannot be trained:
# here it is built for the model's own.
def load_with_moments(path):
    model = keras.models.load_model(path, compile=False)
    optimizer = keras.models.load_model(path, custom_objects=CUSTOM).optimizer
    optimizer = type(optimizer).from_config(optimizer.get_config())
    optimizer.build(model.trainable_variables)
    with h5py.File(path) as file:
        values = [np.asarray(v) for v in legacy_h5_format.load_optimizer_weights_from_hdf5_group(file)]
    check(len(values) == len(optimizer.variables), f"{len(values)} variables, not {len(optimizer.variables)}")
    optimizer.set_weights(values)
    model.compile(optimizer, keras.losses.MeanSquaredError())
    return model


def go_on(model, x, y):
    model.fit(x[: 4 * BATCH], y[: 4 * BATCH], batch_size=BATCH, shuffle=False, verbose=0)
    return Trained(model)


def check_moments(name, trained, x, y):
    found = load_with_moments(train(name, "--keras-optimizer"))
    trained.check(Trained(found), "in the file")
    go_on(trained.model(), x, y).check(go_on(found, x, y), "after four more steps")


def report(what, call, *arguments):
    try:
        call(*arguments)
        print(f"ok Keras {what}", flush=True)
    except Exception as error:
        print(f"not ok Keras {what}", flush=True)
        print(f"seed {seed}: {what}: {error!r}", file=sys.stderr, flush=True)


x, y = make_data()
for optimizer in OPTIMIZERS if all_of_them else OPTIMIZERS[2::5]:
    name = type(optimizer).__name__
    fresh = keras.saving.deserialize_keras_object(keras.optimizers.serialize(optimizer))
    make_model(fresh).save(f"{scratch}/{name}.h5")
    model = make_model(optimizer)
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    trained = Trained(model)
    report(f"goes on with what {name} trained", check_trained, name, trained, x, y)
    report(f"finds the moments of {name}", check_moments, name, trained, x, y)
