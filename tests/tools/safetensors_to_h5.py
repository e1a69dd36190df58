#!/usr/bin/env python3
"""Turns the matrices of a safetensors file into a Keras model file that mbrun can quantize.

    safetensors_to_h5.py MODEL.safetensors MODEL.h5

Each linear weight, transposed to [in, out], becomes a Dense layer without bias that hangs on an
input of its width; each table of embeddings becomes an Embedding layer. Other tensors are left out.
Needs h5py.
"""
import json
import struct
import sys

import h5py
import numpy as np

LENGTH = struct.Struct("<Q")


def matrices(path):
    """Yields the name and the values of each matrix of float32."""
    with open(path, "rb") as file:
        head = json.loads(file.read(LENGTH.unpack(file.read(LENGTH.size))[0]))
        start = file.tell()
        for name, about in head.items():
            if not name.endswith(".weight") or about["dtype"] != "F32" or len(about["shape"]) != 2:
                continue
            first, end = about["data_offsets"]
            file.seek(start + first)
            values = np.frombuffer(file.read(end - first), "<f4").reshape(about["shape"])
            yield name[: -len(".weight")], values


class Model:
    def __init__(self):
        self.layers, self.inputs, self.outputs, self.weights = [], [], [], {}

    def input(self, name, width, dtype):
        if name in self.weights:
            return
        config = {"batch_shape": [None, width], "dtype": dtype, "sparse": False, "ragged": False,
                  "name": name}
        self.layers.append({"class_name": "InputLayer", "config": config, "name": name,
                            "inbound_nodes": []})
        self.inputs.append([name, 0, 0])
        self.weights[name] = {}

    def layer(self, kind, name, config, source, weight, values):
        source_name, width, dtype = source
        self.input(*source)
        tensor = {"class_name": "__keras_tensor__",
                  "config": {"shape": [None, width], "dtype": dtype,
                             "keras_history": [source_name, 0, 0]}}
        config = {"name": name, "trainable": True, "dtype": "float32", **config}
        self.layers.append({"class_name": kind, "config": config, "name": name,
                            "inbound_nodes": [{"args": [tensor], "kwargs": {}}]})
        self.outputs.append([name, 0, 0])
        self.weights[name] = {f"{name}/{weight}": values}

    def config(self):
        return {"class_name": "Functional",
                "config": {"name": "matrices", "trainable": True, "layers": self.layers,
                           "input_layers": self.inputs, "output_layers": self.outputs}}


def build(path):
    model = Model()
    for tensor, values in matrices(path):
        name = tensor.replace(".", "_")
        rows, columns = values.shape
        if "embeddings" in tensor:
            model.layer("Embedding", name,
                        {"input_dim": rows, "output_dim": columns, "mask_zero": False},
                        ("ids", 1, "int32"), "embeddings", values)
        else:
            model.layer("Dense", name, {"units": rows, "activation": "linear", "use_bias": False},
                        (f"in_{columns}", columns, "float32"), "kernel", values.T)
    return model


def names(strings):
    return np.array([s.encode() for s in strings]) if strings else np.array([])


def write(model, path):
    with h5py.File(path, "w", libver="v108") as file:
        group = file.create_group("model_weights")
        for place in (file, group):
            place.attrs["keras_version"] = "3.15.1"
            place.attrs["backend"] = "torch"
        file.attrs["model_config"] = json.dumps(model.config())
        group.attrs["layer_names"] = names(list(model.weights))
        for layer, weights in model.weights.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = names(list(weights))
            for weight, values in weights.items():
                inner.create_dataset(weight, data=values)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(build(sys.argv[1]), sys.argv[2])
