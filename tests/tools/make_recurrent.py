"""Writes tests/data/recurrent.h5, the model of the layout tests with recurrent layers: every cell, both
kinds of dropout, both directions. Trained on anything.
Usage: KERAS_BACKEND=jax python make_recurrent.py OUT.h5 (made with Keras 3.15.1)"""
import sys

import keras
from keras import layers as L

keras.utils.set_random_seed(5)
model = keras.Sequential(
    [
        L.Input((9, 4), name="x"),
        L.LSTM(6, return_sequences=True, dropout=0.2, recurrent_dropout=0.3, name="lstm"),
        L.Bidirectional(L.GRU(5, return_sequences=True, dropout=0.2), name="both"),
        L.Bidirectional(L.SimpleRNN(4, return_sequences=True), merge_mode="mul", name="simple"),
        L.GRU(5, reset_after=False, go_backwards=True, return_sequences=True, name="gru"),
        L.LSTM(6, name="last"),
        L.Dense(5, name="y"),
    ],
    name="recurrent",
)
model.compile(
    keras.optimizers.Adam(1e-2, clipnorm=0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
model.save(sys.argv[1])
