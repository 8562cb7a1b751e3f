r"""Denoising metrics: errors of corrupted and of restored inputs."""

from collections.abc import Iterator

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.metrics.reconstruction import are_pictures, psnr
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks, paired_chunks
from isthmus.models.seeding import seeded
from isthmus.parts.corruptions import Identity
from isthmus.parts.hooks import HasOwnTarget


def is_denoising(model: Autoencoder) -> bool:
    """Whether the model is a denoising autoencoder that was trained on clean examples, which its output resembles."""
    return not isinstance(model.corruption, Identity) and not isinstance(model.corruption, HasOwnTarget)


def corrupted(model: Autoencoder, x: Tensor, *, seed: int = 0) -> Tensor:
    """``x`` with the model's corruption, at its strength at the end of a run."""
    return torch.cat([noisy for _, noisy in pairs(model, x, seed=seed)])


def pairs(
    model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0, inputs: Tensor | Chunked | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunks of ``x``, and what the encoder sees of them: ``inputs``, by default ``x``, with the model's corruption.

    The corruption has its strength at the end of a run; missing values are filled before it.
    """
    with inference(model), seeded(seed):
        for pair in paired_chunks(x, inputs):
            clean, given = (value.to(model.like.device, model.like.dtype) for value in pair)
            yield clean, model.corruption(model.encodable(given), 1.0).x


def denoising(
    model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0, inputs: Tensor | Chunked | None = None
) -> dict[str, float]:
    r"""Errors of corrupted and of restored inputs with respect to clean inputs, means over examples.

    ``mse`` in squared units of the model's input; for images in [0, 1] also ``psnr`` in dB and ``ssim``, at most 1, of
    images clipped to [0, 1]. The restored input is the mean of p(x|z) at the mean code of the corrupted input. For
    pairs the corrupted input is that of the pair; values that the corruption made missing are 0 in it. Missing values
    of the data are left out of ``mse`` and ``psnr``; ``ssim`` is omitted if there are any.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010)
        Image quality assessment: from error visibility to structural similarity (Wang et al., 2004)
    """
    sums: dict[str, float] = {}
    n, images, observed, cells, pictures = 0, True, 0, 0, 0
    for clean, noisy in pairs(model, x, seed=seed, inputs=inputs):
        there = None if model.fill is None else ~clean.isnan()
        n, cells, images = n + len(clean), cells + clean.numel(), images and are_pictures(model.filled(clean))
        observed += clean.numel() if there is None else int(there.sum().item())
        pictures += len(clean) if there is None else int(there.flatten(1).any(1).sum().item())
        # a value that the corruption made missing counts as 0
        for name, y in (("corrupted", noisy.nan_to_num(0.0)), ("restored", model.reconstruct(noisy))):
            for kind, values in _errors(clean, y, there, images=images).items():
                sums[f"{kind}_{name}"] = sums.get(f"{kind}_{name}", 0.0) + values.sum().item()
    counts = {"mse": n * (observed / cells) or 1, "psnr": pictures or 1, "ssim": n}
    # image metrics only if all chunks lie in [0, 1]
    kinds = ["mse", *["psnr"] * images, *["ssim"] * (images and observed == cells)]
    return {name: sums[name] / counts[name.split("_")[0]] for name in sorted(sums) if name.split("_")[0] in kinds}


def unseen(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> dict[str, float]:
    r"""Mean squared error to clean inputs that nobody has seen, estimated from the noise of the examples ``x``.

    .. math:: \overline{(f(y + \alpha n) - y + n / \alpha)^2} - \sigma^2 (1 + 1 / \alpha^2)

    for a model with a corruption of noisy examples (:class:`isthmus.parts.corruptions.Recorruption`). The noise of the
    target is independent of that of the input, so its variance adds to the squared error to the clean input. Slightly
    more than the error at the noise of y alone; negative by chance where the error is small and examples are few.
    """
    assert isinstance(model.corruption, HasOwnTarget)
    total, count = 0.0, 0
    with inference(model), seeded(seed):
        for chunk in chunks(x):
            y = chunk.to(model.like.device, model.like.dtype)
            noisy, _, target = model.corruption(y)
            assert target is not None
            error = (model.reconstruct(noisy) - target).square() - model.corruption.target_variance(y)
            total, count = total + error.nansum().item(), count + int(error.isfinite().sum())
    return {"mse_estimated": total / max(count, 1)}


def _errors(clean: Tensor, y: Tensor, observed: Tensor | None, *, images: bool) -> dict[str, Tensor]:
    """The errors of ``y`` per example; mse as the sum over observed values divided by the number of all."""
    target = clean if observed is None else torch.where(observed, clean, y)
    errors = {"mse": F.squared_error(target, y) / y[0].numel()}
    if images:
        y = y.clamp(0, 1)
        target = clean if observed is None else torch.where(observed, clean, y)
        # frames are images of their own
        frames = (values.reshape(-1, *values.shape[-3:]) for values in (target, y))
        ssim = F.ssim(*frames).reshape(len(y), -1).mean(1)
        errors |= {"psnr": psnr(target, y, observed), "ssim": ssim}
    return errors
