"""The operations of `mbrun bench` that multiply, on the same shapes in PyTorch: kernels_torch.py [THREADS].

One JSON line: GFLOP/s of each by the median of its runs, and `products`, of 512 x 512 x 512."""
import json
import statistics
import sys
import time

import torch
import torch.nn.functional as functional

RUNS = 15
torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)


def rate(flops, run):
    run()
    taken = []
    for _ in range(RUNS):
        begun = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun)
    return round(flops / statistics.median(taken) * 1e-9, 1)


def product(m, n, k, by="", dtype=torch.float32):
    """BY: the gradient that it is, which says what is stored transposed."""
    a = torch.randn(k, m, dtype=dtype).t() if by == "weights" else torch.randn(m, k, dtype=dtype)
    b = torch.randn(n, k, dtype=dtype).t() if by == "inputs" else torch.randn(k, n, dtype=dtype)
    out = torch.empty(m, n, dtype=dtype)
    return rate(2 * m * n * k, lambda: torch.mm(a, b, out=out))


def convolutions(samples, size, channels):
    lies = {"memory_format": torch.channels_last}
    x, dy = (torch.randn(samples, channels, size, size).to(**lies) for _ in range(2))
    w, bias = torch.randn(channels, channels, 3, 3).to(**lies), torch.randn(channels)
    flops = 18 * samples * size * size * channels * channels

    def back(mask):
        return lambda: torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask)

    return {"convolution 3 x 3": rate(flops, lambda: functional.conv2d(x, w, bias, padding=1)),
            "convolution, by inputs": rate(flops, back([True, False, False])),
            "convolution, by weights": rate(flops, back([False, True, False]))}


def attention(samples, heads, tokens, width):
    """Of the pairs that are seen; backward computes scores and gradients of both products."""
    shape = (samples, tokens, heads, width)
    q, k, v = (torch.randn(shape).transpose(1, 2).requires_grad_() for _ in range(3))
    flops = 4 * samples * heads * tokens * (tokens + 1) / 2 * width
    forward = rate(flops, lambda: functional.scaled_dot_product_attention(q, k, v, is_causal=True))
    out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    gradient = torch.randn_like(out)
    backward = rate(2.5 * flops, lambda: torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True))
    return {"attention": forward, "attention, backward": backward}


rates = {"products": product(512, 512, 512), "product": product(1024, 1152, 384), "product, by inputs": product(1024, 384, 1152, "inputs"),
         "product, by weights": product(384, 1152, 1024, "weights"), "product, bfloat16": product(1024, 1152, 384, dtype=torch.bfloat16)}
with torch.no_grad():
    rates.update(convolutions(32, 32, 32))
rates.update(attention(4, 6, 256, 64))
print(json.dumps(rates))
