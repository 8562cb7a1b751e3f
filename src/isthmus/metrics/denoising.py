r"""How much of what a corruption took a model brings back: the restored input against the corrupted one."""

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.corruptions import Identity
from isthmus.metrics.reconstruction import are_pictures
from isthmus.model import CHUNK, Autoencoder, inference, seeded


def is_denoising(model: Autoencoder) -> bool:
    """Whether the model was made to undo a corruption."""
    return not isinstance(model.corruption, Identity)


def corrupted(model: Autoencoder, x: Tensor, *, seed: int = 0) -> Tensor:
    """What the model's own corruption makes of ``x`` at the end of a run, at the full strength of its schedules."""
    with inference(model), seeded(seed):
        parts = [
            model.corruption(chunk.to(model.like.device, model.like.dtype), 1.0).x for chunk in torch.split(x, CHUNK)
        ]
    return torch.cat(parts)


def denoising(model: Autoencoder, x: Tensor, *, seed: int = 0) -> dict[str, float]:
    r"""Errors of the corrupted and of the restored input against the clean one, means over examples.

    ``mse`` in the model's units; for images in [0, 1] ``psnr`` in dB and ``ssim``, at most 1, where the corrupted
    image is cut to [0, 1] as a screen would. What is restored is the mean of p(x|z) at the mean code.

    References:
        Stacked denoising autoencoders (Vincent et al., 2010)
        Image quality assessment: from error visibility to structural similarity (Wang et al., 2004)
    """
    sums: dict[str, float] = {}
    pictures = are_pictures(x)
    broken = corrupted(model, x, seed=seed)
    for clean, bad in zip(torch.split(x, CHUNK), torch.split(broken, CHUNK), strict=True):
        clean = clean.to(bad)
        for name, y in (("corrupted", bad), ("restored", model.reconstruct(bad))):
            figures = {"mse": F.squared_error(clean, y) / y[0].numel()}
            if pictures:
                y = y.clamp(0, 1)
                figures |= {"psnr": F.psnr(clean, y), "ssim": F.ssim(clean, y)}
            for kind, values in figures.items():
                sums[f"{kind}_{name}"] = sums.get(f"{kind}_{name}", 0.0) + values.sum().item()
    return {name: value / len(x) for name, value in sorted(sums.items())}
