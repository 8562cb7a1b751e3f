r"""How much of each example is left behind the code, with the latent's mean: figures that repeat exactly."""

import torch
from torch import Tensor

from isthmus import functional as F
from isthmus.likelihoods import Bernoulli
from isthmus.metrics.moments import Moments
from isthmus.model import Autoencoder, Chunked, chunks, inference


def are_pictures(x: Tensor) -> bool:
    """Whether examples are images in [0, 1]."""
    return x.ndim == 4 and bool((x.min() >= 0) & (x.max() <= 1))


def reconstruction(model: Autoencoder, x: Tensor | Chunked) -> dict[str, float]:
    r"""Squared error, its mean over features, its share of the variance, and what the likelihood makes of it.

    ``squared_error`` is the sum over features, mean over examples; ``mse`` the same divided by the features; ``fvu``
    the fraction of variance unexplained, :math:`\sum_n\lVert x_n - \hat x_n\rVert^2 / \sum_n\lVert x_n - \bar
    x\rVert^2`, which is left out where the examples do not vary. With a Bernoulli likelihood ``cross_entropy`` is
    :math:`-\log p(x|z)` in nats per example and ``cross_entropy_floor`` the entropy of the pixels, below which no
    model can get. For images in [0, 1], ``psnr`` is the mean over images, in dB. ``n`` is the number of examples.

    Args:
        model: the trained model.
        x: examples (N, *D), prepared as the model takes them.
    """
    bernoulli = isinstance(model.likelihood, Bernoulli)
    pictures, seen = True, Moments()
    sums = dict.fromkeys(("squared_error", "psnr", "cross_entropy", "floor"), 0.0)
    for chunk in chunks(x):
        chunk = chunk.to(model.like.device, model.like.dtype)
        pictures = pictures and are_pictures(chunk)
        seen.see(chunk)
        with inference(model):
            p = model.output(model.encode(chunk))
            y = p.mean
            sums["squared_error"] += F.squared_error(chunk, y).sum().item()
            if pictures:
                sums["psnr"] += F.psnr(chunk, y).sum().item()
            if bernoulli:
                sums["cross_entropy"] -= p.log_prob(chunk).sum().item()
                sums["floor"] += F.binary_entropy(chunk).sum().item()
    n, features = seen.n, torch.Size(x.shape[1:]).numel()
    figures: dict[str, float] = {"n": n}
    figures |= {"squared_error": sums["squared_error"] / n, "mse": sums["squared_error"] / n / features}
    variance = seen.variance().sum().item()
    if variance > 0:
        figures["fvu"] = figures["squared_error"] / variance
    if pictures:
        figures["psnr"] = sums["psnr"] / n
    if bernoulli:
        figures["cross_entropy"] = sums["cross_entropy"] / n
        figures["cross_entropy_floor"] = sums["floor"] / n
    return figures
