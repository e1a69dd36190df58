"""Usage: many_layers.py make PATH | check PATH WRITTEN
Makes a model of so many layers that Keras splits the list of their names, or compares two such files."""
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy as np

# HDF5 takes attributes of up to 64 KiB; long names make few layers enough, which Keras builds faster than many.
LAYERS = 600


def make(path):
    x = keras.Input((2,))
    long = "a_layer_with_a_rather_long_name" * 4
    wide = [keras.layers.Activation("linear", name=f"{long}_{i}")(x) for i in range(LAYERS)]
    model = keras.Model(x, keras.layers.Dense(3, name="last")(keras.layers.Add()(wide)))
    model.compile("sgd", keras.losses.MeanSquaredError())
    model.save(path)


def check(path, written):
    with h5py.File(written) as file:
        if "layer_names" in file["model_weights"].attrs:
            sys.exit("layer_names is not split")
    a, b = (keras.models.load_model(p).get_weights() for p in (path, written))
    if not all(np.array_equal(x, y) for x, y in zip(a, b)) or len(a) != 2:
        sys.exit("weights differ")


if __name__ == "__main__":
    {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
