"""Each key of each layer's config at a value that is not the default: mbrun gives what Keras gives, and that is not
what it gives otherwise; or mbrun refuses the model and names the key.

Usage: keys.py MBRUN SCRATCH KEYRING SEED [COUNT | CLASS... | CLASS.KEY...]
KEYRING is tests/data/keras.json, which has the keys of each class. COUNT: so many keys, drawn by SEED; otherwise
those named, or all. What each is made with is in key_values.py. A layer that draws random numbers is held against
mbrun itself, whose result must change. Prints a line "ok CLASS.KEY: ..." or "not ok CLASS.KEY: ..." for each, with
"# SKIP" where it is compared elsewhere, or wants TensorFlow."""
import json
import os
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from keras import layers as L
from keras import ops

import key_values as values
from compare import ROUNDING, Files, listed, run, weights_of

BATCH = 6
# The longest sums are those of gradients of kernels over BATCH samples of up to 150 places.
TERMS = 1024
DRAWN = {"rate", "dropout", "recurrent_dropout", "stddev", "noise_shape"}


def draws(name, key):
    return key in DRAWN or any(word in name for word in ("Dropout", "Noise", "Random"))


# ---- a model of one layer: behind Dense layers, or what key_values.py says


def inputs_of(spec):
    """Input tensors, what the layer is called with, and what draws each input's numbers."""
    kind = spec[0] if isinstance(spec, tuple) and isinstance(spec[0], str) else None
    if kind is None:
        shapes = spec if isinstance(spec, list) else [spec]
        inputs = [keras.Input(s, name=f"input_{i}") for i, s in enumerate(shapes)]
        behind = [L.Dense(s[-1], name=f"before_{i}")(t) for i, (s, t) in enumerate(zip(shapes, inputs))]
        return inputs, behind if isinstance(spec, list) else behind[0], normal
    i = keras.Input(spec[1], dtype="int32" if kind == "ids" else "float32", name="input_0")
    if kind == "ids":
        return [i], i, lambda rng, shape: rng.integers(0, spec[2], shape).astype("i4")
    return [i], L.Masking(0.0)(i) if kind == "masked" else i, normal if kind == "given" else steps


def normal(rng, shape):
    return rng.normal(size=shape).astype("f4")


def steps(rng, shape):
    return np.broadcast_to(rng.integers(0, 3, (*shape[:2], *[1] * (len(shape) - 2))) / 2, shape).astype("f4")


def layer_of(name, keys):
    """The layer NAME, and the one that stands in the model for it."""
    made = {k: value() if k in ("layer", "backward_layer", "cell", "cells") else value for k, value in keys.items() if k != "trainable"}
    inner = getattr(L, values.ATTRIBUTE.get(name, name))(**made, name="it")
    return inner, L.RNN(inner) if name.endswith(("Cell", "Cells")) else inner


def end(i, t):
    """An output of t, whose numbers may be integers."""
    return L.Dense(2, name=f"out_{i}")(ops.cast(t, "float32") if keras.backend.is_int_dtype(t.dtype) else t)


def build(name, keys, spec, call):
    """A model, and its samples. Set after the call, trainable reaches the layers within; in the constructor of some
    layers it does not."""
    keras.utils.set_random_seed(1)
    keras.backend.clear_session()
    inputs, t, draw = inputs_of(spec)
    layer, outer = layer_of(name, keys)
    y = call(outer, t)
    layer.trainable = keys.get("trainable", True)
    model = keras.Model(inputs, [end(i, part) for i, part in enumerate(listed(y))])
    rng = np.random.default_rng(7)
    model.set_weights([w if "seed" in v.path or "moving" in v.path else rng.normal(size=w.shape, scale=0.5).astype(w.dtype)
                       for v, w in zip(model.weights, model.get_weights())])  # fmt: skip
    model.compile(keras.optimizers.SGD(1.0), ["mse"] * len(model.outputs))
    return model, samples_of(model, draw), bool(layer.weights)


def samples_of(model, draw):
    rng = np.random.default_rng(3)
    x = [draw(rng, (BATCH, *i.shape[1:])) for i in model.inputs]
    return x, [normal(rng, shape) for shape in output_shapes(model, x)]


def output_shapes(model, x):
    """What the layers say; where that has holes, what they give. (RandomCrop gives another outside training.)"""
    shapes = [(BATCH, *o.shape[1:]) for o in model.outputs]
    if any(None in shape for shape in shapes):
        shapes = [p.shape for p in listed(model.predict_on_batch(x))]
    return shapes


# ---- outputs, and weights after a step of SGD with a rate of 1: less the first ones, the gradients


def by_keras(model, x, y):
    predicted = [keras.ops.convert_to_numpy(p) for p in listed(model.predict_on_batch(x))]
    model.train_on_batch(x, y)
    return predicted, weights_of(model)


def by_mbrun(files, model):
    """Of the model as it was written. Weights are in Keras' order; the model's own are lost."""
    predicted = files.predict(model)
    out = files.path("o.weights.h5")
    run(*files.training(1, BATCH, "r", "-o", out))
    model.load_weights(out)
    return predicted, weights_of(model)


def differ(a, b, share=ROUNDING * TERMS):
    """The largest difference of two results, where it is more than sums of so many terms can make; else None."""
    flat = [*zip(a[0], b[0]), *zip(a[1], b[1])]
    if len(a[0]) != len(b[0]) or len(a[1]) != len(b[1]) or any(p.shape != q.shape for p, q in flat):
        return "shapes"
    worst = max((float(np.max(np.abs(p.astype("f8") - q), initial=0)) / (1 + float(np.max(np.abs(q), initial=0))) for p, q in flat
                 if np.issubdtype(q.dtype, np.floating)), default=0.0)  # fmt: skip
    return None if worst <= share else f"{worst:.3g}"


def verdict(changes, unchanged, whose):
    """What is wrong, or None, and what was seen. CHANGES are more than rounding: torch does not give the same bits twice."""
    if changes and unchanged:
        return f"{whose} result changes, where it should not: {unchanged}", ""
    if not changes and not unchanged:
        return f"{whose} result does not change", ""
    return None, f"changes nothing: {unchanged}" if unchanged else "changes the result"


default_results = {}


def by_default(files, drawn, *made):
    """What mbrun, or Keras, makes of the layer without the value: once for all keys of the same layer."""
    case = repr((drawn, made))
    if case not in default_results:
        model, samples, _ = build(*made)
        files.write(model, *samples)
        default_results[case] = by_mbrun(files, model) if drawn else by_keras(model, *samples)
    return default_results[case]


def check(name, key, files):
    keys, *rest = values.made_for(name, key)
    drawn, unchanged = draws(name, key), values.same(name, key)
    model, samples, weighty = build(name, {**keys, **values.WITH.get((name, key), {}), key: values.value_of(name, key)}, *rest)
    if key == "trainable" and not weighty:
        unchanged = "it has no weights"
    files.write(model, *samples)
    expected = None if drawn else by_keras(model, *samples)
    try:
        found = by_mbrun(files, model)
    except ValueError as error:
        named = any(f"'{word}'" in str(error) for word in (name, key, *values.beside(name, key)))
        return (None, "refused by name") if named else (str(error), "")
    fault = None if drawn else differ(found, expected)
    if fault:
        return f"differs from Keras' by {fault}", ""
    before = by_default(files, drawn, name, keys, *rest)
    fault, seen = verdict(differ(found if drawn else expected, before), unchanged, "mbrun's" if drawn else "Keras'")
    return fault, seen if drawn else f"as Keras, {seen}"


# ---- which keys


def known_keys(keyring):
    with open(keyring) as f:
        classes = json.load(f)["layers"]
    return [(name, key) for name in sorted(set(values.MADE) & set(classes)) for key in sorted(classes[name])]


def skipped(name, key):
    """Why the key is not compared, or not with this backend."""
    backend = keras.backend.backend()
    if backend != "tensorflow" and {name, key} & values.NEEDS_TENSORFLOW:
        return "wants KERAS_BACKEND=tensorflow"
    return values.WRONG_IN.get((backend, name, key), values.elsewhere(name, key))


def chosen(pairs, seed, words):
    if len(words) == 1 and words[0].isdigit():
        pairs = [p for p in pairs if not skipped(*p)]
        return [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))[: int(words[0])]]
    return [(n, k) for n, k in pairs if not words or n in words or f"{n}.{k}" in words]


def report(name, key, files):
    why = skipped(name, key)
    if why:
        return f"ok {name}.{key} # SKIP {why}"
    try:
        fault, seen = check(name, key, files)
    except Exception as problem:  # noqa: BLE001: Keras raises all kinds
        fault, seen = f"{type(problem).__name__}: {problem}", ""
    text = f"{name}.{key}: {seen if fault is None else fault}"
    return ("ok " if fault is None else "not ok ") + " ".join(text.split())[:400]


def main():
    mbrun, scratch, keyring, seed = sys.argv[1:5]
    files = Files(mbrun, scratch, "m.keras")
    for name, key in chosen(known_keys(keyring), int(seed), sys.argv[5:]):
        print(report(name, key, files), flush=True)


if __name__ == "__main__":
    main()
