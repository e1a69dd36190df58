#!/usr/bin/env python3
"""Draws what an example wrote (NumPy and Matplotlib): picture.py shallow_water.png, or picture.py autoencoder.png"""
import sys

import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

STUDIES = {
    "shallow_water": ("solver", "surrogate", "depth", {
        "surrogate": "the surrogate alone", "mixed": "the solver at every 4th large step",
        "still": "water that stands still"}),
    "autoencoder": ("field", "decoded", "field", {"code": "8 numbers for 64", "averages": "8 averages for 64"}),
}


def draw(name, path):
    first, second, quantity, labels = STUDIES[name]
    table = np.genfromtxt(name + ".csv", delimiter=",", names=True)
    fields = [np.loadtxt("%s.%s" % (name, kind)) for kind in (first, second)]
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), gridspec_kw={"width_ratios": [1.25, 1, 1.1]})
    for column, label in labels.items():
        axes[0].semilogy(table["time"], 100 * table[column], label=label)
    axes[0].set(xlabel="time", ylabel="error, % of the " + ("waves" if name == "shallow_water" else "field"))
    axes[0].legend(frameon=False, fontsize=8)
    axes[0].grid(alpha=0.3)
    low, high = fields[0].min(), fields[0].max()
    for axis, field, kind in zip(axes[1:], fields, (first, second)):
        image = axis.imshow(field, origin="lower", cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
        axis.set(title="%s: %s" % (quantity, kind) if kind != quantity else quantity, xticks=[], yticks=[])
    figure.colorbar(image, ax=axes[2], fraction=0.046)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)


if len(sys.argv) != 2 or sys.argv[1].rsplit("/")[-1].split(".")[0] not in STUDIES:
    sys.exit(__doc__)
draw(sys.argv[1].rsplit("/")[-1].split(".")[0], sys.argv[1])
