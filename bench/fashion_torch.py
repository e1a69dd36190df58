"""The opponent of bench/fashion.sh and bench/mobilenet.sh: the same nets in PyTorch, on Fashion-MNIST, with Adam at 1e-3.

Usage: fashion_torch.py mlp|cnn|mobilenet BATCH EPOCHS SEED THREADS
Prints one JSON line: test accuracy after each epoch, samples a second (median epoch), seconds from the
start of the process to the end of the first step, peak memory in MiB."""
import time

START = time.time()
import gzip
import json
import os
import resource
import sys

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

FOLDER = os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist")


def read_idx(name):
    data = gzip.open(os.path.join(FOLDER, name)).read()
    rank = data[3]
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def load(part):
    images = torch.from_numpy(read_idx(f"{part}-images-idx3-ubyte.gz").astype("f4") / 255)
    labels = torch.from_numpy(read_idx(f"{part}-labels-idx1-ubyte.gz").astype("i8"))
    return images[:, None].contiguous(), labels


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


def convolved(width, filters, size, stride=1, groups=1, relu=True):
    layers = [nn.Conv2d(width, filters, size, stride, size // 2, groups=groups, bias=False)]
    layers += [nn.BatchNorm2d(filters, 1e-3, 0.01)] + relu * [nn.ReLU6()]
    return layers


def inverted(width, filters, stride, expansion=6):
    wide = expansion * width
    layers = convolved(width, wide, 1) + convolved(wide, wide, 3, stride, wide)
    layers += convolved(wide, filters, 1, relu=False)
    return (Residual if stride == 1 and width == filters else nn.Sequential)(*layers)


def mobilenet():
    """mbrun new mobilenet input=28x28x1: strided windows lie a pixel apart from Keras' at even sizes."""
    layers, width = convolved(1, 16, 3), 16
    for stage, filters in enumerate((16, 24, 32)):
        for block in range(2):
            layers.append(inverted(width, filters, 2 if stage and not block else 1))
            width = filters
    layers += convolved(width, 4 * width, 1)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10))


def build(net):
    if net == "mobilenet":
        return mobilenet().to(memory_format=torch.channels_last)
    if net == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip


def main():
    net, batch, epochs, seed, threads = sys.argv[1], *map(int, sys.argv[2:6])
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    images, labels = load("train")
    if "BENCH_SAMPLES" in os.environ:  # of an epoch
        images, labels = images[: int(os.environ["BENCH_SAMPLES"])], labels[: int(os.environ["BENCH_SAMPLES"])]
    test_images, test_labels = load("t10k")
    model = build(net)
    if net == "mobilenet":  # what its processors are fastest with
        images, test_images = (i.contiguous(memory_format=torch.channels_last) for i in (images, test_images))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    first = None
    rates, accuracies = [], []
    for _ in range(epochs):
        order = torch.randperm(len(images))
        begin = time.time()
        for i in range(0, len(images), batch):
            chosen = order[i : i + batch]
            loss = F.cross_entropy(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            first = first or time.time() - START
        rates.append(len(images) / (time.time() - begin))
        with torch.no_grad():
            right = sum(
                int((model(test_images[i : i + 1000]).argmax(1) == test_labels[i : i + 1000]).sum())
                for i in range(0, 10000, 1000)
            )
        accuracies.append(right / 10000)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    result = {"accuracy": accuracies, "samples_per_second": round(sorted(rates)[len(rates) // 2])}
    print(json.dumps({**result, "first_step_seconds": round(first, 2), "peak_mib": memory}))


main()
