r"""The evidence lower bound and its terms, in nats per example, with codes sampled from q with a fixed seed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from isthmus import functional as F
from isthmus.distributions import DiagonalGaussian
from isthmus.distributions.shared_noise import SharedNoise
from isthmus.metrics.moments import Moments
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.models.inputs import Chunked, chunks, paired_chunks
from isthmus.models.seeding import seeded
from isthmus.parts.penalties.kl import divergence_from
from isthmus.parts.protocols import Capability

ACTIVE_VARIANCE = 0.01
"""A latent dimension is active if the variance of its posterior mean exceeds this."""
INACTIVE_NATS = 0.01
"""A latent dimension with a KL up to this, in nats, carries no information."""


class Bound(NamedTuple):
    """Evidence lower bound (N,) and its KL term (N,) per example, in nats, float64; and E[z|x], (N, *code)."""

    elbo: Tensor
    kl: Tensor
    loc: Tensor


def has_bound(model: Autoencoder) -> bool:
    """Whether the model has a bound on log p(x): a density q(z|x) and a prior p(z)."""
    return model.generative and Capability.DENSITY in model.latent.provides


def is_standard(model: Autoencoder) -> bool:
    """Whether the prior is the standard normal."""
    return model.prior is not None and model.prior.name == "standard_normal"


def variational(
    model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0, inputs: Tensor | Chunked | None = None
) -> dict[str, float]:
    r"""The evidence lower bound, its KL term, and the number of active units.

    .. math:: \mathbb E_q[\log p(x|z)] - \mathrm{KL}(q\,\|\,p(z))

    ``elbo`` uses one sample from q per example; ``kl`` is exact if a closed form is known and otherwise an estimate
    from that sample (:func:`isthmus.parts.penalties.kl.divergence_from`); ``active_units`` is the number of latent
    dimensions whose posterior mean has a variance above 0.01 over the examples. For pairs the posterior is that of
    ``inputs``, which gives a bound on log p(x) as well; missing values are left out of x.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Importance weighted autoencoders (Burda et al., 2016), section 5.2
    """
    elbo, kl, codes = 0.0, 0.0, Moments()
    for bound in chunked_bounds(model, x, seed=seed, inputs=inputs):
        elbo, kl = elbo + bound.elbo.sum().item(), kl + bound.kl.sum().item()
        codes.see(bound.loc)
    return {
        "elbo": elbo / codes.n,
        "kl": kl / codes.n,
        "active_units": int((codes.variance() > ACTIVE_VARIANCE).sum().item()),
    }


def bounds(model: Autoencoder, x: Tensor, *, seed: int = 0) -> Bound:
    """The evidence lower bound of each example of ``x`` (N, *D), from one sample of z."""
    return Bound(*(torch.cat(columns) for columns in zip(*chunked_bounds(model, x, seed=seed), strict=True)))


def chunked_bounds(
    model: Autoencoder,
    x: Tensor | Chunked,
    *,
    seed: int = 0,
    inputs: Tensor | Chunked | None = None,
    shared: bool = False,
) -> Iterator[Bound]:
    """The evidence lower bounds of :func:`bounds`, in chunks of examples; ``shared`` uses the same noise for all."""
    with inference(model), seeded(seed):
        prior = model.prior_distribution()
        for pair in paired_chunks(x, inputs):
            chunk, given = (value.to(model.like.device, model.like.dtype) for value in pair)
            q = model.posterior(given)
            if shared:
                with seeded(seed), SharedNoise():
                    z = q.sample()
            else:
                z = q.sample()
            kl = _kl(q, prior, z, standard=is_standard(model)).cpu().double()
            yield Bound(model.output(z).log_prob(chunk).cpu().double() - kl, kl, q.mean)


def _kl(q: Distribution, prior: Distribution, z: Tensor, *, standard: bool) -> Tensor:
    """KL from the prior per example, in nats; finite even if the scale of a Gaussian underflows."""
    if standard and isinstance(q, DiagonalGaussian):
        return F.kl_standard_normal(q.loc, q.scale, q.log_scale)
    return divergence_from(q, prior, z)


def kl_by_latent(model: Autoencoder, x: Tensor | Chunked) -> list[float] | None:
    """KL per latent dimension, in nats, mean over examples; ``None`` if the KL is not a sum over dimensions.

    It is a sum for a diagonal Gaussian posterior and the standard normal prior.
    """
    if not (has_bound(model) and is_standard(model) and Capability.DIAGONAL in model.latent.provides):
        return None
    total: Tensor | None = None
    n = 0
    with inference(model):
        for chunk in chunks(x):
            n += len(chunk)
            q = model.posterior(chunk.to(model.like.device, model.like.dtype))
            if not isinstance(q, DiagonalGaussian):
                return None
            kl = F.kl_standard_normal_by_dimension(q.loc, q.scale, q.log_scale).cpu().double().sum(0)
            total = kl if total is None else total + kl
    assert total is not None
    means: list[float] = (total / n).flatten().tolist()
    return means
