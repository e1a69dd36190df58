"""Writes tests/data/branches.h5, the model of the layout tests with the odd connections: a nested
model with an output that nobody uses, called twice; batch normalization called three times; a frozen
layer in front; a tensor added to itself; the input used again at the end. Trained on anything.
Usage: KERAS_BACKEND=torch python make_branches.py OUT.h5 (made with Keras 3.15.1)"""
import sys

import keras
from keras import layers as L

keras.utils.set_random_seed(3)
i = L.Input((12,), name="x")
c = L.Input((8,), name="inside")
hidden = L.Dense(9, "silu", name="hid")(c)
inner = keras.Model(c, [L.Dense(8, name="used")(hidden), L.Dense(8, name="unused")(hidden)], name="inner")
bn = L.BatchNormalization(name="bn")
frozen = L.Dense(8, name="frozen")
frozen.trainable = False
a = bn(frozen(i))
b = inner(a)[0]
b = bn(L.Add(name="twice")([b, b]))
d = L.Dense(8, "tanh", name="d", activity_regularizer=keras.regularizers.L2(1e-3))(
    L.Concatenate(name="cat")([b, i, a]))
e = bn(inner(L.Multiply(name="product")([d, a]))[0])
o = L.Dense(5, name="o")(L.Concatenate(name="all")([e, a, i]))
model = keras.Model(i, o, name="branches")
model.compile(keras.optimizers.Adam(1e-3, clipnorm=0.5),
              keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.save(sys.argv[1])
