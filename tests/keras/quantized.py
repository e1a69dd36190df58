"""Usage: quantized.py FIXTURES FOLDER MODEL...

FOLDER holds MODEL.FORMAT.h5, and MODEL.FORMAT.plain.h5 with the same numbers as float32. Of float formats
Keras must predict the same with both, bit for bit; files in formats with scales it must not load. Prints
"ok Keras ..." or "not ok Keras ..." for each format."""
import os
import sys
import traceback

os.environ.setdefault("KERAS_BACKEND", "torch")
import h5py
import keras
import numpy as np

fixtures, folder, *models = sys.argv[1:]


def samples(model, name):
    with h5py.File(f"{fixtures}/{name}.ref.h5") as data:
        x = [data[i.name if i.name in data else "x"][:4] for i in model.inputs]
    return x if len(x) > 1 else x[0]


def predictions(path, name):
    model = keras.saving.load_model(path, compile=False)
    outputs = model.predict_on_batch(samples(model, name))
    return [np.asarray(o) for o in (outputs if isinstance(outputs, list) else [outputs])]


def check_same(name, format):
    found = predictions(f"{folder}/{name}.{format}.h5", name)
    expected = predictions(f"{folder}/{name}.{format}.plain.h5", name)
    original = predictions(f"{fixtures}/{name}.h5", name)
    for a, b, c in zip(found, expected, original):
        assert np.array_equal(a, b), f"{name} in {format}: predictions differ"
        assert np.all(np.isfinite(a)) and not np.array_equal(a, c), f"{name}: nothing was rounded"


def check_refused(name, format):
    try:
        keras.saving.load_model(f"{folder}/{name}.{format}.h5", compile=False)
    except Exception as error:
        print(f"{name}.{format}: {type(error).__name__}: {str(error)[:120]}", file=sys.stderr)
        return
    raise AssertionError(f"{name} in {format} was loaded")


for format, check, text in [
    ("fp16", check_same, "predicts the same"),
    ("bf16", check_same, "predicts the same"),
    ("e3m4", check_same, "predicts the same"),
    ("rounded", check_same, "predicts the same"),
    ("int8", check_refused, "refuses to load it"),
    ("int4", check_refused, "refuses to load it"),
]:
    try:
        for name in models:
            check(name, format)
        print(f"ok Keras given {format} {text}")
    except Exception:
        traceback.print_exc()
        print(f"not ok Keras given {format} {text}")
