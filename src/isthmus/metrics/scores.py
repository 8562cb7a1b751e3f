r"""Anomaly scores of examples, in nats; higher scores are more anomalous."""

import torch
from torch import Tensor

from isthmus.errors import check_range
from isthmus.metrics.importance import MOST_SAMPLES, ProgressCallback, log_likelihoods
from isthmus.metrics.variational import chunked_bounds, has_bound
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks


def scores(
    model: Autoencoder,
    x: Tensor | Chunked,
    seed: int = 0,
    *,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
) -> Tensor:
    r"""Anomaly score per example, in nats, shape (N,), float64; higher scores are more anomalous.

    For models with a bound on log p(x) it is the negative bound: the evidence lower bound from one sample, or the
    importance-weighted bound from K samples. Otherwise it is the reconstruction error
    :math:`-\log p(x \mid \mathbb E[z|x])`.

    Args:
        model: the trained model.
        x: examples (N, *D), preprocessed for the model.
        seed: seed of the samples.
        importance_samples: number of importance samples K per example, or 0 for the evidence lower bound.
        callback: called with the fraction of the importance samples that is done.

    References:
        Variational autoencoder based anomaly detection using reconstruction probability (An & Cho, 2015)

    Raises:
        IncompatibleParts: importance samples of a model without a bound.
        BadOption: K out of range.
    """
    check_range("The number of importance samples", importance_samples, 0, MOST_SAMPLES)
    if importance_samples:
        return -log_likelihoods(model, x, importance_samples, seed=seed, callback=callback)
    if has_bound(model):
        return -torch.cat([bound.elbo for bound in chunked_bounds(model, x, seed=seed)])
    errors = []
    with inference(model):
        for chunk in chunks(x):
            chunk = chunk.to(model.like.device, model.like.dtype)
            errors.append(-model.output(model.encode(chunk)).log_prob(chunk).cpu().double())
    return torch.cat(errors)


def meaning(model: Autoencoder, importance_samples: int = 0) -> str:
    """A description of the scores of this model, with their unit."""
    if importance_samples:
        return f"-log p(x) from {importance_samples:,} importance samples, in nats"
    if has_bound(model):
        return "negative evidence lower bound from one sample, in nats"
    return "-log p(x|z) at the mean code, in nats"
