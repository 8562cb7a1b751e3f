r"""The importance-weighted bound over thousands of draws, :math:`\log \frac1K \sum_k w_k`, in nats for each example.

Each example is encoded once; its draws are decoded block by block, and only a running log-sum-exp is kept, so the
memory is that of one block however many examples and draws there are.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from isthmus.errors import IncompatibleParts, check_range
from isthmus.metrics.variational import has_bound
from isthmus.model import Autoencoder, Chunked, chunks, inference, seeded
from isthmus.trace import Offer
from isthmus.training.hardware import tune_allocator

EXAMPLES = 8
"""Examples that a block encodes at least."""
DECODES, DECODES_ELSEWHERE = 1000, 20_000
"""Codes that a block decodes: what a processor's cache takes at full speed, and what keeps an accelerator busy."""
MOST_SAMPLES = 1_000_000
"""Draws for each example that may be asked for."""

Listener = Callable[[float], None]
"""Told the share that is done, above 0 to 1."""


def log_likelihoods(
    model: Autoencoder, x: Tensor | Chunked, samples: int, *, seed: int = 0, listener: Listener | None = None
) -> Tensor:
    r"""A lower bound on log p(x) of each example, (N,) in float64: :math:`\log \frac1K \sum_k w_k`.

    .. math:: w_k = \frac{p(x \mid z_k)\, p(z_k)}{q(z_k \mid x)}, \quad z_k \sim q(z \mid x)

    It rises with K on average, and reaches log p(x) in the limit; where q is the exact posterior any K gives it.

    Args:
        model: the trained model.
        x: examples (N, *D), prepared as the model takes them.
        samples: K.
        seed: of the draws.
        listener: told of progress.

    References:
        Importance weighted autoencoders (Burda et al., 2016), equation 8

    Raises:
        IncompatibleParts: the latent has no density, or the model no prior.
        BadOption: K out of range.
    """
    check_range("The number of importance samples", samples, 1, MOST_SAMPLES)
    if not has_bound(model):
        raise IncompatibleParts(
            f"Importance samples need {Offer.DENSITY} and a prior, and this run has not both. Use a variational "
            "recipe such as vae, or leave --importance-samples out."
        )
    tune_allocator()
    answers = []
    decodes = DECODES if model.like.device.type == "cpu" else DECODES_ELSEWHERE
    size = max(EXAMPLES, decodes // samples)
    with inference(model), seeded(seed):
        prior = model.prior_distribution()
        for number, rows in enumerate(chunks(x, size), 1):
            rows = rows.to(model.like.device, model.like.dtype)
            answers.append(_block(model, rows, prior, samples, decodes))
            if listener is not None:
                listener(min(1.0, number * size / len(x)))
    return torch.cat(answers)


def _block(model: Autoencoder, x: Tensor, prior: Distribution, samples: int, decodes: int) -> Tensor:
    """The bound of a few examples (B, *D), about ``decodes`` draws at a time."""
    q = model.posterior(x)
    at_once = min(samples, max(1, decodes // len(x)))
    repeated = x.expand(at_once, *x.shape).flatten(0, 1)
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for drawn in range(0, samples, at_once):
        z = q.sample(torch.Size((min(at_once, samples - drawn),)))
        log_p = model.output(z.flatten(0, 1)).log_prob(repeated[: z.shape[0] * len(x)])
        log_w = log_p.reshape(z.shape[:2]) + prior.log_prob(z) - q.log_prob(z)
        total = torch.logaddexp(total, torch.logsumexp(log_w.cpu().double(), 0))
    return total - math.log(samples)
