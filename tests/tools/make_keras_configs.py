"""Writes tests/data/keras.json: every class of Keras' layers, losses, metrics, optimizers and schedules with
the config that Keras gives an instance of few arguments. tests/tools/keras_table.c reads each of them.

    python tests/tools/make_keras_configs.py tests/data/keras.json

With the backend tensorflow, without which Keras does not make some of its preprocessing layers.
"""

import inspect
import json
import sys

import keras
from keras import layers, losses, metrics, optimizers

CELL = {"units": 4}
CONVOLUTION = {"filters": 4, "kernel_size": 3}
DEPTHWISE = {"kernel_size": 3}
RATE = {"rate": 0.25}
FACTOR = {"factor": 0.25}

# What cannot be left out.
ARGUMENTS = {
    "Activation": {"activation": "relu"},
    "AlphaDropout": RATE,
    "CategoryEncoding": {"num_tokens": 5},
    "CenterCrop": {"height": 4, "width": 4},
    "Dense": CELL,
    "Discretization": {"bin_boundaries": [0.0, 1.0]},
    "Dot": {"axes": 1},
    "Dropout": RATE,
    "EinsumDense": {"equation": "ab,bc->ac", "output_shape": 4},
    "Embedding": {"input_dim": 5, "output_dim": 4},
    "GaussianDropout": RATE,
    "GaussianNoise": {"stddev": 0.25},
    "GroupedQueryAttention": {"head_dim": 4, "num_query_heads": 4, "num_key_value_heads": 2},
    "HashedCrossing": {"num_bins": 5},
    "Hashing": {"num_bins": 5},
    "InputLayer": {"shape": (4,)},
    "IntegerLookup": {"vocabulary": [1, 2]},
    "MaxNumBoundingBoxes": {"max_number": 2},
    "MultiHeadAttention": {"num_heads": 2, "key_dim": 4},
    "Permute": {"dims": (2, 1)},
    "RandomCrop": {"height": 4, "width": 4},
    "RandomFlip": {},
    "RandomPosterization": {"factor": 4},
    "RandomShear": {"x_factor": 0.25},
    "RandomTranslation": {"height_factor": 0.25, "width_factor": 0.25},
    "RandomZoom": {"height_factor": 0.25},
    "RepeatVector": {"n": 2},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (2, 2)},
    "Resizing": {"height": 4, "width": 4},
    "ReversibleEmbedding": {"input_dim": 5, "output_dim": 4},
    "StringLookup": {"vocabulary": ["a", "b"]},
    "IoU": {"num_classes": 2, "target_class_ids": [1]},
    "MeanIoU": {"num_classes": 2},
    "OneHotIoU": {"num_classes": 2, "target_class_ids": [1]},
    "OneHotMeanIoU": {"num_classes": 2},
    "PrecisionAtRecall": {"recall": 0.5},
    "RecallAtPrecision": {"precision": 0.5},
    "SensitivityAtSpecificity": {"specificity": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5},
    "CosineDecay": {"initial_learning_rate": 0.5, "decay_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.5, "first_decay_steps": 10},
    "ExponentialDecay": {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [10], "values": [0.5, 0.25]},
    "PolynomialDecay": {"initial_learning_rate": 0.5, "decay_steps": 10},
}

# Around something else.
MADE = {
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(4)),
    "Lambda": lambda: layers.Lambda(abs),
    "LossScaleOptimizer": lambda: optimizers.LossScaleOptimizer(optimizers.SGD()),
    "MeanMetricWrapper": lambda: metrics.MeanMetricWrapper(keras.losses.mean_squared_error),
    "RNN": lambda: layers.RNN(layers.LSTMCell(4)),
    "SpectralNormalization": lambda: layers.SpectralNormalization(layers.Dense(4)),
    "StackedRNNCells": lambda: layers.StackedRNNCells([layers.LSTMCell(4), layers.LSTMCell(4)]),
    "TimeDistributed": lambda: layers.TimeDistributed(layers.Dense(4)),
    "Wrapper": lambda: layers.Wrapper(layers.Dense(4)),
}

# Base classes, and what carries a program of another framework: nothing that a file can describe.
LEFT_OUT = {"Layer", "Loss", "Metric", "Optimizer", "LearningRateSchedule", "FlaxLayer", "JaxLayer", "Pipeline",
            "TFSMLayer", "TorchModuleWrapper", "OptimizerMap", "MultiOptimizer", "Wrapper", "InputSpec"}


def arguments(name, of):
    if issubclass(of, optimizers.Optimizer):
        return {"use_ema": True, "loss_scale_factor": 2.0}
    if name in ARGUMENTS:
        return ARGUMENTS[name]
    rank = next((int(d) for d in "123" if f"{d}D" in name), 0)
    if name.startswith("Adaptive"):
        return {"output_size": (2,) * rank}
    if "ConvLSTM" in name or "SeparableConv" in name or name.startswith("Conv"):
        return CONVOLUTION
    if name.startswith("DepthwiseConv"):
        return DEPTHWISE
    if name.startswith(("SpatialDropout",)):
        return RATE
    if name.startswith("Random"):
        return FACTOR
    if name.endswith(("Cell", "RNN", "GRU", "LSTM")):
        return CELL
    if "Pooling" in name and "Global" not in name:
        return {"pool_size": 2}
    return {}


def instance(name, of):
    return MADE[name]() if name in MADE else of(**arguments(name, of))


def classes(module):
    """By the name that files have: aliases (Convolution2D) are the class itself there."""
    found = {of.__name__: of for _, of in inspect.getmembers(module, inspect.isclass)}
    return {name: of for name, of in sorted(found.items()) if name not in LEFT_OUT}


def configs(module):
    table = {}
    for name, of in classes(module).items():
        try:
            table[name] = keras.saving.serialize_keras_object(instance(name, of))["config"]
        except (TypeError, ValueError, ImportError, NotImplementedError) as error:
            print(f"{name}: {error}", file=sys.stderr)
    return table


def main(path):
    modules = {"layers": layers, "losses": losses, "metrics": metrics, "optimizers": optimizers,
               "schedules": optimizers.schedules}
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'{{"keras": "{keras.__version__}"')
        for kind, module in modules.items():
            lines = [f'"{name}": {json.dumps(config, sort_keys=True)}' for name, config in configs(module).items()]
            file.write(f',\n"{kind}": {{\n' + ",\n".join(lines) + "}")
        file.write("}\n")


if __name__ == "__main__":
    main(sys.argv[1])
