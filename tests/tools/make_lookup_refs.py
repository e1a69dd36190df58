"""Writes tests/data/layers_lookup.h5: what Keras on TensorFlow computes for Hashing and IntegerLookup, in the form of
make_layer_refs.py, and what its StringLookup makes of the same numbers as texts.

    python3 tests/tools/make_lookup_refs.py tests/data/layers_lookup.h5 (made with Keras 2.15.0)
"""
import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import keras
import numpy as np
import tensorflow as tf
from keras import layers as L

rng = np.random.default_rng(20260119)
WORDS = [12, -3, 400, 7, 99]
IDF = [0.5, 1.5, 0.25, 1.0, 2.0]

CASES = [
    (L.Hashing(7), (3,)),
    (L.Hashing(7, mask_value=12), (3,)),
    (L.Hashing(1000, salt=[133, 137]), (3,)),
    (L.Hashing(5, salt=4, output_mode="one_hot", mask_value=7), (1,)),
    (L.Hashing(6, output_mode="multi_hot"), (4,)),
    (L.Hashing(3, output_mode="count"), (5,)),
    (L.IntegerLookup(vocabulary=WORDS), (3,)),
    (L.IntegerLookup(vocabulary=WORDS, mask_token=7777), (3,)),
    (L.IntegerLookup(vocabulary=[0, -1, -1, *WORDS], mask_token=0, num_oov_indices=2), (4,)),
    (L.IntegerLookup(vocabulary=WORDS, num_oov_indices=3), (2, 3)),
    (L.IntegerLookup(vocabulary=WORDS, output_mode="one_hot"), (1,)),
    (L.IntegerLookup(vocabulary=WORDS, output_mode="multi_hot", mask_token=7777), (4,)),
    (L.IntegerLookup(vocabulary=WORDS, output_mode="count", max_tokens=9, pad_to_max_tokens=True), (4,)),
    (L.IntegerLookup(vocabulary=WORDS, output_mode="tf_idf", idf_weights=IDF), (4,)),
    (L.IntegerLookup(vocabulary=[-1, *WORDS], output_mode="tf_idf", idf_weights=[0.75, *IDF]), (4,)),
    (L.IntegerLookup(vocabulary=WORDS, invert=True, mask_token=5), (4,)),
    (L.StringLookup(vocabulary=[str(w) for w in WORDS]), (3,)),
    (L.StringLookup(vocabulary=[str(w) for w in WORDS], num_oov_indices=4, mask_token=""), (3,)),
    (L.StringLookup(vocabulary=[str(w) for w in WORDS], output_mode="count", mask_token="7777"), (4,)),
]


def write(file, layer, shape):
    texts = isinstance(layer, L.StringLookup)
    places = getattr(layer, "invert", False)
    symbol = keras.Input(shape, dtype=tf.string if texts else tf.int64)
    model = keras.Model(symbol, layer(symbol))
    some = WORDS + [7777, 0, 5, -981, 2147483647]
    x = rng.integers(0, 8, (4, *shape)) if places else rng.choice(some, (4, *shape))
    output = model(tf.strings.as_string(tf.constant(x)) if texts else tf.constant(x)).numpy()
    group = file.create_group(layer.name)
    metadata = json.loads(model.to_json())
    if texts:
        metadata["config"]["layers"][0]["config"]["dtype"] = "int64"
    group.attrs["model"] = np.bytes_(json.dumps(metadata))
    group["input0"], group["output"] = x.astype("int32"), output.astype("int32" if output.dtype.kind == "i" else "f4")
    group["grad_output"] = np.zeros(output.shape, "f4")


with h5py.File(sys.argv[1], "w", libver="latest") as file:
    file.attrs["keras_version"] = np.bytes_(keras.__version__)
    for case in CASES:
        write(file, *case)
print(len(CASES), "cases", os.path.getsize(sys.argv[1]), "bytes")
