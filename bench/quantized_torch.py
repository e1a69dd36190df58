"""The MLP of bench/quantized.sh in PyTorch, float32 and with dynamic int8: quantized_torch.py [THREADS [BATCH]]

Samples a second, medians of alternating runs."""
import statistics
import sys
import time

import torch

threads, batch = (int(a) for a in (sys.argv[1:] + ["1", "256"][len(sys.argv) - 1:])[:2])
torch.set_num_threads(threads)
torch.manual_seed(0)
widths = [2048, 2048, 2048, 2048, 2048, 1000]
layers = []
for fan_in, fan_out in zip(widths, widths[1:]):
    layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
plain = torch.nn.Sequential(*layers[:-1]).eval()
models = {"float32": plain, "dynamic int8": torch.ao.quantization.quantize_dynamic(plain, {torch.nn.Linear}, torch.qint8)}
x = torch.randn(batch, widths[0])
rates = {name: [] for name in models}
with torch.inference_mode():
    for _ in range(8):
        for name, model in models.items():
            begin = time.time()
            for _ in range(8):
                model(x)
            rates[name].append(8 * batch / (time.time() - begin))
base = statistics.median(rates["float32"][1:])
for name, values in rates.items():
    rate = statistics.median(values[1:])
    print(f"torch {torch.__version__} {name:13} {rate:10.1f} samples/s  {rate / base:.3f} x")
