"""The figures that are waited for, computed in the same way for all competitors, in float32 networks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK = 1000


@dataclass(frozen=True)
class Part:
    """Images (N, 1, H, W) in [0, 1], and what a network sees of them: the same, or noisy ones."""

    x: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Coder:
    """A network as two functions: features of images (for a VAE the mean and log scale), and pixels of a code."""

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]


def part(images: np.ndarray, noisy: np.ndarray | None) -> Part:
    """Images (N, H, W) of 8 bits, and optionally their noisy copies in [0, 1]."""
    x = torch.from_numpy(images).float().div_(255).unsqueeze(1)
    return Part(x, x if noisy is None else torch.from_numpy(noisy).unsqueeze(1))


def squared_error(coder: Coder, images: Part) -> float:
    """Squared error of an image, summed over pixels."""
    return float((_restored(coder, images) - images.x.double()).square().sum() / len(images.x))


def cross_entropy(coder: Coder, images: Part) -> float:
    """Nats per pixel."""
    return float(F.binary_cross_entropy(_restored(coder, images), images.x.double()))


def bound(coder: Coder, images: Part) -> float:
    """The bound on log p(x) in nats per image, from one code per image, sampled with the same noise each time."""
    noise, total = torch.Generator().manual_seed(0), 0.0
    with torch.no_grad():
        for x in images.x.split(CHUNK):
            loc, log_scale = coder.encode(x).chunk(2, 1)
            scale = log_scale.exp()
            pixels = coder.decode(loc + scale * torch.randn(loc.shape, generator=noise))
            total += float(F.binary_cross_entropy(pixels.double().view_as(x), x.double(), reduction="sum"))
            total += float((0.5 * (loc.square() + scale.square() - 1) - log_scale).sum())
    return -total / len(images.x)


def psnr(coder: Coder, images: Part) -> float:
    """Peak signal-to-noise ratio of a restored image in dB, as in ``benchmarks/denoising.py``."""
    import denoising  # brings the filters it compares with, which other figures do without

    return denoising.psnr(images.x.numpy(), _restored(coder, images).float().numpy())


def _restored(coder: Coder, images: Part) -> Tensor:
    """Reconstructions of what the network sees, in double precision."""
    with torch.no_grad():
        chunks = [coder.decode(coder.encode(x)).double() for x in images.seen.split(CHUNK)]
    return torch.cat(chunks).view_as(images.x)


FIGURES: dict[str, Callable[[Coder, Part], float]] = {
    "squared_error": squared_error,
    "bound": bound,
    "cross_entropy": cross_entropy,
    "psnr": psnr,
}
