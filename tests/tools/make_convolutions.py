"""Writes tests/data/cnn_unet.h5 and cnn_mobile.h5, models of the layout tests: a small U-Net (an image goes down,
comes up by a transposed convolution and by up-sampling, and meets itself), and a block of MobileNetV2 with a
downsampling one behind it. Trained on noise.
Usage: KERAS_BACKEND=jax python make_convolutions.py FOLDER (made with Keras 3.15.1)"""
import sys

import keras
from keras import layers as L


def save(name, x, features):
    o = L.Dense(5, name="o")(L.GlobalAveragePooling2D(name="mean")(features))
    model = keras.Model(x, o, name=name)
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(f"{sys.argv[1]}/{name}.h5")


def unet():
    x = L.Input((8, 8, 2), name="x")
    top = L.Conv2D(4, 3, padding="same", activation="relu", name="top")(x)
    down = L.MaxPooling2D(name="down")(top)
    deep = L.SeparableConv2D(6, 3, padding="same", activation="gelu", name="deep")(down)
    up = L.Conv2DTranspose(4, 2, strides=2, activation="tanh", name="up")(deep)
    smooth = L.UpSampling2D(interpolation="bilinear", name="smooth")(deep)
    both = L.Concatenate(name="both")([top, up, smooth])
    save("cnn_unet", x, L.Conv2D(4, 3, padding="same", activation="relu", name="last")(both))


def expanded(x, width, name, **window):
    x = L.Conv2D(width, 1, use_bias=False, name=f"{name}_expand")(x)
    x = L.ReLU(6.0, name=f"{name}_expand_relu")(L.BatchNormalization(name=f"{name}_expand_norm")(x))
    x = L.DepthwiseConv2D(3, use_bias=False, name=f"{name}_depthwise", **window)(x)
    return L.ReLU(6.0, name=f"{name}_relu")(L.BatchNormalization(name=f"{name}_norm")(x))


def mobile():
    x = L.Input((8, 8, 2), name="x")
    first = L.Conv2D(4, 3, padding="same", name="first")(x)
    wide = expanded(first, 12, "block", padding="same")
    sum_ = L.Add(name="sum")([first, L.Conv2D(4, 1, use_bias=False, name="project")(wide)])
    small = expanded(L.ZeroPadding2D(((0, 1), (0, 1)), name="pad")(sum_), 12, "down", strides=2)
    save("cnn_mobile", x, L.AveragePooling2D(2, strides=1, padding="same", name="blur")(small))


keras.utils.set_random_seed(5)
unet()
mobile()
