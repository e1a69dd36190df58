"""The opponents of bench/compare.py in PyTorch: training steps of the same models, one JSON line.

    compare_torch.py gpt MODE [--layers N ...]   MODE: eager, compiled, ddp, gpipe or 1f1b (the last three: 2 processes over gloo)
    compare_torch.py resnet [...]                the net of `mbrun new resnet` on noise

The line: items (tokens, samples) a second by the median step behind three that warm up, and the peak memory of one process."""
import argparse
import contextlib
import json
import os
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("model", choices=("gpt", "resnet"))
parser.add_argument("mode", nargs="?", default="eager")
for name, value in (("layers", 6), ("width", 384), ("heads", 6), ("length", 256), ("vocabulary", 256), ("batch", 4),
                    ("micros", 4), ("steps", 6), ("threads", 2)):
    parser.add_argument("--" + name, type=int, default=value)
parser.add_argument("--bf16", action="store_true")
options = parser.parse_args()
WARM, PROCESSES = 3, 2


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attend(self, x):
        samples, length, width = x.shape
        parts = self.qkv(x).view(samples, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        return self.joined(out.transpose(1, 2).reshape(samples, length, width))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """A stretch of its blocks; the first begins with the embeddings, the last ends with the logits."""

    def __init__(self, blocks, first=True, last=True):
        super().__init__()
        width = options.width
        self.tokens = nn.Embedding(options.vocabulary, width) if first else None
        self.positions = nn.Parameter(0.02 * torch.randn(options.length, width)) if first else None
        self.blocks = nn.Sequential(*(Block(width, options.heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width) if last else None
        self.head = nn.Linear(width, options.vocabulary, bias=False) if last else None

    def forward(self, x):
        if self.tokens is not None:
            x = self.tokens(x) + self.positions
        x = self.blocks(x)
        return x if self.head is None else self.head(self.norm(x))


class Residual(nn.Module):
    def __init__(self, width, filters, stride):
        super().__init__()
        same = stride == 1 and width == filters
        self.first = nn.Sequential(*convolved(width, filters, 3, stride), nn.ReLU())
        self.second = nn.Sequential(*convolved(filters, filters, 3))
        self.shortcut = nn.Identity() if same else nn.Sequential(*convolved(width, filters, 1, stride))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.second(self.first(x)))


def convolved(width, filters, size, stride=1):
    return nn.Conv2d(width, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters, 1e-3, 0.01)


def resnet():
    layers, width = [*convolved(3, 16, 3), nn.ReLU()], 16
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Residual(width, filters, 2 if stage and not block else 1))
            width = filters
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
    return net.to(memory_format=torch.channels_last)


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)


def loss_of(logits, labels):
    return F.cross_entropy(logits.flatten(0, -2), labels.flatten())


def texts(samples):
    x = torch.randint(0, options.vocabulary, (samples, options.length))
    return x, x.roll(-1, 1)


def finish(model, optimizer, clips=True):
    if clips:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def time_steps(step):
    seconds = []
    for number in range(options.steps + WARM):
        begun = time.perf_counter()
        step(number)
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[WARM:])


def tell(items, seconds):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"rate": round(items / seconds, 1), "step_seconds": round(seconds, 5), "peak_mib": peak}), flush=True)


def accumulate(run, model, optimizer, batches, apart=None):
    """A step of micro-batches; APART: what keeps all but the last from being summed over processes."""
    micros = options.micros

    def step(number):
        for micro in range(micros):
            x, y = batches[(number + micro) % len(batches)]
            alone = apart() if apart and micro < micros - 1 else contextlib.nullcontext()
            with alone:
                with torch.autocast("cpu", torch.bfloat16, enabled=options.bf16):
                    loss = loss_of(run(x), y) / micros
                loss.backward()
        finish(model, optimizer)

    return step


def gpt_alone():
    torch.manual_seed(0)
    model = Gpt(options.layers)
    run = torch.compile(model) if options.mode == "compiled" else model
    step = accumulate(run, model, adamw(model), [texts(options.batch) for _ in range(4)])
    tell(options.batch * options.micros * options.length, time_steps(step))


def ddp(rank):
    torch.manual_seed(0)
    model = Gpt(options.layers)
    run = nn.parallel.DistributedDataParallel(model)
    step = accumulate(run, model, adamw(model), [texts(options.batch) for _ in range(4)], run.no_sync)
    seconds = time_steps(step)
    if rank == 0:
        tell(PROCESSES * options.batch * options.micros * options.length, seconds)


def pipeline(rank):
    import torch.distributed as dist
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleGPipe

    torch.manual_seed(0)
    first, last = rank == 0, rank == PROCESSES - 1
    model = Gpt(options.layers // PROCESSES, first, last)
    stage = PipelineStage(model, rank, PROCESSES, torch.device("cpu"))
    kind = ScheduleGPipe if options.mode == "gpipe" else Schedule1F1B
    schedule, optimizer = kind(stage, options.micros, loss_fn=loss_of), adamw(model)
    x, y = texts(options.batch * options.micros)

    def step(_):
        schedule.step(*([x] if first else []), **({"target": y, "losses": []} if last else {}))
        finish(model, optimizer, clips=False)
        dist.barrier()

    seconds = time_steps(step)
    if rank == 0:
        tell(options.batch * options.micros * options.length, seconds)


def process(rank):
    import torch.distributed as dist

    torch.set_num_threads(options.threads)
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    (ddp if options.mode == "ddp" else pipeline)(rank)
    dist.destroy_process_group()


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def resnet_alone():
    torch.manual_seed(0)
    model = resnet()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    images = torch.rand(options.batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (options.batch,))

    def step(_):
        F.cross_entropy(model(images), labels).backward()
        finish(model, optimizer, clips=False)

    tell(options.batch, time_steps(step))


if __name__ == "__main__":
    torch.set_num_threads(options.threads)
    if options.model == "resnet":
        resnet_alone()
    elif options.mode in ("eager", "compiled"):
        gpt_alone()
    else:
        import torch.multiprocessing as mp

        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
        mp.spawn(process, nprocs=PROCESSES)
