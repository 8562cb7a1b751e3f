"""All figures of a model on one part of the data, and what each of them means."""

import math

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.metrics.codes import sensitivity, sparsity
from isthmus.metrics.denoising import denoising, is_denoising
from isthmus.metrics.importance import Listener
from isthmus.metrics.reconstruction import reconstruction
from isthmus.metrics.scores import scores
from isthmus.metrics.variational import has_bound, variational
from isthmus.model import Autoencoder, Chunked
from isthmus.objective import Objective
from isthmus.training.validation import losses

MEANINGS: dict[str, str] = {
    "n": "examples",
    "loss": "nats: the objective, lower is better",
    "squared_error": "summed over features, in the model's units",
    "mse": "squared error divided by the features",
    "fvu": "variance unexplained: 1 is the mean example",
    "psnr": "dB: mean over images, higher is better",
    "cross_entropy": "nats: -log p(x|z) at the latent's mean",
    "cross_entropy_floor": "nats: entropy of the data, the least there is",
    "elbo": "nats: bound on log p(x), higher is better",
    "kl": "nats: KL(q(z|x) || prior), exact or, where no closed form is known, of a draw",
    "active_units": "latent dimensions with var E[z|x] > 0.01",
    "nll": "nats: -log p(x) by importance sampling",
    "bits_per_dim": "bits: nll / features, else -elbo, else -log p(x|z) at the mean",
    "l0": "code values that are not zero",
    "dead_fraction": "share of code values that are always zero",
    "jacobian_norm": "norm of dE[z|x]/dx, of 500 examples at most",
    "mse_corrupted": "squared error / features: of the input",
    "mse_restored": "squared error / features: of what is restored",
    "psnr_corrupted": "dB: of the input, cut to [0, 1]",
    "psnr_restored": "dB: of what is restored, higher is better",
    "ssim_corrupted": "structural similarity: of the input",
    "ssim_restored": "structural similarity: restored, at most 1",
}
"""Unit and meaning of each figure; all but counts are means over examples."""


def evaluate(
    objective: Objective,
    x: Tensor | Array | Chunked,
    *,
    seed: int = 0,
    importance_samples: int = 0,
    listener: Listener | None = None,
) -> dict[str, float]:
    """The figures that this model has on the examples ``x`` (N, *D); equal weights give equal figures.

    Figures that need a draw, of z or of a corruption, use ``seed``; all others take the latent's mean.

    Args:
        objective: what the model was trained by; its model is measured.
        x: examples: a tensor, an array, or data larger than memory, of which bad examples are left out.
        seed: of every draw.
        importance_samples: K > 0 adds ``nll``, estimated from K draws of z for each example.
        listener: told the share of the importance samples that is done.

    Raises:
        ShapeError: examples of another shape.
        BadData: examples that the likelihood cannot describe.
        IncompatibleParts: importance samples of a model that has no bound on log p(x).
        BadOption: K out of range.
    """
    model = objective.model
    if isinstance(x, Tensor | np.ndarray):
        x = model.examples(x)
        model.likelihood.check(x)  # type: ignore[operator]
    figures: dict[str, float] = {"n": 0, "loss": losses(objective, x, seed=seed)["loss"]}
    figures |= reconstruction(model, x)
    if has_bound(model):
        figures |= variational(model, x, seed=seed)
    if importance_samples:
        drawn = scores(model, x, seed, importance_samples=importance_samples, listener=listener)
        figures["nll"] = drawn.mean().item()
    # grey pixels have no mass under a Bernoulli likelihood, and so no bits; their entropy tells them
    if getattr(model.likelihood, "discrete", False) and not figures.get("cross_entropy_floor"):
        figures["bits_per_dim"] = _nats(figures, model, x) / torch.Size(x.shape[1:]).numel() / math.log(2)
    figures |= sparsity(model, x) | sensitivity(model, x)
    return figures | denoising(model, x, seed=seed) if is_denoising(model) else figures


def _nats(figures: dict[str, float], model: Autoencoder, x: Tensor | Chunked) -> float:
    """The negative log-likelihood that bits are counted from: the tightest that was measured."""
    if "nll" in figures:
        return figures["nll"]
    return -figures["elbo"] if "elbo" in figures else scores(model, x).mean().item()
