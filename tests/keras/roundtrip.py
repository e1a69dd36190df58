"""Loads with Keras what mbrun wrote, and compares it with the model that it was made from.

Usage: roundtrip.py FIXTURES WRITTEN [NAME...]
FIXTURES holds NAME.h5 and NAME.ref.h5, WRITTEN the NAME.h5 that were made from them. Configuration and weights
must be the same, the model compiled alike, and one more step must work; NAME.keras.h5 holds moments in
Keras' own place, and they must be those of the fixture. The step is left to trained.py for each NAME, whose
compilation takes longer than all else. Prints a line "ok NAME" or "not ok NAME" each."""
import glob
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy as np


def samples(path, model):
    with h5py.File(path) as data:
        batch = int(data.attrs["batch"])
        first = int(data.attrs["first_batch"]) * batch
        take = lambda names, other: [
            data[n if n in data else other][first : first + batch] for n in names
        ]
        x = take([i.name for i in model.inputs], "x")
        y = take(getattr(model, "output_names", ["y"]), "y")
    return x if len(x) > 1 else x[0], y if len(y) > 1 else y[0]


def as_list(value):
    return value if isinstance(value, list) else [value]


def check(condition, text):
    if not condition:
        raise ValueError(text)


# One configuration and the same bits in its weights: the same predictions.
def check_model(reference, written):
    check(reference.get_config() == written.get_config(), "configurations differ")
    expected, found = reference.get_weights(), written.get_weights()
    check(len(expected) == len(found), f"{len(expected)} and {len(found)} weights")
    for variable, a, b in zip(reference.weights, expected, found):
        check(np.array_equal(a, b), f"{variable.path} differs")


def check_compiled(reference, written):
    check(written.optimizer is not None, "the model is not compiled")
    a, b = (json.dumps(m.optimizer.get_config(), default=str, sort_keys=True) for m in (reference, written))
    check(a == b, f"optimizers differ: {a} and {b}")


def check_moments(reference, written):
    expected, found = reference.optimizer.variables, written.optimizer.variables
    check(len(expected) == len(found), f"{len(expected)} and {len(found)} optimizer variables")
    for a, b in zip(expected, found):
        same = np.array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b))
        check(same, f"{a.path} differs from {b.path}")


def check_step(written, x, y):
    before = [np.array(w) for w in written.get_weights()]
    loss = as_list(written.train_on_batch(x, y))[0]
    check(np.isfinite(loss), f"the loss of one more step is {loss}")
    moved = any(not np.array_equal(a, b) for a, b in zip(before, written.get_weights()))
    check(moved, "one more step changed nothing")
    return loss


def check_h5py(path):
    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            item[()]
        for key in item.attrs:
            item.attrs[key]

    with h5py.File(path) as file:
        file.visititems(visit)
        for key in ("model_config", "training_config"):
            json.loads(file.attrs[key])


def compare(reference_path, written_path, samples_path, steps):
    check_h5py(written_path)
    reference = keras.models.load_model(reference_path)
    written = keras.models.load_model(written_path)
    check_model(reference, written)
    check_compiled(reference, written)
    with h5py.File(written_path) as file:
        has_moments = "optimizer_weights" in file
    if has_moments:
        check_moments(reference, written)
    elif steps:
        check_step(written, *samples(samples_path, reference))


def main():
    fixtures, folder = sys.argv[1:3]
    for path in sorted(glob.glob(f"{folder}/*.h5")):
        name = os.path.basename(path).split(".")[0]
        what = "finds the moments of" if path.endswith(".keras.h5") else "goes on with"
        try:
            compare(f"{fixtures}/{name}.h5", path, f"{fixtures}/{name}.ref.h5", name not in sys.argv[3:])
            print(f"ok Keras {what} {name}", flush=True)
        except Exception as error:
            print(f"not ok Keras {what} {name}", flush=True)
            print(f"{name}: {error!r}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
