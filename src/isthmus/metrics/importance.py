r"""Importance-sampled log-likelihood, :math:`\log \frac1K \sum_k w_k`, in nats per example.

Each example is encoded once; its samples are decoded in blocks with a running log-sum-exp, so the memory is that of one
block for any number of examples and samples.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.distributions import Distribution

from isthmus.distributions.shared_noise import SharedNoise
from isthmus.errors import IncompatibleParts, check_range
from isthmus.metrics.variational import has_bound
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.hardware import tune_allocator
from isthmus.models.inputs import Chunked, paired_chunks
from isthmus.models.seeding import RandomState, seeded
from isthmus.parts.protocols import Capability

EXAMPLES = 8
"""Smallest number of examples in a block."""
DECODES, DECODES_ELSEWHERE = 1000, 20_000
"""Number of codes decoded at once on the CPU, where it is limited by the cache, and on an accelerator."""
MOST_SAMPLES = 1_000_000
"""Largest number of importance samples per example."""

ProgressCallback = Callable[[float], None]
"""Function called with the fraction that is done, in (0, 1]."""


def log_likelihoods(
    model: Autoencoder,
    x: Tensor | Chunked,
    samples: int,
    *,
    seed: int = 0,
    callback: ProgressCallback | None = None,
    inputs: Tensor | Chunked | None = None,
    shared: bool = False,
) -> Tensor:
    r"""Importance-sampled estimate of log p(x) per example, in nats, shape (N,), float64.

    .. math:: \log \frac1K \sum_k w_k, \quad w_k = \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)}, \quad
        z_k \sim q(z \mid x)

    It is a lower bound on log p(x) in expectation, which increases with K and converges to log p(x); for an exact
    posterior q it equals log p(x) for every K.

    Args:
        model: the trained model.
        x: examples (N, *D), preprocessed for the model.
        samples: number of importance samples K per example.
        seed: seed of the samples.
        callback: called with the fraction that is done.
        inputs: what is encoded instead of ``x``, for pairs of input and target.
        shared: use the same noise for all examples, so that an estimate does not depend on other examples.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equation 8

    Raises:
        IncompatibleParts: a latent without density, or a model without prior.
        BadOption: K out of range.
    """
    check_range("The number of importance samples", samples, 1, MOST_SAMPLES)
    if not has_bound(model):
        raise IncompatibleParts(
            f"Importance sampling requires {Capability.DENSITY}, and a prior, but this model does not have both. Omit "
            "importance_samples=, or use a variational recipe such as vae."
        )
    tune_allocator()
    blocks = []
    decodes = DECODES if model.like.device.type == "cpu" else DECODES_ELSEWHERE
    size = max(EXAMPLES, decodes // samples)
    noise = RandomState(seed, model.like.device)
    with inference(model):
        with noise:
            prior = model.prior_distribution()
        for number, pair in enumerate(paired_chunks(x, inputs, size), 1):
            rows, given = (value.to(model.like.device, model.like.dtype) for value in pair)
            with seeded(seed) if shared else noise, SharedNoise(1) if shared else nullcontext():
                blocks.append(_block(model, rows, given, prior, samples, decodes))
            if callback is not None:
                callback(min(1.0, number * size / len(x)))
    return torch.cat(blocks)


def _block(model: Autoencoder, x: Tensor, given: Tensor, prior: Distribution, samples: int, decodes: int) -> Tensor:
    """The estimate for a block of examples (B, *D), with about ``decodes`` codes decoded at once."""
    q = model.posterior(given)
    at_once = min(samples, max(1, decodes // len(x)))
    repeated = x.expand(at_once, *x.shape).flatten(0, 1)
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for start in range(0, samples, at_once):
        z = q.sample(torch.Size((min(at_once, samples - start),)))
        log_p = model.output(z.flatten(0, 1)).log_prob(repeated[: z.shape[0] * len(x)])
        log_w = log_p.reshape(z.shape[:2]) + prior.log_prob(z) - q.log_prob(z)
        total = torch.logaddexp(total, torch.logsumexp(log_w.cpu().double(), 0))
    return total - math.log(samples)
