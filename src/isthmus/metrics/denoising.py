r"""How much of what a corruption took a model brings back: the restored input against the corrupted one."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.corruptions import Identity
from isthmus.metrics.reconstruction import are_pictures
from isthmus.model import Autoencoder, Chunked, chunks, inference, seeded


def is_denoising(model: Autoencoder) -> bool:
    """Whether the model was made to undo a corruption."""
    return not isinstance(model.corruption, Identity)


def corrupted(model: Autoencoder, x: Tensor, *, seed: int = 0) -> Tensor:
    """What the model's own corruption makes of ``x`` at the end of a run, at the full strength of its schedules."""
    return torch.cat([bad for _, bad in pairs(model, x, seed=seed)])


def pairs(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of ``x``, and what the model's own corruption makes of each at the end of a run."""
    with inference(model), seeded(seed):
        for chunk in chunks(x):
            clean = chunk.to(model.like.device, model.like.dtype)
            yield clean, model.corruption(clean, 1.0).x


def denoising(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> dict[str, float]:
    r"""Errors of the corrupted and of the restored input against the clean one, means over examples.

    ``mse`` in the model's units; for images in [0, 1] ``psnr`` in dB and ``ssim``, at most 1, where the corrupted
    image is cut to [0, 1] as a screen would. What is restored is the mean of p(x|z) at the mean code.

    References:
        Stacked denoising autoencoders (Vincent et al., 2010)
        Image quality assessment: from error visibility to structural similarity (Wang et al., 2004)
    """
    sums: dict[str, float] = {}
    n, pictures = 0, True
    for clean, bad in pairs(model, x, seed=seed):
        n, pictures = n + len(clean), pictures and are_pictures(clean)
        for name, y in (("corrupted", bad), ("restored", model.reconstruct(bad))):
            figures = {"mse": F.squared_error(clean, y) / y[0].numel()}
            if pictures:
                y = y.clamp(0, 1)
                figures |= {"psnr": F.psnr(clean, y), "ssim": F.ssim(clean, y)}
            for kind, values in figures.items():
                sums[f"{kind}_{name}"] = sums.get(f"{kind}_{name}", 0.0) + values.sum().item()
    # one chunk that leaves [0, 1] makes all of them no pictures
    known = {name for name in sums if pictures or name.startswith("mse")}
    return {name: sums[name] / n for name in sorted(known)}
