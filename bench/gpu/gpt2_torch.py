"""The opponent of bench/gpu/run: the gpt preset's model in PyTorch, trained on random tokens.

Usage: gpt2_torch.py LAYERS WIDTH HEADS LENGTH VOCABULARY BATCH MICRO_BATCH STEPS WARM_UP eager|compile DEVICE

Weights and moments are float32, products bfloat16 by autocast, attention is scaled_dot_product_attention,
AdamW is fused where the device has it. Gradients of micro-batches are summed. Prints one JSON line: the
median seconds of the steps behind the warm-up, with the first and last loss."""
import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def attend(self, x):
        samples, length, width = x.shape
        q, k, v = (
            part.view(samples, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.qkv(x).split(width, dim=2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.proj(y.transpose(1, 2).reshape(samples, length, width))

    def forward(self, x):
        x = x + self.attend(self.ln1(x))
        return x + self.out(F.gelu(self.fc(self.ln2(x))))


class GPT(nn.Module):
    def __init__(self, layers, width, heads, length, vocabulary):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe.weight
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.ln_f(x))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def main():
    layers, width, heads, length, vocabulary, batch, micro, steps, warm_up = map(int, sys.argv[1:10])
    how, device = sys.argv[10:12]
    torch.manual_seed(1)
    model = GPT(layers, width, heads, length, vocabulary).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=True)
    run = torch.compile(model) if how == "compile" else model
    tokens = torch.randint(vocabulary, (batch, length + 1), device=device)
    seconds, losses = [], []
    for _ in range(warm_up + steps):
        synchronize(device)
        begin = time.perf_counter()
        total = torch.zeros((), device=device)
        for i in range(0, batch, micro):
            part = tokens[i : i + micro]
            with torch.autocast(device, torch.bfloat16):
                loss = run(part[:, :-1].contiguous(), part[:, 1:].contiguous())
            loss = loss * (len(part) / batch)
            loss.backward()
            total += loss.detach()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(total.item())
        synchronize(device)
        seconds.append(time.perf_counter() - begin)
    timed = sorted(seconds[warm_up:])
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    print(
        json.dumps(
            {
                "step_seconds": timed[len(timed) // 2],
                "first_step_seconds": seconds[0],
                "first_loss": losses[0],
                "last_loss": losses[-1],
                "parameters": sum(p.numel() for p in model.parameters()),
                "peak_gib": memory,
                "torch": torch.__version__,
                "cuda": torch.version.cuda,
            }
        )
    )


main()
