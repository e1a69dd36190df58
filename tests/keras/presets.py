"""Models of `mbrun new` in Keras.

    presets.py data SEED MODEL...      writes samples and labels for each NAME.h5: NAME.data.h5
    presets.py compare FOLDER NAME...  of each NAME.h5 and of NAME.run/final.h5: Keras' predictions against
                                       mbrun's, NAME.start.h5 and NAME.end.h5, then a step of fit on the latter
"""

import sys

import h5py
import keras
import numpy as np

SAMPLES = 24


def write_data(path, seed):
    model = keras.models.load_model(path)
    rng = np.random.default_rng(seed)
    shape = (SAMPLES,) + model.input_shape[1:]
    with h5py.File(path.replace(".h5", ".data.h5"), "w") as file:
        file["x"] = rng.standard_normal(shape).astype("f4")
        file["y"] = rng.integers(0, model.output_shape[-1], (SAMPLES,)).astype("i4")


def bound(model):
    """Each of the L layers with weights errs by at most K eps of its sums of K products, whose terms the
    normalizations keep of the order of one; the errors add over the layers, on both sides."""
    kernels = [w.shape for w in model.weights if len(w.shape) > 1]
    longest = max(np.prod(shape[:-1]) for shape in kernels)
    return 2 * len(kernels) * longest * 2.0**-24


def predicts(model, x, out):
    with h5py.File(out) as file:
        found = file[list(file)[0]][:]
    wanted = model.predict_on_batch(x)
    error = np.abs(found - wanted).max() / max(1.0, np.abs(wanted).max())
    assert found.shape == wanted.shape and error <= bound(model), f"{error:.2g} apart, {bound(model):.2g} allowed"
    return f"predictions {error:.2g} apart, {bound(model):.2g} allowed"


def compare(name):
    with h5py.File(f"{name}.data.h5") as file:
        x, y = file["x"][:], file["y"][:]
    written = keras.models.load_model(f"{name}.h5")
    trained = keras.models.load_model(f"{name}.run/final.h5")
    assert written.get_config() == trained.get_config(), "the configurations differ"
    # One model has the functions that Keras compiles, for the weights of both.
    end = trained.get_weights()
    trained.set_weights(written.get_weights())
    start = predicts(trained, x, f"{name}.start.h5")
    trained.set_weights(end)
    predicts(trained, x, f"{name}.end.h5")
    loss = trained.train_on_batch(x, y)
    assert np.isfinite(loss if np.isscalar(loss) else loss[0]), f"the loss of one more step is {loss}"
    return start


def main():
    if sys.argv[1] == "data":
        for path in sys.argv[3:]:
            write_data(path, int(sys.argv[2]))
        return
    for name in sys.argv[3:]:
        try:
            print(f"ok {name}: {compare(f'{sys.argv[2]}/{name}')}", flush=True)
        except Exception as error:
            print(f"not ok {name}: {error!r}", flush=True)


if __name__ == "__main__":
    main()
