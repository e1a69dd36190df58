"""Writes tests/data/optimizers.h5 and tests/data/schedules.h5: what Keras' optimizers and schedules do.

    KERAS_BACKEND=torch python make_optimizer_refs.py OUTDIR

optimizers.h5: /weights [2 parameters joined], /gradients [step, element], attribute `sizes` (elements of each
parameter); for each configuration a group with `after` [step, element], the optimizer's variables at the end by
name, and as attributes `config` (as training_config holds it) and `without` (a list of settings, each of which
leaves one rule out and must change the numbers).
schedules.h5: for each schedule a dataset of its values at `steps`, with its serialized form as attribute `config`."""
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy as np
from keras import optimizers as O
from keras.optimizers import schedules as S

out = sys.argv[1]
STEPS, SIZES = 10, (37, 5)
rng = np.random.default_rng(3)
weights = rng.standard_normal(sum(SIZES)).astype("f4")
gradients = rng.standard_normal((STEPS, sum(SIZES))).astype("f4")
# Magnitudes from 1e-6 to 1, large at first, so that epsilon, amsgrad and every clipping have work to do.
gradients *= (10.0 ** rng.uniform(-6, 0, sum(SIZES))).astype("f4")
gradients *= np.array([3, 1, 2, 0.3, 0.5, 0.1, 0.05, 0.2, 0.02, 0.1], "f4")[:, None]
gradients[:, 3] = 0

CASES = {
    "sgd": (O.SGD(0.1), []),
    "sgd_momentum": (O.SGD(0.05, momentum=0.9), [{"momentum": 0.0}]),
    "sgd_nesterov": (O.SGD(0.05, momentum=0.8, nesterov=True), [{"nesterov": False}, {"momentum": 0.0}]),
    "sgd_decay": (O.SGD(0.05, weight_decay=0.3), [{"weight_decay": None}]),
    "sgd_clipnorm": (O.SGD(0.1, clipnorm=0.4), [{"clipnorm": None}]),
    "sgd_global_clipnorm": (O.SGD(0.1, global_clipnorm=0.4), [{"global_clipnorm": None}]),
    "sgd_clipvalue": (O.SGD(0.1, clipvalue=0.05), [{"clipvalue": None}]),
    "sgd_clip_above": (O.SGD(0.1, global_clipnorm=1e6), []),
    "sgd_all": (O.SGD(0.1, momentum=0.7, nesterov=True, weight_decay=0.1, clipnorm=0.3),
                [{"weight_decay": None}, {"clipnorm": None}, {"nesterov": False}]),
    "rmsprop": (O.RMSprop(0.01), [{"rho": 0.8}]),
    "rmsprop_momentum": (O.RMSprop(0.01, rho=0.8, momentum=0.9), [{"momentum": 0.0}]),
    "rmsprop_centered": (O.RMSprop(0.01, rho=0.95, centered=True, epsilon=1e-4),
                         [{"centered": False}, {"epsilon": 1e-7}]),
    "rmsprop_all": (O.RMSprop(0.01, momentum=0.5, centered=True, epsilon=1e-3, weight_decay=0.2, clipvalue=0.1),
                    [{"momentum": 0.0}, {"centered": False}, {"epsilon": 1e-7}, {"weight_decay": None},
                     {"clipvalue": None}]),
    "adam": (O.Adam(0.01), [{"beta_1": 0.8}, {"beta_2": 0.99}]),
    "adam_amsgrad": (O.Adam(0.01, beta_2=0.8, amsgrad=True), [{"amsgrad": False}]),
    "adam_epsilon": (O.Adam(0.01, epsilon=1e-2), [{"epsilon": 1e-7}]),
    "adam_decay": (O.Adam(0.01, weight_decay=0.5), [{"weight_decay": None}]),
    "adam_clipnorm": (O.Adam(0.01, clipnorm=0.2), [{"clipnorm": None}]),
    "adam_schedule": (O.Adam(S.ExponentialDecay(0.01, 3, 0.5, staircase=True)), [{"learning_rate": 0.01}]),
    "adamw": (O.AdamW(0.01), [{"weight_decay": 0.0}]),
    "adamw_all": (O.AdamW(S.CosineDecay(0.0, 6, alpha=0.1, warmup_target=0.02, warmup_steps=3), weight_decay=0.3,
                          beta_1=0.8, beta_2=0.9, epsilon=1e-4, amsgrad=True, global_clipnorm=0.3),
                  [{"weight_decay": 0.0}, {"amsgrad": False}, {"epsilon": 1e-7}, {"global_clipnorm": None},
                   {"learning_rate": 0.02}, {"beta_1": 0.9}]),
}


def split(joined):
    return np.split(joined, np.cumsum(SIZES)[:-1])


def join(values):
    return np.concatenate([np.asarray(keras.ops.convert_to_numpy(v)).ravel() for v in values])


with h5py.File(f"{out}/optimizers.h5", "w") as file:
    file["weights"], file["gradients"] = weights, gradients
    file.attrs["sizes"] = np.array(SIZES, "i4")
    for name, (optimizer, without) in CASES.items():
        variables = [keras.Variable(v, name=f"v{i}") for i, v in enumerate(split(weights))]
        after = []
        for step in range(STEPS):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in split(gradients[step])], variables)
            after.append(join(variables))
        group = file.create_group(name)
        group["after"] = np.stack(after)
        config = {"class_name": optimizer.__class__.__name__, "config": optimizer.get_config()}
        group.attrs["config"], group.attrs["without"] = json.dumps(config), json.dumps(without)
        moments = {}
        for v in optimizer.variables:
            if v.name not in ("iteration", "learning_rate"):
                moments.setdefault(v.name.split("_", 1)[1], []).append(v)
        for moment, values in moments.items():
            group["slot_" + moment] = join(values)

steps = np.concatenate([np.arange(0, 130), [255, 256, 257, 299, 300, 301, 699, 700, 701, 999, 1000, 1001, 1499, 1500,
                        3099, 3100, 3101, 12345, 100000, 16777217]]).astype("i4")
SCHEDULES = {
    "exponential": S.ExponentialDecay(0.1, 100, 0.96),
    "exponential_staircase": S.ExponentialDecay(0.3, 7, 0.9, staircase=True),
    "inverse_time": S.InverseTimeDecay(0.1, 30, 0.5),
    "inverse_time_staircase": S.InverseTimeDecay(0.1, 30, 0.5, staircase=True),
    "polynomial": S.PolynomialDecay(0.1, 1000, 0.001),
    "polynomial_power": S.PolynomialDecay(0.1, 300, 0.01, power=0.5),
    "polynomial_cycle": S.PolynomialDecay(0.1, 50, 0.01, power=2.0, cycle=True),
    "piecewise": S.PiecewiseConstantDecay([10, 100, 1000], [1.0, 0.5, 0.1, 0.01]),
    "piecewise_one": S.PiecewiseConstantDecay([64], [0.3, 0.1]),
    "cosine": S.CosineDecay(0.1, 1000),
    "cosine_alpha": S.CosineDecay(0.1, 120, alpha=0.05),
    "cosine_warmup": S.CosineDecay(0.001, 100, alpha=0.1, warmup_target=0.1, warmup_steps=20),
    "cosine_warmup_none": S.CosineDecay(0.001, 100, warmup_target=0.1, warmup_steps=0),
    "cosine_warmup_ignored": S.CosineDecay(0.001, 100, warmup_steps=50),
    "restarts": S.CosineDecayRestarts(0.1, 100),
    "restarts_equal": S.CosineDecayRestarts(0.1, 50, t_mul=1.0, m_mul=0.9, alpha=0.01),
    "restarts_shrinking": S.CosineDecayRestarts(0.1, 10, t_mul=1.5, m_mul=0.5, alpha=0.1),
}
with h5py.File(f"{out}/schedules.h5", "w") as file:
    file["steps"] = steps
    for name, schedule in SCHEDULES.items():
        values = [float(schedule(keras.Variable(int(s), dtype="int32", trainable=False))) for s in steps]
        file[name] = np.array(values, "f4")
        file[name].attrs["config"] = json.dumps(S.serialize(schedule))
