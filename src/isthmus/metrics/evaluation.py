"""All metrics of a model on one set of examples, and their meanings."""

import math

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.metrics.codes import codebook_use, sensitivity, sparsity
from isthmus.metrics.denoising import denoising, is_denoising, unseen
from isthmus.metrics.importance import ProgressCallback
from isthmus.metrics.losses import losses
from isthmus.metrics.reconstruction import reconstruction
from isthmus.metrics.scores import scores
from isthmus.metrics.variational import has_bound, variational
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.inputs import Chunked, chunks
from isthmus.models.objective import Objective
from isthmus.parts.hooks import Discrete, HasOwnTarget

MEANINGS: dict[str, str] = {
    "n": "number of examples",
    "loss": "training objective, in nats; lower is better",
    "squared_error": "squared error, summed over features",
    "mse": "mean squared error over features",
    "fvu": "fraction of variance unexplained; 1 for the mean example",
    "psnr": "peak signal-to-noise ratio, in dB; higher is better",
    "cross_entropy": "binary cross-entropy at the mean code, in nats",
    "cross_entropy_floor": "entropy of the data, in nats: lower bound of cross_entropy",
    "elbo": "evidence lower bound on log p(x), in nats; higher is better",
    "kl": "KL divergence of q(z|x) from the prior, in nats",
    "active_units": "number of latent dimensions with Var[E[z|x]] > 0.01",
    "nll": "-log p(x) by importance sampling, in nats",
    "bits_per_dim": "nll, else -elbo, else -log p(x|z), in bits per dimension",
    "l0": "number of nonzero code values",
    "dead_fraction": "fraction of code values that are zero for all examples",
    "codebook_perplexity": "perplexity of codeword usage; 1 to the codebook size",
    "jacobian_norm": "Frobenius norm of dE[z|x]/dx, on at most 500 examples",
    "mse_estimated": "mean squared error to the unseen clean input, from the noise",
    "mse_corrupted": "mean squared error of the corrupted input",
    "mse_restored": "mean squared error of the restored input",
    "psnr_corrupted": "PSNR of the corrupted input, clipped to [0, 1], in dB",
    "psnr_restored": "PSNR of the restored input, in dB; higher is better",
    "ssim_corrupted": "structural similarity of the corrupted input",
    "ssim_restored": "structural similarity of the restored input; at most 1",
}
"""Meaning of each metric with its unit; all but counts are means over examples."""


def evaluate(
    objective: Objective,
    x: Tensor | Array | Chunked,
    *,
    seed: int = 0,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
    inputs: Tensor | Array | Chunked | None = None,
) -> dict[str, float]:
    """Metrics of a trained model on the examples ``x``, by name (:data:`MEANINGS`); deterministic for a given seed.

    Metrics that depend on samples (of z, or of a corruption) use ``seed``; all others use the mean code. For pairs of
    input and target the inputs are encoded, errors are those to the targets, and the metrics of denoising are included.
    Missing values, NaN, are left out of all sums and means if the model accepts them (:attr:`Autoencoder.fill`).

    Args:
        objective: the objective with the trained model.
        x: examples (N, *D): a tensor, an array, or data larger than memory, whose invalid examples are left out.
        seed: seed of all samples.
        importance_samples: if K > 0, also compute ``nll`` from K samples of z per example.
        callback: called with the fraction of the importance samples that is done.
        inputs: what is encoded instead of ``x``, for pairs of input and target.

    Raises:
        ShapeError: examples of another shape, or another number of inputs.
        BadData: examples outside the support of the likelihood.
        IncompatibleParts: importance samples of a model without a bound on log p(x).
        BadOption: K out of range.
    """
    model = objective.model
    if isinstance(x, Tensor | np.ndarray):
        x = model.inputs(x)
        model.check(x)
    given = model.inputs(inputs) if isinstance(inputs, Tensor | np.ndarray) else inputs
    metrics: dict[str, float] = {"n": 0, "loss": losses(objective, x, seed=seed, inputs=given)["loss"]}
    metrics |= reconstruction(model, x, given)
    if has_bound(model):
        metrics |= variational(model, x, seed=seed, inputs=given)
    if importance_samples:
        nll = scores(model, x, seed, importance_samples=importance_samples, callback=callback, inputs=given)
        metrics["nll"] = nll.mean().item()
    # a Bernoulli likelihood is not a mass function on gray pixels, which have an entropy above 0: no bits per dimension
    if isinstance(model.likelihood, Discrete) and model.likelihood.discrete and not metrics.get("cross_entropy_floor"):
        metrics["bits_per_dim"] = _nats(metrics, model, x, given) / _dimensions(model, x) / math.log(2)
    seen = x if given is None else given
    metrics |= sparsity(model, seen) | codebook_use(model, seen) | sensitivity(model, seen)
    if is_denoising(model) or given is not None:
        metrics |= denoising(model, x, seed=seed, inputs=given)
    elif isinstance(model.corruption, HasOwnTarget):
        metrics |= unseen(model, x, seed=seed)
    return metrics


def _dimensions(model: Autoencoder, x: Tensor | Chunked) -> float:
    """Number of values of an example; of those that are observed, the mean over examples."""
    if model.fill is None:
        return torch.Size(x.shape[1:]).numel()
    counts = torch.cat([(~chunk.isnan()).flatten(1).sum(1) for chunk in chunks(x)])
    return counts.double().mean().item() or 1.0


def _nats(metrics: dict[str, float], model: Autoencoder, x: Tensor | Chunked, inputs: Tensor | Chunked | None) -> float:
    """Negative log-likelihood for bits per dimension: ``nll``, else -``elbo``, else -log p(x|z) at the mean code."""
    if "nll" in metrics:
        return metrics["nll"]
    return -metrics["elbo"] if "elbo" in metrics else scores(model, x, inputs=inputs).mean().item()
