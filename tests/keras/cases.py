"""What operators.py compares: each case makes its inputs and an output of them, with shapes and settings drawn by a
seed. operator_cases.py and layer_cases.py have them."""
import keras
import numpy as np
from keras import layers


class Case:
    """Makes its own inputs: random tensors of a shape behind Dense layers."""

    def __init__(self, rng, inputs, dense):
        self.rng, self.inputs, self.dense = rng, inputs, dense

    def shape(self, rank=None):
        rank = rank or int(self.rng.integers(1, 4))
        return tuple(int(n) for n in self.rng.integers(2, 6, rank))

    def tensor(self, shape=None):
        shape = shape or self.shape()
        i = keras.Input(shape, name=f"input_{len(self.inputs)}")
        self.inputs.append(i)
        return layers.Dense(shape[-1], name=f"dense_{next(self.dense)}")(i)

    def given(self, shape):
        """An input as it is."""
        i = keras.Input(shape, name=f"input_{len(self.inputs)}")
        self.inputs.append(i)
        return i

    def ids(self, shape, below):
        """Whole numbers from 0 to below."""
        i = keras.Input(shape, name=f"input_{len(self.inputs)}", dtype="int32")
        BELOW[i.name] = below
        self.inputs.append(i)
        return i

    def pair(self):
        """Two tensors of one shape, or of shapes that broadcast."""
        shape = self.shape()
        other = tuple(1 if self.rng.integers(0, 3) == 0 else n for n in shape)
        a, b = (shape, other) if self.rng.integers(0, 2) else (other, shape)
        return self.tensor(a), self.tensor(b)

    def axis(self, t, new=0):
        axis = int(self.rng.integers(1, len(t.shape) + new))
        return axis if self.rng.integers(0, 2) else axis - len(t.shape) - new

    def axes(self, t):
        n = len(t.shape) - 1
        picked = self.rng.permutation(np.arange(1, n + 1))[: int(self.rng.integers(1, n + 1))]
        return tuple(int(a) for a in picked)

    def pick(self, *values):
        return values[int(self.rng.integers(0, len(values)))]

    def coin(self):
        return bool(self.rng.integers(0, 2))

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def number(self, low=0.5, high=2):
        return float(np.float32(self.rng.uniform(low, high)))


CASES = {}
BELOW = {}  # of inputs that are whole numbers


def case(function):
    CASES[function.__name__.strip("_")] = function
    return function
