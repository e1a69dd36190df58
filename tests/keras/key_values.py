"""What keys.py makes each class of layer with, and a value for each of its keys that is not the default.

Tables go from the special to the general: by class and key, then by key. A key that shows only beside others, or on
other inputs, has them in BESIDE, WITH and INPUTS; one that changes nothing is in SAME, and one that is compared
elsewhere in ELSEWHERE, each with why."""
import keras
from keras import layers as L

VECTOR, SEQUENCE, IMAGE, VOLUME = (4,), (6, 4), (7, 6, 4), (5, 6, 5, 4)
BY_RANK = {"1D": SEQUENCE, "2D": IMAGE, "3D": VOLUME}

# Layers of Keras that stand in files under another name than in keras.layers.
ATTRIBUTE = {"GroupedQueryAttention": "GroupQueryAttention"}
NEEDS_TENSORFLOW = {"Hashing", "IntegerLookup", "sparse", "synchronized"}  # classes and keys


def plainly(layer, t):
    return layer(t)


# How a layer is called, if not like that.
CALL = {
    "MultiHeadAttention": lambda layer, t: layer(*t),
    "GroupedQueryAttention": lambda layer, t: layer(*t),
    "ReversibleEmbedding": lambda layer, t: layer(layer(t), reverse=True),
    ("ReversibleEmbedding", "mask_zero"): plainly,  # the way back loses the mask
}


def ids(shape, below):
    """Whole numbers under BELOW, straight into the layer."""
    return ("ids", shape, below)


def given(shape):
    """Numbers straight into the layer, not from a Dense layer as otherwise."""
    return ("given", shape)


def steps(shape):
    """Steps that are 0, 0.5 or 1 as a whole, straight into the layer."""
    return ("steps", shape)


def masked(shape):
    """The same steps behind a mask of those that are 0."""
    return ("masked", shape)


LOOKUP = {"vocabulary": [3, 5, 7]}
# What each class is made with, and what it takes: a shape, a list of them, or one of the above.
MADE = {
    "Activation": ({"activation": "relu"}, VECTOR),
    "ActivityRegularization": ({}, VECTOR),
    "AdditiveAttention": ({}, [SEQUENCE, SEQUENCE]),
    "AlphaDropout": ({"rate": 0.25}, VECTOR),
    "Attention": ({}, [SEQUENCE, SEQUENCE]),
    "BatchNormalization": ({}, SEQUENCE),
    "Bidirectional": ({"layer": lambda: L.LSTM(3)}, SEQUENCE),
    "CategoryEncoding": ({"num_tokens": 5}, ids((3,), 5)),
    "CenterCrop": ({"height": 4, "width": 4}, IMAGE),
    "Concatenate": ({}, [SEQUENCE, SEQUENCE]),
    "Cropping1D": ({}, SEQUENCE),
    "Cropping2D": ({"cropping": 1}, IMAGE),
    "Cropping3D": ({}, VOLUME),
    "Dense": ({"units": 3}, VECTOR),
    "Discretization": ({"bin_boundaries": [0.0, 1.0], "output_mode": "one_hot"}, given((1,))),
    "Dot": ({"axes": 1}, [SEQUENCE, SEQUENCE]),
    "Dropout": ({"rate": 0.25}, SEQUENCE),
    "ELU": ({}, VECTOR),
    "EinsumDense": ({"equation": "abc,cd->abd", "output_shape": (None, 3)}, SEQUENCE),
    "Embedding": ({"input_dim": 5, "output_dim": 3}, ids((4,), 5)),
    "Flatten": ({}, IMAGE),
    "GRUCell": ({"units": 3}, SEQUENCE),
    "GaussianDropout": ({"rate": 0.25}, VECTOR),
    "GaussianNoise": ({"stddev": 0.25}, VECTOR),
    "GroupNormalization": ({"groups": 2}, SEQUENCE),
    "GroupedQueryAttention": ({"head_dim": 3, "num_query_heads": 4, "num_key_value_heads": 2}, [SEQUENCE, SEQUENCE]),
    "Hashing": ({"num_bins": 5, "output_mode": "one_hot"}, ids((1,), 9)),
    "Identity": ({}, VECTOR),
    "IntegerLookup": ({**LOOKUP, "output_mode": "one_hot"}, ids((1,), 9)),
    "LSTMCell": ({"units": 3}, SEQUENCE),
    "LayerNormalization": ({}, SEQUENCE),
    "LeakyReLU": ({}, VECTOR),
    "Masking": ({}, steps(SEQUENCE)),
    "MultiHeadAttention": ({"num_heads": 2, "key_dim": 3}, [SEQUENCE, SEQUENCE]),
    "Normalization": ({"mean": [0.1, 0.2, 0.3, 0.4], "variance": [1.0, 2.0, 0.5, 0.7]}, SEQUENCE),
    "PReLU": ({}, SEQUENCE),
    "Permute": ({"dims": (2, 1)}, SEQUENCE),
    "RMSNormalization": ({}, SEQUENCE),
    "RNN": ({"cell": lambda: L.LSTMCell(3)}, SEQUENCE),
    "RandomBrightness": ({"factor": 0.25, "value_range": (-1, 1)}, IMAGE),
    "RandomContrast": ({"factor": 0.25, "value_range": (-1, 1)}, IMAGE),
    "RandomCrop": ({"height": 4, "width": 4}, IMAGE),
    "RandomFlip": ({}, IMAGE),
    "RandomRotation": ({"factor": 0.25}, IMAGE),
    "RandomTranslation": ({"height_factor": 0.25, "width_factor": 0.25}, IMAGE),
    "RandomZoom": ({"height_factor": 0.25}, IMAGE),
    "ReLU": ({}, VECTOR),
    "RepeatVector": ({"n": 2}, VECTOR),
    "Rescaling": ({"scale": 0.5}, VECTOR),
    "Reshape": ({"target_shape": (4, 6)}, SEQUENCE),
    "Resizing": ({"height": 4, "width": 5}, IMAGE),
    "ReversibleEmbedding": ({"input_dim": 5, "output_dim": 3}, ids((4,), 5)),
    "SimpleRNNCell": ({"units": 3}, SEQUENCE),
    "Softmax": ({}, SEQUENCE),
    "StackedRNNCells": ({"cells": lambda: [L.LSTMCell(3), L.GRUCell(2)]}, SEQUENCE),
    "TimeDistributed": ({"layer": lambda: L.Dense(3)}, SEQUENCE),
    "UnitNormalization": ({}, SEQUENCE),
    "UpSampling1D": ({}, SEQUENCE),
}
for dims, shape in BY_RANK.items():
    for name in ("Conv{}", "Conv{}Transpose", "SeparableConv{}"):
        MADE[name.format(dims)] = ({"filters": 4, "kernel_size": 3}, shape)
    MADE[f"ConvLSTM{dims}"] = ({"filters": 2, "kernel_size": 3}, (3, *shape))
    MADE[f"DepthwiseConv{dims}"] = ({"kernel_size": 3}, shape)
    for kind in ("Max", "Average"):
        MADE[f"{kind}Pooling{dims}"] = ({"pool_size": 3}, (7, *shape[1:]))
        MADE[f"Global{kind}Pooling{dims}"] = ({}, shape)
        MADE[f"Adaptive{kind}Pooling{dims}"] = ({"output_size": 2}, shape)
    MADE[f"SpatialDropout{dims}"] = ({"rate": 0.25}, shape)
    MADE[f"ZeroPadding{dims}"] = ({}, shape)
for dims in ("2D", "3D"):
    MADE[f"UpSampling{dims}"] = ({}, BY_RANK[dims])
for name in ("SimpleRNN", "LSTM", "GRU"):
    MADE[name] = ({"units": 3}, SEQUENCE)
for name in ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"):
    MADE[name] = ({}, [SEQUENCE, SEQUENCE])

VALUES = {
    "activation": "sigmoid", "recurrent_activation": "tanh", "use_bias": False, "units": 5, "filters": 8, "kernel_size": 2, "strides": 2,
    "padding": "same", "dilation_rate": 2, "groups": 2, "data_format": "channels_first", "depth_multiplier": 2, "output_size": 1,
    "pool_size": 2, "keepdims": True, "go_backwards": True, "return_sequences": True, "return_state": True,
    "zero_output_for_mask": True, "reset_after": False, "epsilon": 0.3, "center": False, "scale": False, "axis": 1, "momentum": 0.5,
    "alpha": 0.3, "negative_slope": 0.3, "max_value": 0.4, "threshold": 0.8, "l1": 0.1, "l2": 0.1, "rate": 0.5, "dropout": 0.5,
    "recurrent_dropout": 0.5, "stddev": 0.5, "height": 3, "width": 3, "n": 3, "offset": 0.3, "input_dim": 7, "output_dim": 2,
    "mask_zero": True, "height_factor": 0.1, "width_factor": 0.1, "factor": 0.1, "fill_mode": "constant", "fill_value": 0.7,
    "interpolation": "nearest", "value_range": (-0.5, 2), "use_scale": True, "normalize": True, "invert": True, "num_heads": 1,
    "key_dim": 2, "value_dim": 2, "output_shape": 5, "use_gate": True, "sliding_window": 2, "attention_axes": (2,), "size": 3,
    "num_oov_indices": 2, "output_mode": "int", "salt": 7, "mask_value": 0.5, "head_dim": 2, "num_query_heads": 2,
    "num_key_value_heads": 1, "renorm": True, "renorm_momentum": 0.5, "renorm_clipping": {"rmax": 2.0, "rmin": 0.5, "dmax": 1.0},
    "shared_axes": [1], "merge_mode": "sum", "logit_soft_cap": 2.0, "tie_weights": False,
    "crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True, "antialias": True, "rms_scaling": True, "bias_axes": "d",
    "noise_shape": (None, 1, 4), "output_padding": 1, "oov_token": 3, "mask_token": 3, "idf_weights": [0.1, 0.2, 0.3], "num_tokens": 6,
    "target_shape": (3, 8), "trainable": False, "seed": 5, "unroll": True, "unit_forget_bias": False, "synchronized": True,
    "sparse": True, "max_tokens": 9, "pad_to_max_tokens": True, "oov_method": "farmhash",
}  # fmt: skip
PICKED = {
    ("Activation", "activation"): "tanh",
    ("AdditiveAttention", "use_scale"): False,
    ("Attention", "score_mode"): "concat",
    ("Bidirectional", "layer"): lambda: L.GRU(3),
    ("Bidirectional", "backward_layer"): lambda: L.LSTM(3, activation="relu", go_backwards=True),
    ("CategoryEncoding", "output_mode"): "count",
    ("Cropping1D", "cropping"): 2,
    ("Cropping2D", "cropping"): 2,
    ("Cropping3D", "cropping"): (0, 1, 2),
    ("Discretization", "bin_boundaries"): [-0.5, 0.5],
    ("Dot", "axes"): 2,
    ("EinsumDense", "equation"): "abc,bcd->abd",
    ("EinsumDense", "output_shape"): (None, 5),
    ("GroupNormalization", "groups"): 4,
    ("Hashing", "num_bins"): 7,
    ("Hashing", "mask_value"): 3,
    ("IntegerLookup", "mask_token"): 1,
    ("IntegerLookup", "vocabulary"): [1, 2, 3],
    ("LayerNormalization", "axis"): [1, 2],
    ("LeakyReLU", "negative_slope"): 0.1,
    ("Normalization", "mean"): [0.4, 0.1, -0.3, 0.2],
    ("Normalization", "variance"): [0.3, 1.5, 2.5, 0.6],
    ("Permute", "dims"): (1, 2),
    ("RMSNormalization", "axis"): [1, 2],
    ("RNN", "cell"): lambda: L.GRUCell(3),
    ("RandomFlip", "mode"): "horizontal",
    ("Rescaling", "scale"): 0.3,
    ("StackedRNNCells", "cells"): lambda: [L.LSTMCell(3), L.GRUCell(2), L.SimpleRNNCell(4)],
    ("TimeDistributed", "layer"): lambda: L.Dense(5),
    ("UpSampling2D", "interpolation"): "bilinear",
}
# Keys that say something only beside others: these have them in both models,
BESIDE = {
    ("Conv*Transpose", "output_padding"): {"strides": 2},
    ("BatchNormalization", "renorm_momentum"): {"renorm": True},
    ("BatchNormalization", "renorm_clipping"): {"renorm": True},
    ("EinsumDense", "bias_constraint"): {"bias_axes": "d"},
    ("EinsumDense", "bias_initializer"): {"bias_axes": "d"},
    ("EinsumDense", "bias_regularizer"): {"bias_axes": "d"},
    ("EinsumDense", "equation"): {"output_shape": (6, 3)},
    ("RandomRotation", "fill_value"): {"fill_mode": "constant"},
    ("RandomTranslation", "fill_value"): {"fill_mode": "constant"},
    ("RandomZoom", "fill_value"): {"fill_mode": "constant"},
    ("Resizing", "fill_mode"): {"pad_to_aspect_ratio": True},
    ("Resizing", "fill_value"): {"pad_to_aspect_ratio": True},
    ("IntegerLookup", "idf_weights"): {"output_mode": "tf_idf", "idf_weights": [1.0, 2.0, 3.0]},
    ("IntegerLookup", "oov_method"): {"num_oov_indices": 2},
    ("IntegerLookup", "oov_token"): {"invert": True, "output_mode": "int"},
    ("IntegerLookup", "invert"): {"output_mode": "int"},
    ("IntegerLookup", "pad_to_max_tokens"): {"max_tokens": 9},
    ("IntegerLookup", "salt"): {"num_oov_indices": 2, "oov_method": "farmhash"},
}
# and these in the second only.
WITH = {
    ("Normalization", "axis"): {"mean": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], "variance": [1.0, 2.0, 0.5, 0.7, 1.5, 0.3]},
}
# Where the key shows only there.
INPUTS = {
    ("AlphaDropout", "noise_shape"): SEQUENCE,
    ("GaussianDropout", "noise_shape"): SEQUENCE,
    ("MultiHeadAttention", "attention_axes"): [(3, 6, 4), (3, 6, 4)],
}
for name in ("SimpleRNN", "LSTM", "GRU", "RNN"):
    INPUTS[name, "zero_output_for_mask"] = masked(MADE[name][1])
    BESIDE[name, "zero_output_for_mask"] = {"return_sequences": True}

# What changes no result of Keras', and so none of mbrun's.
SAME = {
    "implementation": "how Keras computes",
    "seed": "begins Keras' own generators; mbrun draws by --seed",
    "synchronized": "over Keras' own replicas",
    "unit_forget_bias": "of initial weights, which come with the file",
    "unroll": "how Keras computes",
    ("Discretization", "epsilon"): "of adapt, which was there before the file",
    ("IntegerLookup", "max_tokens"): "of adapt, without pad_to_max_tokens",
    ("RandomBrightness", "data_format"): "one number is added to an image wherever its channels are",
    ("SimpleRNN", "activity_regularizer"): "Keras takes it and forgets it",
}
for dims in BY_RANK:
    SAME[f"ConvLSTM{dims}", "zero_output_for_mask"] = "no mask gets there: Masking's is of places too, which Keras cannot use"
ELSEWHERE = {
    "bounding_box_format": "a model's inputs here are no boxes",
    "dtype": "policies are compared by the fixtures mixed and scaled",
    "name": "what weights are found by in each script",
    "num_bins": "of adapt; refused by Keras beside bin_boundaries",
    "quantization_config": "of what Keras' quantize made: int8.sh and quantized.sh",
    "stateful": "compared from batch to batch by stateful.py",
    "vocabulary_dtype": "Keras takes no other",
    "vocabulary_size": "Keras takes no other than the vocabulary's",
    ("ReversibleEmbedding", "reverse_dtype"): "rounds as a policy does",
}
# What a backend computes otherwise than the others (doc/agreement.md).
WRONG_IN = {("torch", "AveragePooling3D", "padding"): "wants KERAS_BACKEND=jax: torch counts what it pads with"}


def by_key(table, name, key):
    return table.get((name, key), table.get(key))


def value_of(name, key):
    """Raises KeyError where nobody has thought of one."""
    if (name, key) in PICKED:
        return PICKED[name, key]
    if key.endswith("_initializer"):
        return keras.initializers.RandomUniform(0.5, 1.5)
    if key.endswith("_regularizer"):
        return keras.regularizers.L2(0.1)
    if key.endswith("_constraint"):
        return keras.constraints.MaxNorm(0.3, axis=0)
    if key == "strides" and "Pooling" in name:
        return 1
    if key == "padding" and name.startswith("ZeroPadding"):
        return 2
    return VALUES[key]


def beside(name, key):
    return BESIDE.get((name, key), BESIDE.get((name[:4] + "*" + name[6:], key), {}))


def made_for(name, key):
    """The keys of a layer that KEY is to be added to, its inputs, and how it is called."""
    keys, inputs = MADE[name]
    call = CALL.get((name, key), CALL.get(name, plainly))
    return {**keys, **beside(name, key)}, INPUTS.get((name, key), inputs), call


def same(name, key):
    """Why the key changes nothing; None where it does."""
    if key.endswith("_initializer") and not key.startswith("moving"):
        return "initial weights come with the file"
    return by_key(SAME, name, key)


def elsewhere(name, key):
    if name == "Hashing" and key == "num_bins":
        return None
    return by_key(ELSEWHERE, name, key)
