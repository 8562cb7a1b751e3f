"""The fastest plain autograd loop known to us: indexing on the device, autocast to bfloat16 where the processor has it,
fused Adam, channels last, the allocator's settings; compiled on request. With ``muon``, ``torch.optim.Muon`` on all
matrices instead of Adam.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from networks import CODE, DENSE, pair
from precision import dtype_of, tune_float32
from rows import MALLOC, Row
from torch import Tensor, nn
from turns import Turns

Step = Callable[[Tensor, Tensor | None], Tensor]
"""Updates the weights on a batch and its noise, and returns the loss."""


def tune(dtype: torch.dtype) -> None:
    """Keep freed memory, as Isthmus does, and take the fastest products."""
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-1, int(MALLOC["MALLOC_TRIM_THRESHOLD_"]))
    libc.mallopt(-3, int(MALLOC["MALLOC_MMAP_THRESHOLD_"]))
    if dtype == torch.float32:
        tune_float32()


def loss_of(
    encoder: Callable[[Tensor], Tensor],
    decoder: Callable[[Tensor], Tensor],
    x: Tensor,
    noise: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    """The negative bound (with ``noise``) or the cross-entropy of a batch, in nats per example."""
    low = torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)
    with low:
        h = encoder(x)
    h = h.float()
    is_divergence = torch.zeros(())
    if noise is not None:
        loc, log_scale = h.chunk(2, 1)
        scale = log_scale.exp()
        h = loc + scale * noise
        is_divergence = (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum()
    with low:
        logits = decoder(h)
    error = F.binary_cross_entropy_with_logits(logits.float(), x, reduction="sum")
    return (error + is_divergence) / len(x)


def compete(row: Row, images: np.ndarray, turns: Turns, variant: str) -> None:
    """One turn after another."""
    dtype = dtype_of(row.precision)
    tune(dtype)
    encoder, decoder = pair(row.net, row.seed)
    x = placed(images, row.net, encoder, decoder)
    tools = optimizers([*encoder.parameters(), *decoder.parameters()], row, variant)
    step = stepping(encoder, decoder, tools, dtype, compiled=variant == "compiled")
    while True:
        turns.wait()
        turns.done(len(x), one_pass(x, row, step))


def placed(images: np.ndarray, net: str, *parts: nn.Module) -> Tensor:
    """Pixels in [0, 1]; feature maps and the weights of convolutions with channels last."""
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    if net in DENSE:
        return x
    for part in parts:
        part.to(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last)


def stepping(
    encoder: nn.Module,
    decoder: nn.Module,
    tools: Sequence[Any],
    dtype: torch.dtype,
    *,
    loss_of: Callable[..., Tensor] = loss_of,
    compiled: bool = False,
) -> Step:
    """The step of a batch and its noise, with ``tools`` that update the weights to lower ``loss_of``."""
    parameters = [*encoder.parameters(), *decoder.parameters()]
    measure = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def step(x: Tensor, noise: Tensor | None) -> Tensor:
        loss = measure(encoder, decoder, x, noise, dtype)
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        for tool in tools:
            tool.step()
        return loss.detach()

    return step


def one_pass(x: Tensor, row: Row, step: Step) -> float:
    """One pass over the images in random order; the mean loss of its batches."""
    total = torch.zeros(())
    for rows in torch.randperm(len(x)).split(row.batch):
        batch = x.index_select(0, rows) if row.net in DENSE else x[rows]
        noise = torch.randn(len(rows), CODE[row.net]) if row.net == "vae" else None
        total += step(batch, noise) * len(rows)
    return total.item() / len(x)


def optimizers(parameters: list[nn.Parameter], row: Row, variant: str) -> list[torch.optim.Optimizer]:
    """Fused Adam; or Muon on all matrices and AdamW on the rest."""
    if variant != "muon":
        return [torch.optim.Adam(parameters, row.rate, fused=True)]
    matrices = [p for p in parameters if p.ndim == 2]
    rest = [p for p in parameters if p.ndim != 2]
    muon = torch.optim.Muon(matrices, row.rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, row.rate, weight_decay=0.0, fused=True)]
