"""The shapes of bench/attention.c in PyTorch's scaled_dot_product_attention: attention_torch.py [THREADS].

Tensors lie as a layer's projections leave them, [samples, tokens, heads, width]. Best of about a second each."""
import sys
import time

import torch
import torch.nn.functional as functional

SECONDS = 1.0
SHAPES = [  # samples, heads, queries, keys, width, causal
    (4, 6, 256, 256, 64, True),
    (1, 12, 1024, 1024, 64, True),
    (1, 4, 2048, 2048, 128, True),
    (4, 12, 197, 197, 64, False),
    (32, 4, 64, 64, 32, False),
    (64, 8, 16, 16, 16, False),
    (4, 8, 64, 512, 64, False),
]


def best(samples, heads, queries, keys, width, causal):
    q = torch.randn(samples, queries, heads, width, requires_grad=True)
    k, v = (torch.randn(samples, keys, heads, width, requires_grad=True) for _ in range(2))
    gradient = torch.randn(samples, queries, heads, width)
    forward = backward = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        begun = time.perf_counter()
        turned = (x.transpose(1, 2) for x in (q, k, v))
        out = functional.scaled_dot_product_attention(*turned, is_causal=causal).transpose(1, 2)
        between = time.perf_counter()
        out.backward(gradient)
        ended = time.perf_counter()
        forward, backward = min(forward, between - begun), min(backward, ended - between)
        q.grad = k.grad = v.grad = None
    return forward, backward


torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
for shape in SHAPES:
    forward, backward = best(*shape)
    print(f"{shape}: forward {forward * 1e6:.1f} us, backward {backward * 1e6:.1f} us", flush=True)
