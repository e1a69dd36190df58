"""Loads with Keras what mbrun wrote with --keras-int8, and compares it with what Keras makes of the same
weights by itself and with mbrun's predictions.

Usage: int8.py FIXTURES WRITTEN
FIXTURES holds NAME.h5 and NAME.ref.h5; WRITTEN the NAME.h5 made from them with --method nearest, and
NAME.out.h5, mbrun's predictions with int8 weights. Prints a line "ok NAME" or "not ok NAME" each."""
import glob
import os
import sys

from roundtrip import as_list, check, samples
import h5py
import keras
import numpy as np


def numbers(variable):
    return keras.ops.convert_to_numpy(variable)


def quantized_layers(model):
    return [layer for layer in model.layers if layer.dtype_policy.name.startswith("int8")]


# Keras adds 1e-7 to the largest magnitude: scales differ by so much, and a weight halfway between two
# codes may take the other.
def check_weights(expected, found):
    for a, b in zip(expected.weights, found.weights):
        x, y = numbers(a).astype("float64"), numbers(b).astype("float64")
        check(a.dtype == b.dtype and x.shape == y.shape, f"{a.path} is {b.dtype} {y.shape}")
        if a.dtype == "int8":
            check(np.abs(x - y).max() <= 1 and np.mean(x != y) < 0.001, f"codes of {a.path} differ")
        else:
            check(np.allclose(x, y, rtol=1e-4), f"{a.path} differs")


def close(a, b, share, what):
    error, largest = np.max(np.abs(a - b)), np.max(np.abs(a))
    check(error <= share * largest, f"{what} differ by {error:.3g} where the largest is {largest:.3g}")


# Codes are 8 bits, and so is in Keras and in mbrun, by rules of their own, what flows into a layer: half a
# step of 1/127 a layer, a few layers deep, is a few hundredths. Keras against Keras differs only by codes
# that were halfway.
def compare(fixtures, folder, name):
    found = keras.models.load_model(f"{folder}/{name}.h5")
    expected = keras.models.load_model(f"{fixtures}/{name}.h5")
    layers = quantized_layers(found)
    check(layers, "no layer is quantized")
    for layer in layers:
        expected.get_layer(layer.name).quantize("int8")
    check_weights(expected, found)
    x, _ = samples(f"{fixtures}/{name}.ref.h5", found)
    names = getattr(found, "output_names", None) or [found.layers[-1].name]
    with h5py.File(f"{fixtures}/{name}.ref.h5") as data, h5py.File(f"{folder}/{name}.out.h5") as out:
        first = int(data.attrs["first_batch"]) * int(data.attrs["batch"])
        for output, a, b in zip(names, as_list(expected(x)), as_list(found(x))):
            a, b = numbers(a), numbers(b)
            close(a, b, 0.02, f"Keras' own {output}")
            close(b, out[output][first : first + len(b)], 0.1, f"mbrun's {output}")


def main():
    fixtures, folder = sys.argv[1:]
    for path in sorted(glob.glob(f"{folder}/*.out.h5")):
        name = os.path.basename(path)[: -len(".out.h5")]
        try:
            compare(fixtures, folder, name)
            print(f"ok Keras computes with the int8 weights of {name}")
        except Exception as error:
            print(f"not ok Keras computes with the int8 weights of {name}")
            print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
