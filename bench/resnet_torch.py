"""The opponent of bench/resnet.sh: mbrun new resnet's net in PyTorch with Adam at 1e-3, on numbers drawn at random.

Usage: resnet_torch.py BATCH STEPS THREADS
Prints one JSON line: samples a second, from the median step, of the faster of PyTorch's two orders of dimensions."""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def convolved(width, filters, size, stride):
    return [nn.Conv2d(width, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters, 1e-3, 0.01)]


class Block(nn.Module):
    def __init__(self, width, filters, stride):
        super().__init__()
        first = convolved(width, filters, 3, stride) + [nn.ReLU(inplace=True)]
        self.way = nn.Sequential(*first, *convolved(filters, filters, 3, 1))
        same = stride == 1 and width == filters
        self.around = nn.Identity() if same else nn.Sequential(*convolved(width, filters, 1, stride))

    def forward(self, x):
        return torch.relu_(self.way(x) + self.around(x))


def build():
    layers, width = convolved(3, 16, 3, 1) + [nn.ReLU(inplace=True)], 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Block(width, filters, 2 if stage and not block else 1))
            width = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def rate(batch, steps, order):
    torch.manual_seed(0)
    images = torch.rand(1024, 3, 32, 32).contiguous(memory_format=order)
    labels = torch.randint(0, 10, (1024,))
    model = build().to(memory_format=order)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    taken = []
    for _ in range(steps):
        begin = time.time()
        chosen = torch.randint(0, 1024, (batch,))
        loss = F.cross_entropy(model(images[chosen]), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.time() - begin)
    return batch / sorted(taken)[steps // 2]


batch, steps, threads = map(int, sys.argv[1:4])
torch.set_num_threads(threads)
rates = [rate(batch, steps, order) for order in (torch.channels_last, torch.contiguous_format)]
print(json.dumps({"samples_per_second": round(max(rates)), "channels_last": round(rates[0]), "plain": round(rates[1])}))
