r"""Reconstruction metrics at the mean code, which are deterministic."""

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.metrics.moments import Moments
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks
from isthmus.parts.likelihoods import Bernoulli


def are_pictures(x: Tensor) -> bool:
    """Whether examples are images in [0, 1]."""
    return x.ndim == 4 and bool((x.min() >= 0) & (x.max() <= 1))


def reconstruction(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    r"""Squared error, fraction of variance unexplained, PSNR of images, and cross-entropy of Bernoulli likelihoods.

    ``squared_error`` is the sum over features, mean over examples; ``mse`` is the mean over features and examples;
    ``fvu`` is :math:`\sum_n\lVert x_n - \hat x_n\rVert^2 / \sum_n\lVert x_n - \bar x\rVert^2`, omitted if all
    examples are equal. With a Bernoulli likelihood ``cross_entropy`` is :math:`-\log p(x|z)` in nats per example, and
    ``cross_entropy_floor`` is the entropy of the pixels, its lower bound. For images in [0, 1], ``psnr`` is the mean
    over images, in dB. ``n`` is the number of examples.

    Args:
        model: the trained model.
        x: examples (N, *D), preprocessed for the model.
    """
    bernoulli = isinstance(model.likelihood, Bernoulli)
    images, moments = True, Moments()
    sums = dict.fromkeys(("squared_error", "psnr", "cross_entropy", "floor"), 0.0)
    for chunk in chunks(x):
        chunk = chunk.to(model.like.device, model.like.dtype)
        images = images and are_pictures(chunk)
        moments.see(chunk)
        with inference(model):
            p = model.output(model.encode(chunk))
            y = p.mean
            sums["squared_error"] += F.squared_error(chunk, y).sum().item()
            if images:
                sums["psnr"] += F.psnr(chunk, y).sum().item()
            if bernoulli:
                sums["cross_entropy"] -= p.log_prob(chunk).sum().item()
                sums["floor"] += F.binary_entropy(chunk).sum().item()
    n, features = moments.n, torch.Size(x.shape[1:]).numel()
    metrics: dict[str, float] = {"n": n}
    metrics |= {"squared_error": sums["squared_error"] / n, "mse": sums["squared_error"] / n / features}
    variance = moments.variance().sum().item()
    if variance > 0:
        metrics["fvu"] = metrics["squared_error"] / variance
    if images:
        metrics["psnr"] = sums["psnr"] / n
    if bernoulli:
        metrics["cross_entropy"] = sums["cross_entropy"] / n
        metrics["cross_entropy_floor"] = sums["floor"] / n
    return metrics
