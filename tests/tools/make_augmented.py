"""Writes tests/data/cnn_augmented.h5, a model of the layout tests: random augmentation, a Normalization with weights, layers
applied to each step of a sequence, one of which drops out, and sums over named axes. Trained on noise.
Usage: KERAS_BACKEND=jax python make_augmented.py FOLDER (made with Keras 3.15.1)"""
import sys

import keras
import numpy as np
from keras import layers as L

keras.utils.set_random_seed(6)
x = L.Input((8, 8, 2), name="x")
norm = L.Normalization(name="norm")
h = L.RandomFlip(name="flip")(norm(x))
norm.set_weights([np.array([0.1, -0.2]), np.array([0.4, 0.3]), np.array(9)])
h = L.RandomRotation(0.1, name="turn")(h)
h = L.RandomContrast((0.3, 0.3), value_range=(-2, 2), name="contrast")(h)
h = L.Conv2D(4, 3, padding="same", activation="tanh", name="conv")(h)
h = L.RandomTranslation(0.2, 0.2, fill_mode="nearest", name="shift")(h)
h = L.RandomZoom(0.2, fill_mode="wrap", name="zoom")(h)
h = L.RandomCrop(6, 6, name="crop")(h)
h = L.TimeDistributed(L.Conv1D(4, 3, activation="relu"), name="rows")(h)
h = L.TimeDistributed(L.Dropout(0.3), name="drop")(h)
h = L.EinsumDense("abcd,bde->abe", (6, 3), bias_axes="be", activation="tanh", name="sum")(h)
bright = L.RandomBrightness(0.2, value_range=(-1, 1), name="bright")
bright.value_range = (-1, 1)  # Keras cannot write the list that it made of this to HDF5
h = bright(L.Reshape((6, 3, 1), name="image")(h))
o = L.Dense(5, name="o")(L.Flatten(name="flat")(h))
model = keras.Model(x, o, name="cnn_augmented")
model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.save(f"{sys.argv[1]}/cnn_augmented.h5")
