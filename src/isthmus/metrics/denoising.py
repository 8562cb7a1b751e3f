r"""Denoising metrics: errors of corrupted and of restored inputs."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.metrics.reconstruction import are_pictures
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks
from isthmus.models.seeding import seeded
from isthmus.parts.corruptions import Identity


def is_denoising(model: Autoencoder) -> bool:
    """Whether the model is a denoising autoencoder."""
    return not isinstance(model.corruption, Identity)


def corrupted(model: Autoencoder, x: Tensor, *, seed: int = 0) -> Tensor:
    """``x`` with the model's corruption, at its strength at the end of a run."""
    return torch.cat([noisy for _, noisy in pairs(model, x, seed=seed)])


def pairs(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of ``x``, and the same with the model's corruption, at its strength at the end of a run."""
    with inference(model), seeded(seed):
        for chunk in chunks(x):
            clean = chunk.to(model.like.device, model.like.dtype)
            yield clean, model.corruption(clean, 1.0).x


def denoising(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> dict[str, float]:
    r"""Errors of corrupted and of restored inputs with respect to clean inputs, means over examples.

    ``mse`` in squared units of the model's input; for images in [0, 1] also ``psnr`` in dB and ``ssim``, at most 1, of
    images clipped to [0, 1]. The restored input is the mean of p(x|z) at the mean code of the corrupted input.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010)
        Image quality assessment: from error visibility to structural similarity (Wang et al., 2004)
    """
    sums: dict[str, float] = {}
    n, images = 0, True
    for clean, noisy in pairs(model, x, seed=seed):
        n, images = n + len(clean), images and are_pictures(clean)
        for name, y in (("corrupted", noisy), ("restored", model.reconstruct(noisy))):
            metrics = {"mse": F.squared_error(clean, y) / y[0].numel()}
            if images:
                y = y.clamp(0, 1)
                metrics |= {"psnr": F.psnr(clean, y), "ssim": F.ssim(clean, y)}
            for kind, values in metrics.items():
                sums[f"{kind}_{name}"] = sums.get(f"{kind}_{name}", 0.0) + values.sum().item()
    # image metrics only if all chunks lie in [0, 1]
    known = {name for name in sums if images or name.startswith("mse")}
    return {name: sums[name] / n for name in sorted(known)}
