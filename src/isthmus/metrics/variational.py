r"""The bound of a variational model and its parts, in nats per example, with codes drawn from q by a fixed seed."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Distribution

from isthmus import functional as F
from isthmus.distributions import DiagonalGaussian
from isthmus.metrics.moments import Moments
from isthmus.model import Autoencoder, Chunked, chunks, inference, seeded
from isthmus.penalties.divergence import divergence
from isthmus.trace import Offer

ACTIVE = 0.01
"""Variance of a posterior mean above which its latent dimension is in use."""


class Bound(NamedTuple):
    """The evidence lower bound of each example and the KL in it, (N,) each in float64, and E[z|x], (N, *code)."""

    elbo: Tensor
    kl: Tensor
    loc: Tensor


def has_bound(model: Autoencoder) -> bool:
    """Whether log p(x) has a bound: the code has a density q(z|x) and a prior p(z)."""
    return model.generative and Offer.DENSITY in model.latent.offers  # type: ignore[operator]


def is_standard(model: Autoencoder) -> bool:
    """Whether the prior is the standard normal."""
    return getattr(model.prior, "name", None) == "standard_normal"


def variational(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> dict[str, float]:
    r"""The evidence lower bound :math:`\mathbb E_q[\log p(x|z)] - \mathrm{KL}(q\,\|\,p(z))` and its parts.

    ``elbo`` takes one draw from q for each example, ``kl`` is exact where a closed form is known and else of
    that draw (:func:`isthmus.penalties.divergence.divergence`), ``active_units`` counts the latent dimensions whose
    posterior mean has a variance above 0.01 over the examples.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014)
        Importance weighted autoencoders (Burda et al., 2016), section 5.2
    """
    elbo, kl, codes = 0.0, 0.0, Moments()
    for bound in chunked_bounds(model, x, seed=seed):
        elbo, kl = elbo + bound.elbo.sum().item(), kl + bound.kl.sum().item()
        codes.see(bound.loc)
    return {"elbo": elbo / codes.n, "kl": kl / codes.n, "active_units": int((codes.variance() > ACTIVE).sum().item())}


def bounds(model: Autoencoder, x: Tensor, *, seed: int = 0) -> Bound:
    """The evidence lower bound of each example of ``x`` (N, *D), from one draw."""
    return Bound(*(torch.cat(columns) for columns in zip(*chunked_bounds(model, x, seed=seed), strict=True)))


def chunked_bounds(model: Autoencoder, x: Tensor | Chunked, *, seed: int = 0) -> Iterator[Bound]:
    """The same chunk by chunk."""
    with inference(model), seeded(seed):
        prior = model.prior_distribution()
        for chunk in chunks(x):
            chunk = chunk.to(model.like.device, model.like.dtype)
            q = model.posterior(chunk)
            z = q.sample()
            kl = _kl(q, prior, z, standard=is_standard(model)).cpu().double()
            yield Bound(model.output(z).log_prob(chunk).cpu().double() - kl, kl, q.mean)


def _kl(q: Distribution, prior: Distribution, z: Tensor, *, standard: bool) -> Tensor:
    """KL of each example from the prior, in nats; finite where the scale of a Gaussian underflows."""
    if standard and isinstance(q, DiagonalGaussian):
        return F.kl_standard_normal(q.loc, q.scale, q.log_scale)
    return divergence(q, prior, z)


def kl_by_latent(model: Autoencoder, x: Tensor | Chunked) -> list[float] | None:
    """Nats that each latent dimension carries, mean over examples; ``None`` where the KL is no sum over them.

    That is where the posterior is no diagonal Gaussian, or the prior not the standard normal.
    """
    if not (has_bound(model) and is_standard(model) and Offer.DIAGONAL in model.latent.offers):  # type: ignore[operator]
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
