"""Writes tests/data/recurrent.h5, the model of the layout tests with recurrent layers: every cell, both
kinds of dropout, both directions; and recurrent_states.h5, that of layers which hand their states on,
and of convolutional ones; recurrent_kept.h5 and stateful.h5, of layers that keep theirs from batch to
batch; recurrent_steps.h5, of a convolutional model that each step goes through. Trained on anything.
Usage: KERAS_BACKEND=jax python make_recurrent.py OUT.h5 STATES.h5 KEPT.h5 STATEFUL.h5 STEPS.h5 (made with Keras 3.15.1)"""
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


def save(model, path):
    model.compile(
        keras.optimizers.Adam(1e-2, clipnorm=0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    model.save(path)


save(model, sys.argv[1])

x = L.Input((9, 4), name="x")
y, h, c = L.LSTM(6, return_sequences=True, return_state=True, dropout=0.2, name="encoder")(x)
y = L.LSTM(6, return_sequences=True, recurrent_dropout=0.2, name="decoder")(y, initial_state=[h, c])
_, *states = L.Bidirectional(L.GRU(3, return_state=True), name="both")(y)
z = L.Bidirectional(L.GRU(3, return_sequences=True), merge_mode=None, name="apart")(y, initial_state=states)
keys = dict(kernel_size=2, padding="same", return_sequences=True)
images = L.Reshape((3, 3, 2, 2), name="images")(x)
i, h, c = L.ConvLSTM2D(3, **keys, return_state=True, dropout=0.2, recurrent_dropout=0.3, name="images_encoder")(images)
i = L.ConvLSTM2D(3, **keys, go_backwards=True, name="images_decoder")(i, initial_state=[h, c])
joined = L.Concatenate(name="joined")([L.Flatten()(t) for t in (*z, *states, i, h)])
save(keras.Model(x, L.Dense(5, name="y")(joined), name="recurrent_states"), sys.argv[2])

# Of layers which keep theirs from batch to batch. The batch is one that the layout tests' replicas and
# micro-batches do not divide.
keeps = {"stateful": True, "return_sequences": True}
x = L.Input(batch_shape=(21, 9, 4), name="x")
y = L.LSTM(6, **keeps, dropout=0.2, recurrent_dropout=0.3, name="lstm")(x)
y = L.Bidirectional(L.GRU(5, **keeps), name="both")(y)
y, h = L.SimpleRNN(4, **keeps, return_state=True, activation="relu", go_backwards=True, name="simple")(y)
y = L.RNN([L.LSTMCell(4, name="first"), L.GRUCell(3, name="second")], stateful=True, name="stack")(y)
images = L.Reshape((3, 3, 2, 2), name="images")(x)
i = L.ConvLSTM2D(3, 2, padding="same", stateful=True, name="convolved")(images)
joined = L.Concatenate(name="joined")([y, h, L.Flatten()(i)])
save(keras.Model(x, L.Dense(5, name="y")(joined), name="recurrent_kept"), sys.argv[3])

# Of vectors, for the command line's tests.
x = L.Input(batch_shape=(8, 4), name="x")
y = L.GRU(3, stateful=True, name="gru")(L.Reshape((2, 2), name="steps")(x))
save(keras.Model(x, L.Dense(3, name="y")(y), name="stateful"), sys.argv[4])

x = L.Input((9, 4), name="x")
image = L.Input((3, 2, 2), name="image")
y = L.Conv2D(4, 2, padding="same", name="first")(image)
y = L.Add(name="sum")([y, L.BatchNormalization(name="normal")(L.Conv2D(4, 2, padding="same", name="second")(y))])
y = L.Concatenate(name="features")([L.GlobalAveragePooling2D(name="mean")(y), L.GlobalMaxPooling2D(name="largest")(y)])
head = keras.Sequential([L.Dense(6, "relu", name="hidden"), L.Dropout(0.2, name="drop")], name="head")
video = L.TimeDistributed(keras.Model(image, head(y), name="image_model"), name="steps")(L.Reshape((3, 3, 2, 2), name="images")(x))
y = L.Dense(5, name="y")(L.GRU(5, name="gru")(video))
save(keras.Model(x, y, name="recurrent_steps"), sys.argv[5])
