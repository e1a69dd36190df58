"""Writes tests/data/masks.h5, the model of the layout tests with masks: an Embedding's, through layers that pass
it on, join it and take it, to the loss. Trained on ids and a class for each.
Usage: KERAS_BACKEND=jax python make_masks.py OUT.h5 (made with Keras 3.15.1)"""
import sys

import keras
from keras import layers as L

keras.utils.set_random_seed(6)
ids = L.Input((9,), dtype="int32", name="x")
x = L.Embedding(6, 6, mask_zero=True, name="table")(ids)
x = L.Add(name="sum")([x, L.MultiHeadAttention(2, 3, dropout=0.2, name="heads")(x, x)])
x = L.LayerNormalization(name="norm")(x)
x = L.BatchNormalization(name="batch")(x)
x = L.TimeDistributed(L.BatchNormalization(name="step"), name="steps")(x)
y = L.Bidirectional(L.LSTM(4, return_sequences=True, dropout=0.2), name="both")(x)
z = L.Attention(use_scale=True, name="attention")([L.Dense(6, name="query")(y), x])
g = L.GRU(6, return_sequences=True, name="gru")(y)
y = L.Multiply(name="product")([L.Maximum(name="largest")([g, z]), g])
i = L.TimeDistributed(L.Reshape((3, 2), name="image"), name="images")(y)
i = L.ConvLSTM1D(2, 2, padding="same", return_sequences=True, name="convolved")(i)
i = L.TimeDistributed(L.Flatten(name="flat"), name="rows")(i)
y = L.Concatenate(name="all")([y, i, L.AdditiveAttention(name="additive")([y, x])])
y = L.Dense(5, name="y")(y)
model = keras.Model(ids, y, name="masks")
model.compile(
    keras.optimizers.Adam(1e-2, clipnorm=0.5),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.save(sys.argv[1])
