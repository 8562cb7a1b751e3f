r"""Reconstruction metrics at the mean code, which are deterministic."""

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.metrics.moments import Moments
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, paired_chunks
from isthmus.parts.likelihoods import Bernoulli


def are_pictures(x: Tensor) -> bool:
    """Whether examples are images or frames in [0, 1]."""
    return x.ndim in (4, 5) and bool((x.min() >= 0) & (x.max() <= 1))


def as_shown(y: Tensor, like: Tensor) -> Tensor:
    """Model outputs as they are shown: pictures within [0, 1], if examples ``like`` them are."""
    return y.clamp(0, 1) if are_pictures(like) else y


def reconstruction(model: Autoencoder, x: Tensor | Chunked, inputs: Tensor | Chunked | None = None) -> dict[str, float]:
    r"""Squared error, fraction of variance unexplained, PSNR of images, and cross-entropy of Bernoulli likelihoods.

    ``squared_error`` is the sum over features, mean over examples; ``mse`` is the mean over features and examples;
    ``fvu`` is :math:`\sum_n\lVert x_n - \hat x_n\rVert^2 / \sum_n\lVert x_n - \bar x\rVert^2`, omitted if all
    examples are equal. With a Bernoulli likelihood ``cross_entropy`` is :math:`-\log p(x|z)` in nats per example, and
    ``cross_entropy_floor`` is the entropy of the pixels, its lower bound. For images in [0, 1], ``psnr`` is the mean
    over images, in dB. ``n`` is the number of examples. All sums and means, and :math:`\bar x`, are over the observed
    values, without missing ones.

    Args:
        model: the trained model.
        x: examples (N, *D), preprocessed for the model.
        inputs: what is encoded instead of ``x``, for pairs of input and target.
    """
    bernoulli = isinstance(model.likelihood, Bernoulli)
    images, moments, observed, pictures = True, Moments(), 0.0, 0
    sums = dict.fromkeys(("squared_error", "psnr", "cross_entropy", "floor"), 0.0)
    for chunk, given in paired_chunks(x, inputs):
        chunk, given = (value.to(model.like.device, model.like.dtype) for value in (chunk, given))
        whole, there = model.filled(chunk), None if model.fill is None else ~chunk.isnan()
        images = images and are_pictures(whole)
        moments.see(whole, there)
        observed += chunk.numel() if there is None else there.sum().item()
        with inference(model):
            p = model.output(model.encode(given))
            y = p.mean
            target = chunk if there is None else torch.where(there, chunk, y)
            sums["squared_error"] += F.squared_error(target, y).sum().item()
            if images:
                values = psnr(target, y, there)
                sums["psnr"], pictures = sums["psnr"] + values.sum().item(), pictures + len(values)
            if bernoulli:
                sums["cross_entropy"] -= p.log_prob(chunk).sum().item()
                sums["floor"] += F.binary_entropy(chunk if there is None else chunk.nan_to_num(0.0)).sum().item()
    n = moments.n
    metrics: dict[str, float] = {"n": n}
    metrics |= {"squared_error": sums["squared_error"] / n, "mse": sums["squared_error"] / n / ((observed / n) or 1)}
    variance = moments.deviation().sum().item()
    if variance > 0:
        metrics["fvu"] = metrics["squared_error"] / variance
    if images:
        metrics["psnr"] = sums["psnr"] / max(pictures, 1)
    if bernoulli:
        metrics["cross_entropy"] = sums["cross_entropy"] / n
        metrics["cross_entropy_floor"] = sums["floor"] / n
    return metrics


def psnr(x: Tensor, y: Tensor, observed: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio per image, in dB, over its observed pixels; x and y are equal at all others.

    Images without observed pixels are left out.
    """
    if observed is None:
        return F.psnr(x, y)
    count = F.per_example(observed.to(x.dtype))
    mse = (F.squared_error(x, y) / count)[count > 0]
    return -10 * torch.log10(mse.clamp_min(1e-10))
