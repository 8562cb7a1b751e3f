"""The limit that the machine sets: products of a step's own shapes and precision and fused Adam, nothing else.

Convolutions count as the product of their unfolded patches with the kernel. A share of 100 % would mean that
activations, losses, copies and Python cost nothing.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from networks import pair
from precision import dtype_of, tune_float32
from rows import Row
from torch import Tensor, nn

Shape = tuple[int, int, int]
"""Rows, inner size and columns of a product."""


def roofline(row: Row, rate: float) -> dict[str, Any]:
    """Milliseconds a step takes at the limit, at ``rate`` images/s, and the share reached; printed in one line."""
    shapes, weights = step(row)
    dtype = dtype_of(row.precision)
    if dtype == torch.float32:
        tune_float32()
    seconds = sum(count * timed(*product(shape, dtype)) for shape, count in shapes.items())
    flops = sum(2 * count * m * k * n for (m, k, n), count in shapes.items())
    adam = timed(adam_of(weights)) if row.ours == "isthmus" else 0.0
    actual = row.batch / rate
    share = (seconds + adam) / actual
    print(
        f"  roofline: {flops / 1e9:.2f} GFLOP at {flops / seconds / 1e9:,.0f} GFLOP/s = {1e3 * seconds:.2f} ms, "
        f"Adam {1e3 * adam:.2f} ms; ours takes {1e3 * actual:.2f} ms: {share:.0%} of it reached",
        flush=True,
    )
    return {
        "gflop": flops / 1e9,
        "gflop_per_s": flops / seconds / 1e9,
        "products_ms": 1e3 * seconds,
        "adam_ms": 1e3 * adam,
        "step_ms": 1e3 * actual,
        "share": share,
    }


def step(row: Row) -> tuple[Counter[Shape], int]:
    """The products of one training step (or of encoding one chunk), and the number of weights."""
    encoder, decoder = pair(row.net)
    forward: list[Shape] = []

    def note(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            forward.append((len(output), layer.in_features, layer.out_features))
        else:
            # a transposed convolution is the backward pass of a convolution: its small side is the input
            wide, small = (output, inputs[0]) if isinstance(layer, nn.ConvTranspose2d) else (inputs[0], output)
            patch = wide.shape[1] * layer.kernel_size[0] * layer.kernel_size[1]  # type: ignore[operator,index]
            forward.append((small.numel() // small.shape[1], patch, small.shape[1]))

    for layer in (*encoder.modules(), *decoder.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(note)
    side = 64 if row.net == "conv64" else 28
    with torch.no_grad():
        code = encoder(torch.zeros(row.batch, 1, side, side))
        if row.ours == "isthmus":
            decoder(code.chunk(2, 1)[0] if row.net == "vae" else code)
    weights = sum(p.numel() for net in (encoder, decoder) for p in net.parameters())
    if row.ours != "isthmus":
        return Counter(forward), weights
    to_weights = [(k, m, n) for m, k, n in forward]
    to_inputs = [(m, n, k) for m, k, n in forward[1:]]
    return Counter([*forward, *to_weights, *to_inputs]), weights


def product(shape: Shape, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """A product, and how often to repeat it."""
    m, k, n = shape
    a, b = torch.randn(m, k, dtype=dtype), torch.randn(n, k, dtype=dtype)
    return (lambda: a @ b.T), max(3, min(200, round(2e10 / (2 * m * k * n))))


def adam_of(weights: int) -> Callable[[], object]:
    """A step of fused Adam over one flat tensor."""
    flat = nn.Parameter(torch.randn(weights))
    flat.grad = torch.randn(weights)
    return torch.optim.Adam([flat], fused=True).step


def timed(call: Callable[[], object], repeats: int = 20) -> float:
    """Median seconds of a call."""
    seconds = []
    for _ in range(repeats + 3):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[3:])
