"""Random models with random metrics, what Keras' evaluate says of them, and what mbrun says.

Usage: metrics.py make SEED COUNT FOLDER
       metrics.py check FOLDER
make writes N.h5, N.data.h5 and N.json (what Keras says, and how far a value may be off). The models are
one dense layer whose kernel is the identity, so that predictions are the numbers of the data, on both
sides; some of these lie on thresholds. check holds N.1.json, N.2.json ... against them, which mbrun eval
--json wrote on so many ranks, and N.metrics.jsonl, of a run that learned nothing. Prints a line "ok NAME"
or "not ok NAME" each."""
import glob
import json
import math
import os
import sys

import h5py
import numpy as np

EPSILON = 2.0**-24  # rounding of one float32 operation


class Case:
    """One output: what is predicted (x), its labels (y), its loss, and metrics to choose from."""

    def __init__(self, rng):
        self.rng = rng
        self.samples = int(rng.integers(20, 61))
        self.columns = int(rng.integers(2, 7))
        self.steps = int(rng.integers(2, 5)) if rng.random() < 0.4 else None
        self.shape = (self.columns,) if self.steps is None else (self.steps, self.columns)

    def numbers(self, low, high):
        return self.rng.uniform(low, high, (self.samples, *self.shape)).astype("float32")

    def sixteenths(self):
        """Between 0 and 1, both among them; half of them on thresholds."""
        exact = self.rng.integers(0, 17, (self.samples, *self.shape)) / 16
        return np.where(self.rng.random(exact.shape) < 0.5, exact, self.numbers(0, 1)).astype("float32")

    def bits(self):
        return self.rng.integers(0, 2, (self.samples, *self.shape)).astype("float32")

    def classes(self):
        shape = self.shape[:-1] + (1,)
        return self.rng.integers(0, self.columns, (self.samples, *shape)).astype("int32")


# How far a value may be off, in EPSILON: Keras adds terms of up to `scale` in float32, at most as many one
# after the other as the data has rows and columns; each term errs by a few roundings, 16 with the
# logarithms. A mean of terms is then off by (terms + 16) EPSILON scale.
def mean_of(case, scale):
    rows = case.samples * (case.steps or 1)
    return (rows * case.columns + 16) * EPSILON * scale


# Counts are exact. What is made of them: a handful of divisions for each of n thresholds.
def counted(n=1):
    return (8 * n + 8) * EPSILON


def r2_bound(case):
    """squared_sum - sum * mean cancels: its error is that of squared_sum."""
    x, y = case.x.astype("float64"), case.y.astype("float64")
    squares, total = (y * y).sum(0), ((y - y.mean(0)) ** 2).sum(0)
    share = ((y - x) ** 2).sum(0) / total
    worst = ((case.samples + 16) * EPSILON * (squares / total) * (1 + share)).max()
    return 4 * float(worst)  # twice for the two sums, twice for the adjustment (n - 1)/(n - p - 1) < 2


def regression(case, keras):
    m, rng = keras.metrics, case.rng
    case.x, case.y, case.loss = case.numbers(0.1, 4), case.numbers(0.2, 4), "mse"
    if rng.random() < 0.3:  # some are equal
        case.y = np.where(rng.random(case.y.shape) < 0.3, case.x, case.y)
    largest = float(max(case.x.max(), case.y.max()))
    spread = float(min(case.x.std(-1).min(), case.y.std(-1).min())) + 1e-3
    logs = math.log1p(largest) ** 2
    found = [
        ("mse", mean_of(case, largest**2)),
        ("MAE", mean_of(case, largest)),
        ("mape", mean_of(case, 100 * largest / 0.2)),
        (m.MeanSquaredLogarithmicError(), mean_of(case, 4 * logs)),
        (m.RootMeanSquaredError(name="rmse"), mean_of(case, largest)),
        (m.CosineSimilarity(), mean_of(case, 1)),
        (m.LogCoshError(), mean_of(case, largest + 1)),
        (m.Poisson(), mean_of(case, largest * 4)),
        (m.Accuracy(name="same"), mean_of(case, 1)),
        (m.PearsonCorrelation(), mean_of(case, (largest / spread) ** 2)),
        (m.ConcordanceCorrelation(), mean_of(case, (largest / spread) ** 2)),
    ]
    if case.steps is None:
        found.append((m.R2Score(num_regressors=int(rng.integers(0, 4))), r2_bound(case)))
        found.append((m.R2Score(class_aggregation=None, name="r2_each"), r2_bound(case)))
        found.append((m.R2Score(class_aggregation="variance_weighted_average"), r2_bound(case)))
    return found


def hinges(case, keras):
    m = keras.metrics
    case.x, case.loss, case.y = case.numbers(-2, 2), "mae", case.bits()
    if case.rng.random() < 0.5:
        case.y = case.y * 2 - 1
    return [
        ("hinge", mean_of(case, 3)),
        (m.SquaredHinge(), mean_of(case, 9)),
        (m.CategoricalHinge(), mean_of(case, 3 * case.columns)),
    ]


def some_thresholds(rng):
    return [[0.25, 0.75], [0.75, 0.25, 0.25], [0, 0.5, 1.0], [0.5], [0.125, 0.25, 0.5, 0.9375]][
        rng.integers(0, 5)
    ]


def some_auc(case, keras, **more):
    rng, n = case.rng, int([200, 3, 17, 50][case.rng.integers(0, 4)])
    settings = dict(
        num_thresholds=n,
        curve=["ROC", "PR", "PRGAIN"][rng.integers(0, 3)],
        summation_method=["interpolation", "minoring", "majoring"][rng.integers(0, 3)],
        **more,
    )
    if rng.random() < 0.3:
        settings["thresholds"] = some_thresholds(rng)
    if case.steps is None and rng.random() < 0.5:
        settings["multi_label"] = True
    if rng.random() < 0.5:
        settings["label_weights"] = [0.5, 1.0, 2.0, 0.25, 4.0, 1.0][: case.columns]
    # Gains are 1 - (P / N) (FN / TP), up to P / N times all, and differences of these are taken.
    scale = case.samples * case.columns if settings["curve"] == "PRGAIN" else 4
    weights = mean_of(case, 1)  # of counts that label_weights make sums of
    return keras.metrics.AUC(**settings), scale * (counted(n) + weights)


def bits(case, keras):
    m, rng = keras.metrics, case.rng
    case.x, case.y, case.loss = case.sixteenths(), case.bits(), "bce"
    where = lambda: rng.integers(0, 17) / 16
    target = int(rng.integers(0, case.columns))
    loss = mean_of(case, 17)
    found = [
        ("accuracy", mean_of(case, 1)),
        some_auc(case, keras),
        some_auc(case, keras, name="area"),
        (m.BinaryAccuracy(threshold=0.3125, name="above"), mean_of(case, 1)),
        (m.BinaryCrossentropy(label_smoothing=0.25), loss),
        (m.KLDivergence(), loss * case.columns),
        (m.TruePositives(thresholds=some_thresholds(rng)), 0),
        (m.FalsePositives(), 0),
        (m.TrueNegatives(thresholds=0.25), 0),
        (m.FalseNegatives(thresholds=some_thresholds(rng)), 0),
        (m.Precision(thresholds=some_thresholds(rng)), counted()),
        (m.Recall(class_id=target, name="one"), counted()),
        (m.PrecisionAtRecall(where(), num_thresholds=int(rng.integers(1, 40))), counted()),
        (m.RecallAtPrecision(where(), class_id=target), counted()),
        (m.SensitivityAtSpecificity(where(), num_thresholds=17), counted()),
        (m.SpecificityAtSensitivity(where()), counted()),
        (m.BinaryIoU(threshold=0.625), counted()),
        (m.BinaryIoU(target_class_ids=[1], name="bi"), counted()),
    ]
    if case.steps is None:
        average = [None, "micro", "macro", "weighted"][rng.integers(0, 4)]
        found.append((m.F1Score(average=average, threshold=0.5), counted(case.columns)))
        found.append((m.FBetaScore(average=average, beta=2.5, threshold=0.25), counted(case.columns)))
    return found


def bit_logits(case, keras):
    m = keras.metrics
    case.x, case.y = case.numbers(-6, 6), case.bits()
    case.loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return [
        ("binary_accuracy", mean_of(case, 1)),
        (m.BinaryCrossentropy(from_logits=True, name="ce"), mean_of(case, 8)),
        some_auc(case, keras, from_logits=True),
        (m.BinaryAccuracy(threshold=0.0, name="sign"), mean_of(case, 1)),
    ]


def distributions(case, keras):
    m, rng = keras.metrics, case.rng
    logits = rng.random() < 0.5
    case.x = case.numbers(-5, 5) if logits else case.numbers(0.02, 1)
    case.y = np.eye(case.columns, dtype="float32")[case.classes()[..., 0]]
    case.loss = keras.losses.CategoricalCrossentropy(from_logits=logits)
    loss = mean_of(case, 17)
    smoothing = 0.125 if rng.random() < 0.5 else 0.0
    target = [int(c) for c in rng.permutation(case.columns)[:2]]
    found = [
        ("acc", mean_of(case, 1)),
        (m.CategoricalCrossentropy(from_logits=logits, label_smoothing=smoothing), loss),
        (m.CategoricalAccuracy(), mean_of(case, 1)),
        (m.TopKCategoricalAccuracy(k=int(rng.integers(1, case.columns + 2))), mean_of(case, 1)),
        (m.CategoricalHinge(name="margin"), mean_of(case, 11)),
        (m.OneHotMeanIoU(num_classes=case.columns), counted(case.columns)),
        (m.OneHotIoU(num_classes=case.columns, target_class_ids=target), counted(case.columns)),
        # Of equal numbers Keras' backends take different ones, so these stand where there are none.
        (m.Precision(top_k=1), counted()),
        (m.Precision(class_id=target[0], top_k=2, name="p_top"), counted()),
        (m.Recall(top_k=int(rng.integers(1, case.columns + 1))), counted()),
        (m.CosineSimilarity(name="angle"), mean_of(case, 1)),
        ("mse", mean_of(case, 36)),
    ]
    if case.steps is None:
        average = [None, "micro", "macro", "weighted"][rng.integers(0, 4)]
        found.append((m.F1Score(average=average), counted(case.columns)))
        found.append((m.FBetaScore(beta=0.5), counted(case.columns)))
    return found


def classes(case, keras):
    m, rng = keras.metrics, case.rng
    case.x, case.y = case.numbers(-5, 5), case.classes()
    case.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    ignored = 0 if rng.random() < 0.5 else None
    return [
        ("accuracy", mean_of(case, 1)),
        (m.SparseCategoricalAccuracy(name="right"), mean_of(case, 1)),
        (m.SparseCategoricalCrossentropy(from_logits=True, ignore_class=ignored), mean_of(case, 17)),
        (m.SparseTopKCategoricalAccuracy(k=2), mean_of(case, 1)),
        (m.MeanIoU(num_classes=case.columns, sparse_y_pred=False, ignore_class=ignored), counted(case.columns)),
        (m.IoU(num_classes=case.columns, target_class_ids=[1], sparse_y_pred=False), counted()),
        ("mae", mean_of(case, 11)),
        ("poisson" if case.x.min() > 0 else "mse", mean_of(case, 121)),
    ]


def identifiers(case, keras):
    m = keras.metrics
    case.y = case.classes()
    case.x = np.argsort(case.numbers(0, 1), -1).astype("float32")
    case.loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return [
        (m.SparseTopKCategoricalAccuracy(k=k, from_sorted_ids=True, name=f"among_{k}"), mean_of(case, 1))
        for k in (1, 2)
    ]


def values(case, keras):
    """Classes as numbers: one column of them."""
    m, rng, n = keras.metrics, case.rng, case.columns
    case.columns, case.shape = 1, case.shape[:-1] + (1,)
    case.x, case.y, case.loss = case.numbers(-0.9, n + 0.9), case.numbers(-0.9, n + 0.9), "mse"
    dtype = "float32" if rng.random() < 0.5 else None
    return [
        (m.MeanIoU(num_classes=n, dtype=dtype), counted(n)),
        (m.IoU(num_classes=n, target_class_ids=[0, n - 1], ignore_class=1, dtype=dtype), counted(n)),
        ("mean_absolute_error", mean_of(case, n + 2)),
    ]


FORMS = [regression, bits, classes, distributions, hinges, bit_logits, identifiers, values]


def chosen(case, keras, form, everything):
    found = form(case, keras)
    if everything:
        return found
    take = case.rng.permutation(len(found))[: int(case.rng.integers(1, 7))]
    return [found[i] for i in take]


def identity(keras, x, name):
    given = keras.Input(x.shape[1:], name=f"{name}_in")
    layer = keras.layers.Dense(x.shape[-1], use_bias=False, name=name)
    output = layer(given)
    layer.set_weights([np.eye(x.shape[-1], dtype="float32")])
    return given, output


def save_data(path, inputs, outputs):
    with h5py.File(path, "w") as file:
        for name, values_of in {**inputs, **outputs}.items():
            file[name] = values_of


def instances(pairs):
    return [metric for metric, _ in pairs]


def make(keras, seed, number, folder):
    rng = np.random.default_rng([seed, number])
    form, everything = FORMS[number % len(FORMS)], number < len(FORMS)
    cases = [Case(rng)]
    cases[0].pairs = chosen(cases[0], keras, form, everything)
    if number % 5 == 4:  # a second output, whose metrics bear the same names
        other = Case(rng)
        other.samples = cases[0].samples
        other.pairs = chosen(other, keras, FORMS[rng.integers(0, len(FORMS))], False)
        cases.append(other)
    names = ["first", "second"][: len(cases)]
    parts = [identity(keras, c.x, n) for c, n in zip(cases, names)]
    many = len(cases) > 1
    model = keras.Model([p[0] for p in parts], [p[1] for p in parts]) if many else keras.Model(*parts[0])
    weighted = [cases[0].pairs[0]] if rng.random() < 0.5 else []
    metrics = {n: instances(c.pairs) for n, c in zip(names, cases)} if many else instances(cases[0].pairs)
    again = [type(m).from_config(m.get_config()) if hasattr(m, "get_config") else m for m in instances(weighted)]
    model.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss={n: c.loss for n, c in zip(names, cases)} if many else cases[0].loss,
        metrics=metrics,
        weighted_metrics={"first": again} if many and again else again or None,
        run_eagerly=True,
    )
    model.save(os.path.join(folder, f"{number}.h5"))
    batch = int(rng.integers(7, 17))
    batch += cases[0].samples % batch == 0  # the last one is partial
    x = {f"{n}_in": c.x for n, c in zip(names, cases)}
    y = {n: c.y for n, c in zip(names, cases)}
    if many:
        said = model.evaluate(x, y, batch_size=batch, verbose=0, return_dict=True)
        save_data(os.path.join(folder, f"{number}.data.h5"), x, y)
    else:
        said = model.evaluate(cases[0].x, cases[0].y, batch_size=batch, verbose=0, return_dict=True)
        save_data(os.path.join(folder, f"{number}.data.h5"), {"x": cases[0].x}, {"y": cases[0].y})
    bounds = [bound for c in cases for _, bound in c.pairs] + [bound for _, bound in weighted]
    kept = list(model._compile_metrics.result())  # evaluate sorts them
    assert len(kept) == len(bounds), (kept, len(bounds))
    wanted = {k: [np.asarray(said[k], "float64").tolist(), b] for k, b in zip(kept, bounds)}
    with open(os.path.join(folder, f"{number}.json"), "w") as file:
        json.dump({"batch": batch, "form": form.__name__, "metrics": wanted}, file)


def make_all(seed, count, folder):
    import keras

    for number in range(count):
        make(keras, seed, number, folder)


def differs(found, wanted, bound):
    found, wanted = np.atleast_1d(np.asarray(found, "float64")), np.atleast_1d(wanted)
    if found.shape != wanted.shape:
        return True
    return not np.all(np.abs(found - wanted) <= bound + EPSILON * np.abs(wanted))


def digits(found):
    return {k: [f"{v:.9g}" for v in np.atleast_1d(np.asarray(values_of, "float64"))] for k, values_of in found.items()}


def trained_metrics(path):
    """Of the last step, in the order of the line; what is not a metric stands there too."""
    with open(path) as file:
        return json.loads([line for line in file if '"train"' in line][-1])


def problems(folder, number, wanted):
    path = lambda kind: os.path.join(folder, f"{number}.{kind}")
    said = []
    for ranks in (1, 2, 4):
        with open(path(f"{ranks}.json")) as file:
            said.append(json.load(file)["metrics"])
    if list(said[0]) != list(wanted):
        yield f"names {list(said[0])} where Keras has {list(wanted)}"
        return
    for name, (value, bound) in wanted.items():
        if differs(said[0][name], value, bound):
            yield f"{name} is {said[0][name]}, Keras {value}, bound {bound:.3g}"
    for ranks, other in zip((2, 4), said[1:]):
        if digits(other) != digits(said[0]):
            yield f"{ranks} ranks say {other}, one says {said[0]}"
    trained = trained_metrics(path("metrics.jsonl"))
    for name, (value, bound) in wanted.items():
        if name != "accuracy" and differs(trained[name], value, bound):
            yield f"trained: {name} is {trained[name]}, Keras {value}"


def check(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.h5"))):
        number = os.path.basename(path).split(".")[0]
        if path.endswith(".data.h5"):
            continue
        with open(os.path.join(folder, f"{number}.json")) as file:
            told = json.load(file)
        found = list(problems(folder, number, told["metrics"]))
        for problem in found:
            print(problem, file=sys.stderr)
        print(f"{'not ok' if found else 'ok'} model {number}, {told['form']}: {', '.join(told['metrics'])}")


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make_all(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        check(sys.argv[2])
