"""Writes tests/data/cnn_norms.h5, the model of the layout tests with normalization over other axes than the last,
noise of every kind, and activations with weights. Trained on anything.
Usage: KERAS_BACKEND=jax python make_norms.py OUT.h5 (made with Keras 3.15.1)"""
import sys

import keras
from keras import layers as L
from keras import ops

keras.utils.set_random_seed(5)
x = L.Input((8, 8, 2), name="x")
y = L.Conv2D(6, 2, padding="same", activation="mish", name="conv")(x)
y = L.GroupNormalization(groups=3, name="group")(y)
y = L.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.Constant(0.2), name="prelu")(y)
z = L.SpatialDropout2D(0.2, name="spatial")(y)
y = L.Add(name="sum")([y, z])
y = L.LayerNormalization(axis=1, rms_scaling=True, name="rows")(y)
y = L.BatchNormalization(axis=1, name="batch")(y)
y = L.Dropout(0.2, noise_shape=(None, 1, 8, 1), name="columns")(y)
y = L.LayerNormalization(axis=[1, 3], name="layer")(y)
y = L.GaussianNoise(0.1, name="noise")(y)
y = L.UnitNormalization(axis=-2, name="unit")(y)
y = L.GaussianDropout(0.2, name="gaussian")(y)
y = ops.glu(y, axis=1)
y = L.RMSNormalization(axis=2, name="rms")(y)
y = L.AlphaDropout(0.1, noise_shape=(1, 4, 8, 6), name="alike")(y)
y = L.ActivityRegularization(l2=1e-3, name="activity")(y)
y = L.Softmax(axis=[1, 2], name="softmax")(y)
y = L.Dense(5, name="y")(L.Flatten(name="flat")(y))
model = keras.Model(x, y, name="norms")
model.compile(
    keras.optimizers.Adam(1e-2, clipnorm=0.5), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
)
model.save(sys.argv[1])
