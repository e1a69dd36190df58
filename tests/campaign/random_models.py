"""Random functional models: the losses of a few steps in Keras against mbrun on one rank, and the
digests of mbrun's weights and moments over several layouts, one of them on the deferred device.

Layers and models are called more than once, tensors have several consumers on several stages,
outputs of nested models stay unused, layers are frozen. Run in a build folder after
`make mbrun tests/mbrun-deferred`, with a Python that has Keras and torch:
    python .../tests/campaign/random_models.py FOLDER FIRST_SEED END_SEED"""
import json
import os
import random
import subprocess
import sys

os.environ["KERAS_BACKEND"] = "torch"
import h5py
import keras
import numpy as np
from keras import layers as L

SAMPLES, BATCH, STEPS = 24, 8, 5
LAYOUTS = [(2, 2, "1f1b", "mbrun"), (3, 3, "gpipe", "mbrun"), (6, 3, "1f1b", "mbrun"),
           (5, 5, "1f1b", "mbrun"), (4, 4, "gpipe", "tests/mbrun-deferred")]
TOLERANCE = 1e-5  # of a loss, relative; 5e-7 is usual


def vectors(r, seed):
    width = 6
    inputs = [L.Input((r.choice([5, 8]),)) for _ in range(r.choice([1, 1, 2]))]
    dense, norm, batch_norm = L.Dense(width, r.choice(["relu", "tanh", "gelu"])), L.LayerNormalization(), L.BatchNormalization()
    inside = L.Input((width,))
    hidden = L.Dense(7, "silu")(inside)
    inner = keras.Model(inside, [L.Dense(width)(hidden) for _ in range(r.choice([1, 2]))], name=f"inner{seed}")
    pool = [L.Dense(width, "tanh")(x) for x in inputs] + [dense(L.Dense(width)(inputs[0]))]

    def own_dense(x):
        return L.Dense(width, r.choice(["relu", "sigmoid", "elu", None]),
                       kernel_regularizer=r.choice([None, keras.regularizers.L2(1e-3)]),
                       activity_regularizer=r.choice([None, None, keras.regularizers.L1(1e-3)]))(x)

    def first_of_inner(x):
        y = inner(x)
        return y[0] if isinstance(y, (list, tuple)) else y

    def frozen(x):
        layer = L.Dense(width)
        layer.trainable = False
        return layer(x)

    choices = [own_dense, dense, norm, batch_norm, first_of_inner, frozen, L.Dropout(0.0),
               lambda x: L.Add()([x, r.choice(pool), r.choice(pool)]),
               lambda x: L.Multiply()([x, r.choice(pool)]), lambda x: L.Add()([x, x]),
               lambda x: L.Dense(width)(L.Concatenate()([x, r.choice(pool), r.choice(inputs)]))]
    for _ in range(r.randint(3, 9)):
        pool.append(r.choice(choices)(r.choice(pool)))
    outputs = [L.Dense(3)(pool[-1])]
    if r.random() < 0.4:
        outputs.append(L.Dense(1)(r.choice(pool)))
    if r.random() < 0.3:
        outputs.append(L.Dense(2)(outputs[0]))
    return inputs, outputs


def sequences(r, seed):
    tokens = L.Input((10,), dtype="int32")
    embedding, attention = L.Embedding(11, 8), L.MultiHeadAttention(2, 4)
    x = embedding(tokens)
    if r.random() < 0.5:
        x = L.Add()([x, embedding(tokens)])
    for _ in range(r.randint(1, 3)):
        a = L.LayerNormalization()(x)
        shared = r.random() < 0.5
        a = attention(a, a, use_causal_mask=r.random() < 0.5) if shared else L.MultiHeadAttention(2, 4)(a, a)
        x = L.Add()([x, a])
        x = L.Add()([x, L.Dense(8)(L.Dense(12, "gelu")(x))])
        if r.random() < 0.3:
            x = L.Conv1D(8, 3, padding="same", activation="relu")(x)
    outputs = [L.Dense(3)(L.GlobalAveragePooling1D()(x))]
    if r.random() < 0.4:
        outputs.append(L.Dense(2)(L.GlobalMaxPooling1D()(embedding(tokens))))
    return [tokens], outputs


def images(r, seed):
    image = L.Input((8, 8, 2))
    conv, batch_norm = L.Conv2D(4, 3, padding="same"), L.BatchNormalization()
    x = conv(L.Conv2D(4, 1)(image))
    for _ in range(r.randint(1, 4)):
        layer = r.choice([batch_norm, conv, L.Activation("relu"),
                          L.Conv2D(4, 3, padding="same", activation="relu"),
                          L.MaxPooling2D(3, strides=1, padding="same"),
                          L.AveragePooling2D(2, strides=1, padding="same")])
        x = L.Add()([x, layer(x)]) if r.random() < 0.6 else layer(x)
    head = r.choice([L.Flatten(), L.GlobalAveragePooling2D(), L.GlobalMaxPooling2D()])
    return [image], [L.Dense(3)(head(x))]


def build(seed):
    r = random.Random(seed)
    inputs, outputs = r.choice([vectors, vectors, sequences, images])(r, seed)
    draw = np.random.default_rng(seed)
    xs = [draw.integers(0, 11, (SAMPLES,) + i.shape[1:]).astype("i4") if i.dtype == "int32" else
          draw.standard_normal((SAMPLES,) + i.shape[1:]).astype("f4") for i in inputs]
    classes = [o.shape[-1] == 3 for o in outputs]
    ys = [draw.integers(0, 3, SAMPLES).astype("i4") if c else
          draw.standard_normal((SAMPLES, o.shape[-1])).astype("f4") for c, o in zip(classes, outputs)]
    losses = [keras.losses.SparseCategoricalCrossentropy(from_logits=True) if c else "mean_squared_error"
              for c in classes]
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs if len(outputs) > 1 else outputs[0])
    # A large epsilon keeps Adam from turning the rounding of zero gradients into steps.
    optimizer = r.choice([lambda: keras.optimizers.SGD(0.05, momentum=0.9),
                          lambda: keras.optimizers.Adam(1e-2, epsilon=1e-3, global_clipnorm=1.0),
                          lambda: keras.optimizers.AdamW(1e-2, epsilon=1e-3, clipnorm=0.5, weight_decay=0.05),
                          lambda: keras.optimizers.RMSprop(1e-3, epsilon=1e-3)])()
    model.compile(optimizer, losses if len(losses) > 1 else losses[0])
    return model, xs, ys


def write(path, model, xs, ys):
    model.save(path + ".h5")
    with h5py.File(path + ".data.h5", "w") as file:
        for tensor, values in zip(model.inputs, xs):
            file[tensor._keras_history.operation.name if len(xs) > 1 else "x"] = values
        for name, values in zip(model.output_names, ys):
            file[name if len(ys) > 1 else "y"] = values


def train_in_keras(model, xs, ys):
    def cut(values, step):
        parts = [v[step % 3 * BATCH:step % 3 * BATCH + BATCH] for v in values]
        return parts if len(parts) > 1 else parts[0]
    return [float(np.ravel(model.train_on_batch(cut(xs, s), cut(ys, s)))[0]) for s in range(STEPS)]


def run(ranks, program, *args):
    env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
               OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_mpi_yield_when_idle="1", OMP_WAIT_POLICY="passive")
    command = ["mpirun", "-np", str(ranks)] if ranks > 1 else []
    try:
        done = subprocess.run(command + ["./" + program, *args], env=env, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        return 124, "no end within 120 s"
    return done.returncode, done.stdout + done.stderr


def check(path, model, xs, ys):
    """What is wrong with this model; nothing when all holds."""
    write(path, model, xs, ys)
    wanted = train_in_keras(model, xs, ys)
    common = [path + ".h5", "--data", path + ".data.h5", "--batch", str(BATCH), "--no-shuffle",
              "--steps", str(STEPS), "--restart", "--quiet"]
    code, text = run(1, "mbrun", *common, "--run", path + ".run")
    if code != 0:
        return [f"one rank: {text}"]
    lines = [json.loads(line) for line in open(path + ".run/metrics.jsonl")]
    apart = max(abs(line["loss"] - loss) / abs(loss) for line, loss in zip(lines, wanted))
    faults = [f"losses {apart:.1e} apart"] if apart > TOLERANCE or len(lines) != STEPS else []
    common += ["--replicas", "2", "--micro-batch", "3"]
    digests = []
    for ranks, stages, schedule, program in [(1, 1, "1f1b", "mbrun")] + LAYOUTS:
        device = ["--device", "deferred"] if "deferred" in program else []
        code, text = run(ranks, program, *common, *device, "--run", path + ".layout", "--stages",
                         str(stages), "--schedule", schedule)
        if code != 0 and "nodes that compute" in text:
            continue
        digests.append(run(1, "mbrun", "inspect", path + ".layout/final.h5", "--digest")[1])
        if code != 0 or digests[-1] != digests[0]:
            faults.append(f"{ranks} ranks, {stages} stages, {schedule}, {program}: {text or 'other bits'}")
    return faults


def main():
    folder, first, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    os.makedirs(folder, exist_ok=True)
    bad = 0
    for seed in range(first, end):
        keras.utils.set_random_seed(seed)
        faults = check(f"{folder}/{seed}", *build(seed))
        bad += bool(faults)
        print("not ok" if faults else "ok", seed, "; ".join(faults), flush=True)
    print(f"{end - first - bad} models hold, {bad} do not")
    sys.exit(bad > 0)


main()
