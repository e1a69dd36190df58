"""Loads with Keras what mbrun trained: the same predictions as mbrun's, and one more step.

Usage: trained.py FIXTURES FOLDER
FOLDER holds NAME.run/final.h5 and NAME.out.h5, mbrun's predictions of it for the samples of
FIXTURES/NAME.ref.h5; NAME.moments.run/final.h5 was written with moments in Keras' place after STEPS steps,
which Keras repeats. Prints a line "ok NAME" or "not ok NAME" each."""
import glob
import os
import sys

import roundtrip
from roundtrip import as_list, check
import h5py
import keras
import numpy as np

STEPS = 3
# Two implementations differ by up to 5e-6 of the largest magnitude (tests/fixtures/README.md).
TOLERANCE = 2e-5


def close(expected, found, what):
    error = np.max(np.abs(expected - found))
    largest = np.max(np.abs(expected))
    check(error <= TOLERANCE * largest, f"{what} differ by {error:.3g} where the largest is {largest:.3g}")


def compare_predictions(fixtures, folder, name):
    model = keras.models.load_model(f"{folder}/{name}.run/final.h5")
    x, y = roundtrip.samples(f"{fixtures}/{name}.ref.h5", model)
    expected = as_list(model.predict_on_batch(x))
    names = getattr(model, "output_names", None) or [model.layers[-1].name]
    with h5py.File(f"{fixtures}/{name}.ref.h5") as data, h5py.File(f"{folder}/{name}.out.h5") as out:
        first = int(data.attrs["first_batch"]) * int(data.attrs["batch"])
        for output, value in zip(names, expected):
            close(np.asarray(value), out[output][first : first + len(value)], f"predictions of {output}")
    roundtrip.check_step(model, x, y)


# Keras does not train a model that it loaded with optimizer_weights; a fresh optimizer does.
def load_to_train(path):
    loaded = keras.models.load_model(path)
    model = keras.models.load_model(path, compile=False)
    model.compile(type(loaded.optimizer).from_config(loaded.optimizer.get_config()), loaded.loss)
    return model


def compare_moments(fixtures, folder, name):
    found = keras.models.load_model(f"{folder}/{name}.moments.run/final.h5")
    model = load_to_train(f"{fixtures}/{name}.h5")
    with h5py.File(f"{fixtures}/{name}.ref.h5") as data:
        batch = int(data.attrs["batch"])
        for step in range(STEPS):
            rows = slice(step * batch, (step + 1) * batch)
            model.train_on_batch(data["x"][rows], data["y"][rows])
    check(int(found.optimizer.iterations) == STEPS, f"iteration {int(found.optimizer.iterations)}")
    for a, b in zip(model.optimizer.variables, found.optimizer.variables):
        close(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), a.path)


def main():
    fixtures, folder = sys.argv[1:3]
    for path in sorted(glob.glob(f"{folder}/*.run/final.h5")):
        name = os.path.basename(os.path.dirname(path))[: -len(".run")]
        moments = name.endswith(".moments")
        name = name.split(".")[0]
        what = "finds the moments of a trained" if moments else "predicts the same with a trained"
        try:
            (compare_moments if moments else compare_predictions)(fixtures, folder, name)
            print(f"ok Keras {what} {name}", flush=True)
        except Exception as error:
            print(f"not ok Keras {what} {name}", flush=True)
            print(f"{name}: {error!r}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
