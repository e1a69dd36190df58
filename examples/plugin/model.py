"""Makes model.h5 and clipped.h5 with Keras: what the plugin's C does, as Keras users write it.

    python model.py FOLDER
"""

import sys

import keras
from keras import ops


@keras.saving.register_keras_serializable("my_package")
class Swish2(keras.layers.Layer):
    def build(self, shape):
        self.beta = self.add_weight(name="beta", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return x * ops.sigmoid(self.beta * x)


@keras.saving.register_keras_serializable("my_package")
class SoftClip(keras.layers.Layer):
    def __init__(self, limit=1.0, **kwargs):
        super().__init__(**kwargs)
        self.limit = limit

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(shape[-1],), initializer="ones")

    def call(self, x):
        return self.scale * x / ops.sqrt(self.limit + ops.square(x))

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


@keras.saving.register_keras_serializable("my_package")
class Pinball(keras.losses.Loss):
    def __init__(self, tau=0.5, **kwargs):
        super().__init__(**kwargs)
        self.tau = tau

    def call(self, y_true, y_pred):
        e = y_true - y_pred
        return ops.mean(ops.maximum(self.tau * e, (self.tau - 1) * e), axis=-1)

    def get_config(self):
        return {**super().get_config(), "tau": self.tau}


def make(path, own):
    keras.utils.set_random_seed(1)
    x = keras.Input((1,), name="x")
    h = Swish2(name="swish2")(keras.layers.Dense(32, name="first")(x))
    h = own(keras.layers.Dense(32, name="second")(h))
    model = keras.Model(x, keras.layers.Dense(1, name="y")(h))
    model.compile(keras.optimizers.Adam(0.01), Pinball(tau=0.4))
    model.save(path)


if __name__ == "__main__":
    make(sys.argv[1] + "/model.h5", Swish2(name="swish2_1"))
    make(sys.argv[1] + "/clipped.h5", SoftClip(limit=2.0, name="soft_clip"))
