"""What the scripts beside it share: a model and its data are written, mbrun predicts and trains, and what it made is
read back. The scripts choose KERAS_BACKEND before they import this."""
import os
import subprocess

import h5py
import numpy as np

ROUNDING = 2.0**-24


def run(*command):
    """What it prints; ValueError with what it says of an error."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip() or f"{command} ends with {done.returncode}")
    return done.stdout


def listed(outputs):
    return outputs if isinstance(outputs, (list, tuple)) else [outputs]


def weights_of(model):
    return [np.array(w) for w in model.get_weights()]


class Files:
    """A model in a folder, its data, and what mbrun makes of them."""

    def __init__(self, mbrun, folder, model="m.h5"):
        self.mbrun, self.folder = mbrun, folder
        self.model, self.data, self.predicted = self.path(model), self.path("d.h5"), self.path("p.h5")

    def path(self, name):
        return f"{self.folder}/{name}"

    def write(self, model, x, y):
        """Anew: neither Keras nor h5py writes over a file that something else has open."""
        for old in (self.model, self.data, self.predicted):
            if os.path.exists(old):
                os.remove(old)
        model.save(self.model)
        with h5py.File(self.data, "w") as f:
            for tensor, values in zip(model.inputs, x):
                f[tensor.name] = values
            for name, values in zip(model.output_names, y):
                f[name] = values

    def predict(self, model):
        """A list of mbrun's outputs."""
        run(self.mbrun, "predict", self.model, "--data", self.data, "-o", self.predicted)
        with h5py.File(self.predicted) as f:
            return [f[name][()] for name in model.output_names]

    def training(self, steps, batch, name="r", *more):
        """The command that trains from the beginning into the run NAME."""
        return [self.mbrun, self.model, "--data", self.data, "--no-shuffle", "--steps", str(steps), "--batch", str(batch),
                "--quiet", "--restart", "--run", self.path(f"{name}.run"), *more]  # fmt: skip

    def final(self, name="r"):
        return self.path(f"{name}.run/final.h5")


def weights_in(path):
    """Of an HDF5 model, by their paths in Keras."""
    found = {}

    def take(name, item):
        if isinstance(item, h5py.Dataset):
            found["/".join(name.split("/")[1:])] = item[()]

    with h5py.File(path) as f:
        f["model_weights"].visititems(take)
    return found
