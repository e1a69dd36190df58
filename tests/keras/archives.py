"""Writes .keras and .weights.h5 files with Keras, and checks with Keras what mbrun made of them.

Usage: archives.py make FOLDER | check FOLDER | names
make: for each kind of model NAME.keras (trained for three steps), NAME.h5 (the same model as HDF5),
      NAME.other.weights.h5 (other weights), NAME.data.h5 (samples), NAME.expected.json (losses).
check: NAME.out.keras must predict the same bits as NAME.keras, have the same optimizer's state and fit
      on to the same weights; NAME.out.weights.h5 must load into the model; NAME.loss and NAME.other.loss
      hold mbrun's losses. Prints a line "ok Keras ..." or "not ok Keras ..." each.

mbrun's loss of a set is a mean of float32 losses of samples; two ways of summing n of them differ by at
most n eps times their mean of magnitudes, and each sample's loss follows from dot products of at most
WIDEST terms in each of DEPTH layers, so that losses agree within (n + WIDEST * DEPTH) eps, relative."""
import io
import json
import os
import sys
import zipfile

os.environ.setdefault("KERAS_BACKEND", "jax")
import h5py
import keras
import numpy as np

layers, SAMPLES, BATCH = keras.layers, 64, 16
WIDEST, DEPTH = 512, 8
TOLERANCE = (SAMPLES + WIDEST * DEPTH) * np.finfo(np.float32).eps


def mlp():
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dense(16, activation="relu"), layers.Dropout(0.0), layers.Dense(16),
         layers.ReLU(), layers.Dense(5, activation="softmax")], name="mlp")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model, (12,), "classes"


def cnn():
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    y = layers.Conv2D(8, 3, padding="same")(x)
    x = layers.Add()([x, y])
    x = layers.MaxPooling2D()(x)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.Flatten()(x)
    outputs = layers.Dense(5)(x)
    model = keras.Model(inputs, outputs, name="cnn")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True), loss, metrics=["accuracy"])
    return model, (12, 12, 3), "classes"


def nested():
    tower = keras.Sequential([keras.Input((6,)), layers.Dense(7, activation="tanh"), layers.Dense(6)], name="tower")
    inner = keras.Input((6,), name="inner_in")
    block = keras.Model(inner, layers.Dense(6, name="last")(tower(inner)), name="block")
    inputs = keras.Input((12,))
    x = layers.Dense(6, name="first")(inputs)
    shared = layers.Dense(6, activation="relu", name="both")
    x = shared(block(shared(x)))
    x = layers.LayerNormalization()(x)
    outputs = layers.Dense(1, name="second_first")(x)
    model = keras.Model(inputs, outputs, name="nested")
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model.compile(keras.optimizers.RMSprop(schedule, centered=True, momentum=0.1), "mse")
    return model, (12,), "number"


def attention():
    inputs = keras.Input((10,), dtype="int32")
    x = layers.Embedding(20, 16)(inputs)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        y = layers.MultiHeadAttention(2, 8, name=f"look_{_}")(y, y, use_causal_mask=True)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(5)(x), name="attention")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(0.002, weight_decay=0.01, amsgrad=True, clipnorm=1.0), loss)
    return model, (10,), "tokens"


def frozen():
    model = keras.Sequential([keras.Input((12,)), layers.Dense(9, name="kept"), layers.Dense(9, name="moved"),
                              layers.Dense(5, name="head")], name="frozen")
    model.get_layer("kept").trainable = False
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model, (12,), "classes"


def regression():
    model = keras.Sequential([keras.Input((12,)), layers.Dense(8, activation="gelu"), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.02), "mean_squared_error")
    return model, (12,), "numbers"


def scaled():
    model = keras.Sequential([keras.Input((12,)), layers.Dense(9, activation="relu"), layers.Dense(5)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), dynamic_growth_steps=2), loss)
    return model, (12,), "classes"


# Fewer where the others are not asked for, as in a usual run.
EVERY = int(os.environ.get("MB_KERAS_COUNT", "1")) >= 20
KINDS = {f.__name__: f for f in (mlp, cnn, nested, attention, frozen, regression, scaled)[:: 1 if EVERY else 3]}


def samples(shape, kind, seed):
    random = np.random.default_rng(seed)
    if kind == "tokens":
        return random.integers(0, 20, (SAMPLES, *shape)).astype("int32"), random.integers(0, 5, SAMPLES).astype("int32")
    x = random.normal(size=(SAMPLES, *shape)).astype("float32")
    if kind == "classes":
        return x, random.integers(0, 5, SAMPLES).astype("int32")
    return x, random.normal(size=(SAMPLES, 2 if kind == "numbers" else 1)).astype("float32")


def loss_of(model, x, y):
    result = model.evaluate(x, y, batch_size=BATCH, verbose=0)
    return float(result[0] if isinstance(result, list) else result)


def write_keras2_weights(model, path):
    """What Keras 2's save_weights makes of a model: its HDF5 file's model_weights as the root."""
    with h5py.File(model) as whole, h5py.File(path, "w") as weights:
        for key, value in whole["model_weights"].attrs.items():
            weights.attrs[key] = value
        for name in whole["model_weights"]:
            whole.copy(f"model_weights/{name}", weights)


def write_first_archive(archive, path):
    """The archive as Keras 2.13 and the first Keras 3 wrote it: another name for a model's layers, and no
    names of owners."""
    def rename(group):
        for name in list(group):
            if isinstance(group[name], h5py.Group):
                rename(group[name])
        group.attrs.pop("name", None)
        if "layers" in group:
            group.move("layers", "_layer_checkpoint_dependencies")

    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = io.BytesIO(old.read(name))
            if name.endswith(".h5"):
                with h5py.File(data, "r+") as weights:
                    rename(weights)
            new.writestr(name, data.getvalue())


def make(folder):
    for seed, (name, build) in enumerate(KINDS.items()):
        keras.utils.set_random_seed(seed)
        model, shape, kind = build()
        x, y = samples(shape, kind, seed)
        with h5py.File(f"{folder}/{name}.data.h5", "w") as data:
            data["x"], data["y"] = x, y
        for first in range(0, 3 * BATCH, BATCH):
            model.train_on_batch(x[first : first + BATCH], y[first : first + BATCH])
        model.save(f"{folder}/{name}.keras")
        model.save(f"{folder}/{name}.h5")
        expected = {"loss": loss_of(model, x, y)}
        other = build()[0]
        other.train_on_batch(x[:BATCH], y[:BATCH])
        other.save_weights(f"{folder}/{name}.other.weights.h5")
        write_keras2_weights(f"{folder}/{name}.h5", f"{folder}/{name}.keras2.h5")
        write_first_archive(f"{folder}/{name}.keras", f"{folder}/{name}.first.keras")
        expected["other"] = loss_of(other, x, y)
        with open(f"{folder}/{name}.expected.json", "w") as file:
            json.dump(expected, file)


def check(condition, text):
    if not condition:
        raise ValueError(text)


def same(a, b):
    return len(a) == len(b) and all(
        np.array_equal(keras.ops.convert_to_numpy(p), keras.ops.convert_to_numpy(q)) for p, q in zip(a, b))


def check_loss(folder, name, what, expected):
    with open(f"{folder}/{name}.{what}") as file:
        found = json.load(file)["loss"]
    check(abs(found - expected) <= TOLERANCE * abs(expected), f"{what} is {found}, Keras' is {expected}")


def check_archive(folder, name, data, path):
    import warnings

    reference = keras.models.load_model(f"{folder}/{name}.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = keras.models.load_model(path)
    check(same(reference.variables, written.variables), "weights differ")
    check(same(reference.optimizer.variables, written.optimizer.variables), "the optimizers' states differ")
    x, y = data
    a, b = reference.predict(x, verbose=0), written.predict(x, verbose=0)
    check(np.array_equal(a, b), "predictions differ")
    for model in (reference, written):
        model.train_on_batch(x[:BATCH], y[:BATCH])
    check(same(reference.variables, written.variables), "one more step leads elsewhere")


def check_weights(folder, name):
    reference = keras.models.load_model(f"{folder}/{name}.keras")
    fresh = KINDS[name]()[0]
    fresh.load_weights(f"{folder}/{name}.out.weights.h5")
    check(same(reference.variables, fresh.variables), "weights differ")


def check_all(folder):
    for name in KINDS:
        with h5py.File(f"{folder}/{name}.data.h5") as file:
            data = file["x"][()], file["y"][()]
        with open(f"{folder}/{name}.expected.json") as file:
            expected = json.load(file)
        parts = {
            "has the loss of": lambda: check_loss(folder, name, "loss", expected["loss"]),
            "has the loss of other weights in": lambda: check_loss(folder, name, "other.loss", expected["other"]),
            "goes on with the archive of": lambda: check_archive(folder, name, data, f"{folder}/{name}.out.keras"),
            "goes on with the archive made from HDF5 of": lambda: check_archive(
                folder, name, data, f"{folder}/{name}.h5.keras"),
            "loads the weights of": lambda: check_weights(folder, name),
        }
        for what, part in parts.items():
            try:
                part()
                print(f"ok Keras {what} {name}", flush=True)
            except Exception as error:
                print(f"not ok Keras {what} {name}", flush=True)
                print(f"{name}: {error!r}", file=sys.stderr, flush=True)


def trained(path):
    """What a run wrote with -o: Keras loads it with its optimizer's state and fits on."""
    model = keras.models.load_model(path)
    check(int(model.optimizer.iterations) == 5, f"{int(model.optimizer.iterations)} iterations")
    with h5py.File(path.replace("run.keras", "data.h5")) as file:
        loss = model.train_on_batch(file["x"][:BATCH], file["y"][:BATCH])
    check(np.isfinite(loss[0] if isinstance(loss, list) else loss), "the loss is not finite")


if __name__ == "__main__":
    if sys.argv[1] == "names":
        print(*KINDS)
    else:
        {"make": make, "check": check_all, "trained": trained}[sys.argv[1]](sys.argv[2])
