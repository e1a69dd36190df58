"""Optimizers and schedules against Keras: at least 20 random configurations of each over 20 steps, and each
key by itself.

Usage: optimizers.py OPTIMIZE SCRATCH random|keys|schedules SEED COUNT
OPTIMIZE is tests/keras/optimize. Prints a line "ok NAME" or "not ok NAME" for each optimizer or schedule.

Both compute in float32, operation by operation, though in different orders where they sum. After n steps a
weight has been rounded twice a step, by each of the two: n 4 eps |w|. A step's own terms carry up to 16 roundings
relative to themselves on each side: 32 eps of what was moved. Ftrl makes the weight anew from its moments in
each step, of which some are (sqrt n - sqrt n') / lr w, divided by sqrt n / lr: another 16 roundings of w a step,
and a power that is taken through logarithms, whose roundings grow with |log x| < 32. ScheduleFreeAdamW makes the
weight anew from a mean that it takes out of the weight before, through eight operations on numbers of its size. Adam's family and Adafactor
take 1 - beta^t in float32, where it has lost all but 1 / t of its digits: powers of two libraries are 2 eps apart,
and the difference that much of (1 - beta^t), which at t = 1 is 1 - beta. Muon's iteration multiplies what
separates two matrices by up to its slope at zero, |a|, in each of its rounds, and its sums of up to 99 products err
by some eps sqrt(99) of the norm: 16 eps with what else is rounded."""
import json
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "jax")
import keras
import numpy as np
from keras import optimizers as O
from keras.optimizers import schedules as S

EPS = 2.0**-23
PATHS = ["tower/dense/kernel", "dense_1/kernel", "embedding/embeddings", "conv2d/kernel", "dense/bias", "scale"]
SHAPES = [(9, 6), (4, 11), (7, 5), (2, 3, 4, 5), (8,), ()]
COUNTS = [int(np.prod(s)) for s in SHAPES]

optimize, scratch, what = sys.argv[1:4]
seed, configs = int(sys.argv[4]), int(sys.argv[5])
STEPS = 20 if configs >= 20 else 7
rng = np.random.default_rng(seed)
uniform = lambda low, high: float(rng.uniform(low, high))
power = lambda low, high: float(10.0 ** rng.uniform(low, high))
coin = lambda: bool(rng.integers(2))
maybe = lambda value, otherwise=None: value if coin() else otherwise

RATES = {
    "ExponentialDecay": lambda: S.ExponentialDecay(power(-3, -1), int(rng.integers(1, 30)), uniform(0.3, 1.2), coin()),
    "InverseTimeDecay": lambda: S.InverseTimeDecay(power(-3, -1), int(rng.integers(1, 30)), uniform(0.1, 3), coin()),
    "PolynomialDecay": lambda: S.PolynomialDecay(
        power(-3, -1), int(rng.integers(3, 30)), power(-5, -3), uniform(0.5, 3), coin()
    ),
    "PiecewiseConstantDecay": lambda: S.PiecewiseConstantDecay(
        sorted(int(b) for b in rng.choice(STEPS, 3, False)), [power(-4, -1) for _ in range(4)]
    ),
    "CosineDecay": lambda: S.CosineDecay(
        power(-3, -2), int(rng.integers(3, 30)), uniform(0, 0.5), "c", *maybe((power(-2, -1), int(rng.integers(1, 9))), ())
    ),
    "CosineDecayRestarts": lambda: S.CosineDecayRestarts(
        power(-3, -1), int(rng.integers(2, 9)), maybe(1.0, uniform(1.1, 3)), uniform(0.5, 1.5), uniform(0, 0.5)
    ),
}


# Compiled, a step over a constant may round to the other side of a restart, or of one, where a power has no value.
def is_firm(schedule):
    if keras.backend.backend() != "jax":
        return True
    import jax

    compiled, steps = jax.jit(schedule), [np.int32(step) for step in range(STEPS)]
    return all(abs(float(compiled(step)) - float(schedule(step))) <= 64 * EPS * float(schedule(step)) for step in steps)


def rate():
    drawn = maybe(power(-3, -1.3)) or RATES[str(rng.choice(list(RATES)))]()
    return drawn if isinstance(drawn, float) or is_firm(drawn) else rate()


beta = lambda: 1 - power(-3, -0.3)
adam = lambda: {"beta_1": beta(), "beta_2": beta(), "epsilon": power(-8, -2)}
OWN = {
    "SGD": lambda: {"momentum": maybe(uniform(0.1, 0.99), 0.0), "nesterov": coin()},
    "RMSprop": lambda: {
        "rho": uniform(0.5, 0.99), "momentum": maybe(uniform(0.1, 0.9), 0.0), "epsilon": power(-4, -2), "centered": coin(),
    },
    "Adam": lambda: {**adam(), "amsgrad": coin()},
    "AdamW": lambda: {**adam(), "amsgrad": coin(), "weight_decay": power(-3, -0.5)},
    "Adagrad": lambda: {"initial_accumulator_value": power(-3, 0), "epsilon": power(-8, -2)},
    "Adadelta": lambda: {"rho": uniform(0.5, 0.99), "epsilon": power(-6, -2)},
    "Adamax": adam,
    "Nadam": adam,
    "Ftrl": lambda: {
        "learning_rate_power": maybe(-0.5, -uniform(0.2, 0.8)), "initial_accumulator_value": power(-2, 0),
        "l1_regularization_strength": maybe(power(-3, -1), 0.0), "l2_regularization_strength": maybe(power(-3, -1), 0.0),
        "l2_shrinkage_regularization_strength": maybe(power(-3, -1), 0.0), "beta": maybe(uniform(0, 2), 0.0),
    },
    "Lion": lambda: {"beta_1": uniform(0.5, 0.99), "beta_2": uniform(0.5, 0.999)},
    "Lamb": adam,
    "Adafactor": lambda: {
        "beta_2_decay": -uniform(0.3, 1.2), "epsilon_1": power(-30, -6), "epsilon_2": power(-4, -1),
        "clip_threshold": uniform(0.3, 2), "relative_step": coin(),
    },
    "Muon": lambda: {
        "adam_beta_1": beta(), "adam_beta_2": beta(), "adam_weight_decay": maybe(power(-3, -1)), "epsilon": power(-8, -3),
        "weight_decay": maybe(power(-3, -1)), "exclude_layers": maybe(["dense_[0-9]/", "no such"], []),
        "exclude_embeddings": coin(), "muon_a": uniform(3.2, 3.45), "muon_b": -uniform(4.7, 4.8), "muon_c": uniform(1.95, 2.05),
        "adam_lr_ratio": uniform(0.1, 2), "momentum": uniform(0.5, 0.99), "ns_steps": int(rng.integers(1, 6)),
        "nesterov": coin(), "rms_rate": maybe(uniform(0.1, 0.5)),
    },
    "ScheduleFreeAdamW": lambda: {**adam(), "warmup_steps": maybe(int(rng.integers(1, 30)), 0)},
}


def shared():
    clipping = maybe(str(rng.choice(["clipnorm", "global_clipnorm", "clipvalue"])))
    values = {clipping: power(-2, 0.5)} if clipping else {}
    if coin():
        values |= {"use_ema": True, "ema_momentum": uniform(0.3, 0.999), "ema_overwrite_frequency": maybe(int(rng.integers(1, 7)))}
    return values | {"gradient_accumulation_steps": maybe(int(rng.integers(2, 5)))}


def random_config(name):
    values = shared() | {"learning_rate": rate()} | OWN[name]()
    if name not in ("AdamW", "Muon"):
        values["weight_decay"] = maybe(power(-3, -0.5))
    return values


# A value of every key that is not its default, by itself, and what has to stand beside it to be seen.
SINGLE = {
    "weight_decay": 0.3, "clipnorm": 0.2, "global_clipnorm": 0.3, "clipvalue": 0.05, "gradient_accumulation_steps": 3,
    "use_ema": (True, {"ema_overwrite_frequency": 4}), "ema_momentum": (0.5, {"use_ema": True, "ema_overwrite_frequency": 4}),
    "ema_overwrite_frequency": (3, {"use_ema": True}), "learning_rate": 0.02,
    "momentum": 0.6, "nesterov": (None, {"momentum": 0.6}), "rho": 0.7, "epsilon": 0.03, "centered": True,
    "beta_1": 0.6, "beta_2": 0.7, "amsgrad": (True, {"beta_2": 0.5}), "initial_accumulator_value": 0.7,
    "learning_rate_power": -0.3, "l1_regularization_strength": 0.02, "l2_regularization_strength": 0.3,
    "l2_shrinkage_regularization_strength": 0.2, "beta": 0.5,
    "beta_2_decay": -0.4, "epsilon_1": 1e-3, "epsilon_2": 3.0, "clip_threshold": 0.3,
    "adam_beta_1": 0.6, "adam_beta_2": 0.7, "adam_weight_decay": 0.4, "exclude_layers": ["dense_1"],
    "exclude_embeddings": False, "muon_a": 3.0, "muon_b": -4.6, "muon_c": 1.9, "adam_lr_ratio": 0.3, "ns_steps": 3,
    "rms_rate": 0.4, "warmup_steps": 7,
}
# The name is no number; the factor is the training's (see optimizers_trained.py); what relative_step bounds is bounded
# by the same anyhow.
WITHOUT_EFFECT = {"name", "loss_scale_factor", "relative_step"}


def single_configs(cls):
    for key, default in cls().get_config().items():
        if key in WITHOUT_EFFECT:
            continue
        value, beside = SINGLE[key] if isinstance(SINGLE[key], tuple) else (SINGLE[key], {})
        if (cls.__name__, key) == ("Ftrl", "weight_decay"):
            value = 50.0  # what it makes the weight of hardly feels what the weight was
        beside = {k: v for k, v in beside.items() if k in cls().get_config()}
        yield key, beside, beside | {key: (not default) if value is None else value}


class Case:
    def __init__(self, cls, values):
        optimizer = cls(**values)
        self.optimizer = optimizer
        self.config = {"class_name": cls.__name__, "config": json.loads(json.dumps(
            keras.saving.serialize_keras_object(optimizer)["config"]))}
        self.weights = [rng.standard_normal(s).astype("f4") for s in SHAPES]
        # From 1e-3 to 1, so that every clipping and epsilon has something to do; some zeros for what divides.
        sizes = [10.0 ** rng.uniform(-3, 0, s) * (rng.random(s) > 0.03) for s in SHAPES]
        self.gradients = [[(z * rng.standard_normal(z.shape)).astype("f4") for z in sizes] for _ in range(STEPS)]

    def values(self):
        return np.concatenate([a.ravel() for a in self.weights + [g for step in self.gradients for g in step]]).astype("f4")

    def variables(self):
        variables = []
        for path, value in zip(PATHS, self.weights):
            variables.append(keras.Variable(value, name=path.split("/")[-1]))
            variables[-1]._path = path
        return variables

    # One compiled function for all steps where the backend is jax; others take them one by one.
    def run_keras(self):
        optimizer, variables = self.optimizer, self.variables()
        optimizer.build(variables)
        schedule = optimizer._learning_rate
        fixed = not isinstance(schedule, S.LearningRateSchedule)
        self.rates = [float(schedule if fixed else schedule(np.int32(step))) for step in range(STEPS)]
        self.after = []
        if keras.backend.backend() == "jax":
            import jax

            step = jax.jit(optimizer.stateless_apply)
            state = [v.value for v in optimizer.variables]
            weights = [v.value for v in variables]
        for gradients in self.gradients:
            if keras.backend.backend() == "jax":
                weights, state = step(state, gradients, weights)
                self.after.append([np.array(w) for w in weights])
            else:
                optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
                self.after.append([np.array(v) for v in variables])
        if keras.backend.backend() == "jax":
            for variable, value in zip(optimizer.variables + variables, list(state) + list(weights)):
                variable.assign(value)
        if optimizer.use_ema:
            optimizer.finalize_variable_values(variables)
        self.final = [np.array(v) for v in variables]

    def take(self, numbers):
        total, at = sum(COUNTS), 0
        split = lambda flat: [a.reshape(s) for a, s in zip(np.split(flat, np.cumsum(COUNTS)[:-1]), SHAPES)]
        self.own_rates, self.own = [], []
        for _ in range(STEPS):
            self.own_rates.append(float(numbers[at]))
            self.own.append(split(numbers[at + 1 : at + 1 + total]))
            at += 1 + total
        if self.optimizer.use_ema:
            self.own_final = split(numbers[at : at + total])
            return numbers[at + total :]
        self.own_final = self.own[-1]
        return numbers[at:]

    def roundings(self):
        """Of a step's terms, relative to themselves; and of a weight, in each step."""
        values, kind = self.optimizer.get_config(), type(self.optimizer).__name__
        of_step, of_weight = 32.0, 4.0
        betas = [values[k] for k in ("beta_1", "beta_2", "adam_beta_1", "adam_beta_2") if k in values]
        if kind not in ("Lion",):
            of_step += sum(4 / (1 - b) for b in betas)
        if kind == "Ftrl":
            of_weight += 16 + (0 if values["learning_rate_power"] == -0.5 else 64)
        if kind == "ScheduleFreeAdamW":
            of_weight += 8
        if kind == "RMSprop" and values["centered"]:
            of_step += 8 / (1 - values["rho"])
        return of_step, of_weight

    def slope(self):
        values = self.optimizer.get_config()
        return max(1.0, abs(values["muon_a"])) ** values["ns_steps"] * 16 if "muon_a" in values else 0.0

    def worst(self, found, wanted, other=None):
        """Largest distance in units of what is allowed."""
        of_step, of_weight = self.roundings()
        worst = 0.0
        for p, weight in enumerate(self.weights):
            before, moved, largest = weight, np.zeros(weight.shape), np.abs(weight)
            for step in range(len(wanted)):
                now = wanted[step][p].astype("f8")
                moved = moved + np.abs(now - before)
                largest = np.maximum(largest, np.abs(now))
                allowed = EPS * (of_weight * (step + 1) * largest + of_step * moved)
                allowed = allowed + EPS * self.slope() * np.max(moved, initial=0)
                own = np.max(np.abs(found[step][p] - now) / allowed, initial=0)
                worst = max(worst, own if np.isfinite(own) else np.inf)  # a NaN must not pass for near
                before = now
        return worst

    def disagreement(self):
        rates = np.max(np.abs(np.array(self.own_rates) - self.rates) / np.array(self.rates)) / (EPS * 64)
        weights = self.worst(self.own, self.after)
        final = self.worst(self.own + [self.own_final], self.after + [self.final])
        return max(rates, weights, final)


def run_all(cases):
    with open(f"{scratch}/cases.json", "w") as file:
        json.dump([{"config": c.config, "paths": PATHS, "shapes": SHAPES, "steps": STEPS} for c in cases], file)
    np.concatenate([c.values() for c in cases]).tofile(f"{scratch}/values")
    subprocess.run([optimize, f"{scratch}/cases.json", f"{scratch}/values", f"{scratch}/out"], check=True)
    numbers = np.fromfile(f"{scratch}/out", "f4")
    for case in cases:
        case.run_keras()
        numbers = case.take(numbers)


def report(name, bad):
    print(f"{'not ok' if bad else 'ok'} Keras {name}", flush=True)
    for line in bad:
        print(f"seed {seed}: {line}", file=sys.stderr, flush=True)


def check_random(name):
    cases = [Case(getattr(O, name), random_config(name)) for _ in range(configs)]
    run_all(cases)
    bad = [f"{name}: {c.disagreement():.3g} times what rounding explains with {c.config}" for c in cases if c.disagreement() > 1]
    report(f"takes the steps of {configs} random {name}", bad)


def check_keys(name):
    cls, bad = getattr(O, name), []
    configs = list(single_configs(cls))
    state, cases = rng.bit_generator.state, {}
    for _, beside, values in configs:
        for each in (beside, values):
            rng.bit_generator.state = state  # the same numbers for all
            cases.setdefault(str(each), Case(cls, each))
    run_all(list(cases.values()))
    for key, beside, values in configs:
        without, given = cases[str(beside)], cases[str(values)]
        if given.disagreement() > 1:
            bad.append(f"{name} with {key}: {given.disagreement():.3g} times what rounding explains")
        if not given.worst(without.own + [without.own_final], given.own + [given.own_final]) > 10:
            bad.append(f"{name}: {key} changes nothing")
    report(f"obeys each key of {name}", bad)


# The logarithm that counts restarts may fall on either side of a whole number: a step there is left out.
def at_restart(schedule, step):
    if not isinstance(schedule, S.CosineDecayRestarts):
        return False
    part, t = step / schedule.first_decay_steps, schedule._t_mul
    restarts = part if t == 1 else np.log(1 - part * (1 - t)) / np.log(t)
    return step > 0 and abs(restarts - round(restarts)) < 1e-5


def check_schedule(name):
    bad, cases = [], [Case(O.SGD, {"learning_rate": RATES[name]()}) for _ in range(configs)]
    run_all(cases)
    for case in cases:
        schedule = case.optimizer._learning_rate
        for step, (own, wanted) in enumerate(zip(case.own_rates, case.rates)):
            # A dozen roundings of terms up to the largest rate; a power's base is off by eps of the exponent's logarithm.
            if abs(own - wanted) > 32 * EPS * max(case.rates) and not at_restart(schedule, step):
                bad.append(f"{name} at {step}: {own} and {wanted} of {schedule.get_config()}")
    report(f"has the rates of {configs} random {name}", bad)


CHECKS = {"random": (check_random, OWN), "keys": (check_keys, OWN), "schedules": (check_schedule, RATES)}
check, names = CHECKS[what]
for name in names:
    check(name)
