r"""Anomaly scores of examples, in nats; higher scores are more anomalous.

An example with values outside the support :math:`[a, b]` of the likelihood is clipped to it, with gray levels rounded
to the nearest level, and its score is continued by a Gaussian tail, so that it increases with the distance:

.. math:: s(x) = s(\mathrm{clip}(x)) + \sum_j \frac12 \left(\frac{x_j - \mathrm{clip}(x_j)}{\tau}\right)^2,
          \quad \tau = 0.1\,(b - a)

Where only one end of the support is finite, :math:`\tau` is 0.1 of the unit of the model's input. Missing values are
left out of all sums.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from isthmus.errors import check_range
from isthmus.metrics.importance import MOST_SAMPLES, ProgressCallback, log_likelihoods
from isthmus.metrics.variational import chunked_bounds, has_bound
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks, paired_chunks
from isthmus.parts.likelihoods.support import clip_to_support, support_of, support_width

TAIL = 0.1
r"""Standard deviation :math:`\tau` of the Gaussian tail outside the support, relative to the width of the support."""


def scores(
    model: Autoencoder,
    x: Tensor | Chunked,
    seed: int = 0,
    *,
    importance_samples: int = 0,
    callback: ProgressCallback | None = None,
    inputs: Tensor | Chunked | None = None,
    shared: bool = False,
) -> Tensor:
    r"""Anomaly score per example, in nats, shape (N,), float64; higher scores are more anomalous.

    For models with a bound on log p(x) it is the negative bound: the evidence lower bound from one sample, or the
    importance-weighted bound from K samples. Otherwise it is the reconstruction error
    :math:`-\log p(x \mid \mathbb E[z|x])`. Values outside the support of the likelihood are scored as in
    :mod:`isthmus.metrics.scores`.

    Args:
        model: the trained model.
        x: examples (N, *D), preprocessed for the model.
        seed: seed of the samples.
        importance_samples: number of importance samples K per example, or 0 for the evidence lower bound.
        callback: called with the fraction of the importance samples that is done.
        inputs: what is encoded instead of ``x``, for pairs of input and target.
        shared: use the same noise for all examples, so that a score depends on its example and the seed alone; means
            over examples are estimated better with separate noise.

    References:
        Variational autoencoder based anomaly detection using reconstruction probability (An & Cho, 2015)

    Raises:
        IncompatibleParts: importance samples of a model without a bound.
        BadOption: K out of range.
    """
    check_range("The number of importance samples", importance_samples, 0, MOST_SAMPLES)
    if support_of(model.likelihood) is None:
        return _scores(model, x, seed, importance_samples, callback, inputs, shared)
    inside = _Inside(x, model.likelihood)
    given = None if inputs is None else _Inside(inputs, model.likelihood)
    found = _scores(model, inside, seed, importance_samples, callback, given, shared)
    return found + torch.cat(inside.tails) if inside.outside else found


def _scores(
    model: Autoencoder,
    x: Tensor | Chunked,
    seed: int,
    importance_samples: int,
    callback: ProgressCallback | None,
    inputs: Tensor | Chunked | None,
    shared: bool,
) -> Tensor:
    """The scores of examples in the support."""
    if importance_samples:
        return -log_likelihoods(
            model, x, importance_samples, seed=seed, callback=callback, inputs=inputs, shared=shared
        )
    if has_bound(model):
        return -torch.cat([bound.elbo for bound in chunked_bounds(model, x, seed=seed, inputs=inputs, shared=shared)])
    errors = []
    with inference(model):
        for pair in paired_chunks(x, inputs):
            chunk, given = (value.to(model.like.device, model.like.dtype) for value in pair)
            errors.append(-model.output(model.encode(given)).log_prob(chunk).cpu().double())
    return torch.cat(errors)


class _Inside:
    """Examples clipped to the support in chunks, and the Gaussian tail of each example, from one pass.

    Attributes:
        tails: the tails of the chunks so far, in nats, each of shape (n,), float64.
        outside: whether a value so far was outside.
    """

    def __init__(self, x: Tensor | Chunked, likelihood: object) -> None:
        self.x, self.likelihood, self.shape = x, likelihood, x.shape
        self.bounds = support_of(likelihood) or (-math.inf, math.inf)
        self.tails: list[Tensor] = []
        self.outside = False

    def __len__(self) -> int:
        return len(self.x)

    def chunks(self, size: int) -> Iterator[Tensor]:
        """The clipped examples in order, at most ``size`` at a time."""
        scale = TAIL * support_width(self.likelihood)
        for chunk in chunks(self.x, size):
            clipped = clip_to_support(chunk, self.likelihood)
            tail = torch.zeros(len(chunk), dtype=torch.float64)
            if clipped is not chunk:
                self.outside = True
                given = chunk.double()
                # of missing values, NaN, there is no distance; a value between two gray levels is not outside
                distance = torch.where(given.isnan(), 0.0, given - given.clamp(*self.bounds))
                tail = 0.5 * (distance / scale).square().flatten(1).sum(1).cpu()
            self.tails.append(tail)
            yield clipped


def meaning(model: Autoencoder, importance_samples: int = 0, *, outside: bool = False) -> str:
    """A description of the scores of this model, with their unit.

    ``outside`` tells that examples had values outside the support of the likelihood
    (:func:`isthmus.parts.likelihoods.support.rows_outside`).
    """
    tail = ""
    bounds = support_of(model.likelihood)
    if outside and bounds is not None:
        scale = TAIL * support_width(model.likelihood)
        tail = f"; a value outside [{bounds[0]:g}, {bounds[1]:g}] adds 1/2 ((x - clip(x)) / {scale:g})^2"
    if importance_samples:
        return f"-log p(x) from {importance_samples:,} importance samples, in nats{tail}"
    if has_bound(model):
        return f"negative evidence lower bound from one sample, in nats{tail}"
    return f"-log p(x|z) at the mean code, in nats{tail}"
