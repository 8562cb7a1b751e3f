"""The fastest plain autograd loop known to us: indexing on the device, bfloat16 autocast, fused Adam, channels last,
the allocator's settings; compiled on request. With ``muon``, ``torch.optim.Muon`` on all matrices instead of Adam.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from networks import pair
from rows import MALLOC, Row
from torch import Tensor, nn
from turns import Turns

HAS_BF16 = any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
"""Whether products in bfloat16 are fast here."""


def tune_allocator() -> None:
    """Keep freed memory; as in Isthmus, but written out, for this loop stands alone."""
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-1, int(MALLOC["MALLOC_TRIM_THRESHOLD_"]))
    libc.mallopt(-3, int(MALLOC["MALLOC_MMAP_THRESHOLD_"]))


def loss_of(encoder: nn.Module, decoder: nn.Module, x: Tensor, drawn: bool) -> Tensor:
    """The negative bound (``drawn``) or the cross-entropy of a batch, in nats per example."""
    with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
        h = encoder(x)
    h = h.float()
    is_divergence = torch.zeros(())
    if drawn:
        loc, log_scale = h.chunk(2, 1)
        scale = log_scale.exp()
        h = loc + scale * torch.randn_like(loc)
        is_divergence = (0.5 * (loc.square() + scale.square() - 1) - log_scale).sum()
    with torch.autocast("cpu", torch.bfloat16, enabled=HAS_BF16):
        logits = decoder(h)
    error = F.binary_cross_entropy_with_logits(logits.float(), x, reduction="sum")
    return (error + is_divergence) / len(x)


def compete(row: Row, images: np.ndarray, turns: Turns, variant: str) -> None:
    """One turn after another."""
    tune_allocator()
    encoder, decoder = pair(row.net)
    x = placed(images, encoder, decoder)
    tools = optimizers([*encoder.parameters(), *decoder.parameters()], row, variant)
    measure = torch.compile(loss_of, dynamic=False) if variant == "compiled" else loss_of
    while True:
        turns.wait()
        turns.done(len(x), one_pass(encoder, decoder, x, row, tools, measure))


def placed(images: np.ndarray, encoder: nn.Module, decoder: nn.Module) -> Tensor:
    """Pixels in [0, 1]; feature maps and the weights of convolutions with channels last."""
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    if not has_maps(encoder):
        return x
    for part in (encoder, decoder):
        part.to(memory_format=torch.channels_last)
    return x.contiguous(memory_format=torch.channels_last)


def has_maps(encoder: nn.Module) -> bool:
    """Whether a network has convolutions."""
    return any(isinstance(layer, nn.Conv2d) for layer in encoder.modules())


def one_pass(
    encoder: nn.Module,
    decoder: nn.Module,
    x: Tensor,
    row: Row,
    tools: Sequence[Any],
    measure: Callable[[nn.Module, nn.Module, Tensor, bool], Tensor] = loss_of,
) -> float:
    """One pass over the images in random order; the mean loss of its batches. ``tools`` take the steps."""
    parameters, maps = [*encoder.parameters(), *decoder.parameters()], has_maps(encoder)
    total = torch.zeros(())
    for rows in torch.randperm(len(x)).split(row.batch):
        batch = x[rows] if maps else x.index_select(0, rows)
        loss = measure(encoder, decoder, batch, row.net == "vae")
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        for tool in tools:
            tool.step()
        total += loss.detach() * len(batch)
    return total.item() / len(x)


def optimizers(parameters: list[nn.Parameter], row: Row, variant: str) -> list[torch.optim.Optimizer]:
    """Fused Adam; or Muon on all matrices and AdamW on the rest."""
    if variant != "muon":
        return [torch.optim.Adam(parameters, row.rate, fused=True)]
    matrices = [p for p in parameters if p.ndim == 2]
    rest = [p for p in parameters if p.ndim != 2]
    muon = torch.optim.Muon(matrices, row.rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    return [muon, torch.optim.AdamW(rest, row.rate, weight_decay=0.0, fused=True)]
