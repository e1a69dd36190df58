"""Random valid graphs of 3 to 40 nodes over all layers, compiled, and samples for them."""
import keras
import numpy as np
from keras import layers as L
from keras import ops

from graph_nodes import LARGEST, ONE, RANDOM, TWO, Graph, elements, matching


def node_count(g):
    """Layers and operations between what is open and the inputs, which are among them."""
    seen, todo = set(), list(g.open) + list(g.inputs)
    while todo:
        operation = todo.pop()._keras_history.operation
        if id(operation) not in seen:
            seen.add(id(operation))
            for node in operation._inbound_nodes:
                todo += node.input_tensors
    return len(seen)


def grow(g):
    """One more layer or operation; nothing where what was drawn does not fit."""
    if len(g.open) > 1 and g.coin(3) or g.coin(8):
        a = g.take()
        b = None if a is None else matching(g, a)
        t = None if b is None else g.pick(*TWO)(g, a, b)
        sources = (a, b)
    else:
        ranks, function = g.pick(*(RANDOM if g.random and g.coin(4) else ONE))
        a = g.take(ranks)
        t = None if a is None else function(g, a)
        sources = (a,)
    if t is not None and None not in t.shape[1:] and len(t.shape) in (2, 3, 4, 5) and 0 < elements(t) <= LARGEST:
        g.give(t, *sources)


def masked(g):
    if g.coin():
        rows, ids = g.enter_ids()
        return L.Embedding(rows, g.integer(2, 5), mask_zero=True)(ids)
    ids = ops.cast(g.enter_ids()[1], "float32")
    return L.Masking(2.0)(ops.expand_dims(ids, -1))


def heed(g, t):
    """What takes a mask; behind an operation there is none. (No attention: Keras' gradients of it on torch are not
    those on jax.)"""
    t = g.pick(lambda: t, lambda: L.Dense(3, activation="tanh")(t), lambda: L.LayerNormalization(epsilon=0.05)(t))()
    if g.coin(3):
        return L.GlobalAveragePooling1D()(t) + 0.1
    layer = g.pick(L.SimpleRNN, L.LSTM, L.GRU)(g.integer(1, 5), return_sequences=g.coin())
    return (L.Bidirectional(layer) if g.coin(3) else layer)(t) * 1.1


def begin(g):
    for _ in range(g.pick(1, 1, 1, 2, 2, 3)):
        if g.coin(5):
            rows, ids = g.enter_ids()
            g.open.append(L.Embedding(rows, g.integer(2, 5))(ids))
        elif g.coin(5):
            g.open.append(heed(g, masked(g)))
        else:
            g.open.append(g.enter(g.pick(1, 2, 2, 3, 3, 4)))


def end(g):
    """Every tensor without a reader goes into one of the outputs."""
    flat = [t if len(t.shape) == 2 else L.Flatten()(t) for t in g.open]
    joined = L.Concatenate()(flat) if len(flat) > 1 else flat[0]
    outputs = [L.Dense(g.integer(2, 4), name=f"out_{i}")(joined) for i in range(g.pick(1, 1, 1, 2))]
    return outputs, [g.pick("mean_squared_error", "huber", "log_cosh", "classes") for _ in outputs]


def loss_of(name):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True) if name == "classes" else name


def optimizer(g):
    o = keras.optimizers
    return g.pick(lambda: o.SGD(0.1), lambda: o.SGD(0.05, momentum=0.9), lambda: o.Adam(0.01, epsilon=0.1),
                  lambda: o.SGD(0.1, clipnorm=g.number()), lambda: o.RMSprop(0.01, epsilon=0.1))()  # fmt: skip


def build(rng, random=False):
    g = Graph(rng, random)
    begin(g)
    wanted = g.integer(3, 36)
    for _ in range(200):
        if node_count(g) >= wanted:
            break
        grow(g)
    outputs, losses = end(g)
    model = keras.Model(g.inputs, outputs)
    model.compile(optimizer(g), [loss_of(l) for l in losses], run_eagerly=True)
    for w in model.trainable_weights:
        if len(w.shape) == 1:
            w.assign(np.asarray(w) + rng.uniform(0, 0.2, w.shape))
    return model, g, losses


def samples(rng, g, model, losses, count):
    x = [rng.integers(0, g.below[i.name], (count, *i.shape[1:])).astype("i4") if i.name in g.below
         else rng.normal(size=(count, *i.shape[1:])).astype("f4") for i in model.inputs]  # fmt: skip
    y = [rng.integers(0, o.shape[-1], (count,)).astype("i4") if l == "classes"
         else rng.normal(size=(count, o.shape[-1])).astype("f4") for o, l in zip(model.outputs, losses)]  # fmt: skip
    return x, y
