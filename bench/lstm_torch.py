"""The opponent of bench/lstm.sh, and the data of both.

Usage: lstm_torch.py data OUT.h5 STEPS SAMPLES
       lstm_torch.py train DATA.h5 UNITS BATCH THREADS   prints the samples a second of the second epoch"""
import sys
import time

import h5py
import numpy as np


def write(path, steps, samples):
    draw = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file["x"] = draw.integers(0, 100, (samples, steps), "i4")
        file["y"] = draw.integers(0, 2, samples, "i4")


def train(path, units, batch, threads):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(100, units)
            self.lstm = nn.LSTM(units, units, batch_first=True)
            self.dense = nn.Linear(units, 2)

        def forward(self, x):
            return self.dense(self.lstm(self.embedding(x))[0][:, -1])

    torch.set_num_threads(threads)
    with h5py.File(path) as file:
        x, y = torch.from_numpy(file["x"][:]), torch.from_numpy(file["y"][:]).long()
    net = Net()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
    for _ in range(2):
        order = torch.randperm(len(x))
        begin = time.time()
        for rows in order.split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
        seconds = time.time() - begin
    print(round(len(x) / seconds))


if __name__ == "__main__":
    if sys.argv[1] == "data":
        write(sys.argv[2], *map(int, sys.argv[3:5]))
    else:
        train(sys.argv[2], *map(int, sys.argv[3:6]))
