"""Models of `mbrun new` in Keras.

    presets.py data MODEL DATA SEED         samples and labels for the model
    presets.py compare MODEL DATA OUT       Keras' predictions against OUT of mbrun predict, then a step of fit
"""

import sys

import h5py
import keras
import numpy as np

SAMPLES = 24


def write_data(path, out, seed):
    model = keras.models.load_model(path)
    rng = np.random.default_rng(int(seed))
    shape = (SAMPLES,) + model.input_shape[1:]
    with h5py.File(out, "w") as file:
        file["x"] = rng.standard_normal(shape).astype("f4")
        file["y"] = rng.integers(0, model.output_shape[-1], (SAMPLES,)).astype("i4")


def bound(model):
    """Each of the L layers with weights errs by at most K eps of its sums of K products, whose terms the
    normalizations keep of the order of one; the errors add over the layers, on both sides."""
    kernels = [w.shape for w in model.weights if len(w.shape) > 1]
    longest = max(np.prod(shape[:-1]) for shape in kernels)
    return 2 * len(kernels) * longest * 2.0**-24


def compare(path, data, out):
    model = keras.models.load_model(path)
    with h5py.File(data) as file:
        x, y = file["x"][:], file["y"][:]
    with h5py.File(out) as file:
        found = file[list(file)[0]][:]
    wanted = model.predict(x, verbose=0)
    error = np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())
    print(f"{path}: {error:.2g} apart, {bound(model):.2g} allowed")
    assert found.shape == wanted.shape and error <= bound(model)
    history = model.fit(x, y, batch_size=8, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"][0])


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write_data(*sys.argv[2:5])
    else:
        compare(*sys.argv[2:5])
