r"""How unusual each example is to a model: a score in nats, higher for the more anomalous."""

import torch
from torch import Tensor

from isthmus.errors import check_range
from isthmus.metrics.importance import MOST_SAMPLES, Listener, log_likelihoods
from isthmus.metrics.variational import chunked_bounds, has_bound
from isthmus.model import Autoencoder, Chunked, chunks, inference


def scores(
    model: Autoencoder,
    x: Tensor | Chunked,
    seed: int = 0,
    *,
    importance_samples: int = 0,
    listener: Listener | None = None,
) -> Tensor:
    r"""The negative log-likelihood of each example, (N,) in float64, in nats; higher is more anomalous.

    Where log p(x) has a bound, it is minus that bound: the evidence lower bound from one draw, or the importance
    bound from K. Elsewhere it is the reconstruction error :math:`-\log p(x \mid \mathbb E[z|x])`.

    Args:
        model: the trained model.
        x: examples (N, *D), prepared as the model takes them.
        seed: of the draws.
        importance_samples: K, or 0 for the evidence lower bound.
        listener: told of progress.

    References:
        Variational autoencoder based anomaly detection using reconstruction probability (An & Cho, 2015)

    Raises:
        IncompatibleParts: importance samples of a model that has no bound.
        BadOption: K out of range.
    """
    check_range("The number of importance samples", importance_samples, 0, MOST_SAMPLES)
    if importance_samples:
        return -log_likelihoods(model, x, importance_samples, seed=seed, listener=listener)
    if has_bound(model):
        return -torch.cat([bound.elbo for bound in chunked_bounds(model, x, seed=seed)])
    parts = []
    with inference(model):
        for chunk in chunks(x):
            chunk = chunk.to(model.like.device, model.like.dtype)
            parts.append(-model.output(model.encode(chunk)).log_prob(chunk).cpu().double())
    return torch.cat(parts)


def meaning(model: Autoencoder, importance_samples: int = 0) -> str:
    """What the scores of this model are, in words."""
    if importance_samples:
        return f"nats: -log p(x), from {importance_samples:,} importance samples"
    return "nats: bound on -log p(x), from one draw" if has_bound(model) else "nats: -log p(x|z) at the latent's mean"
