r"""Penalties that compare the posterior with a prior, :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, in nats.

The divergence is exact where a closed form is known, and a draw with that mean elsewhere (:func:`divergence`).
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import IncompatibleParts, check_range
from isthmus.functional import kl_standard_normal, kl_standard_normal_by_dimension
from isthmus.schedules import Schedule, Scheduled, scheduled
from isthmus.trace import Model, Offer, Prior, Trace

RISE = Schedule(25.0, "linear", fraction=0.5)
"""The capacity of Burgess et al. (2018): it rises from 0 to 25 nats."""


class KL(nn.Module):
    r"""Kullback-Leibler divergence :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, in nats.

    It is exact between Gaussians and where the posterior or torch knows a closed form. To any other prior (a mixture,
    a VampPrior) it is :math:`\log q(z \mid x) - \log p(z)` at the code drawn in this pass: an unbiased estimate,
    whose gradient is unbiased too, and which may fall below zero for one draw.

    With free bits the divergence of each latent dimension, averaged over the batch of all processes, costs at least
    :math:`\lambda`, so nothing is gained by switching a dimension off; the value is then one for the batch:

    .. math:: \sum_i \max\left(\lambda, \tfrac1B \textstyle\sum_b \mathrm{KL}_{bi}\right)

    Args:
        prior: the prior p(z).
        free_bits: :math:`\lambda` in nats for each latent dimension, at least 0. Above 0 it needs a diagonal Gaussian
            posterior and the standard normal prior.

    Raises:
        BadOption: free bits below zero.
        IncompatibleParts: free bits with another prior.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014), appendix B
        Improved variational inference with inverse autoregressive flow (Kingma et al., 2016), appendix C.8
    """

    name = "kl"
    divergence = True

    def __init__(self, prior: nn.Module, *, free_bits: float = 0.0) -> None:
        super().__init__()
        check_range("A penalty's free_bits", free_bits, 0, 1e6)
        # known by name, for a part of one kind imports none of another
        self.standard: bool = getattr(prior, "name", None) == "standard_normal"
        if free_bits and not self.standard:
            raise IncompatibleParts(
                "Free bits need a divergence by latent dimension, which the standard normal prior has, but the prior "
                f"is {type(prior).__name__}. Use prior.kind=standard_normal, or set free_bits to 0."
            )
        self.prior, self.free_bits = prior, free_bits
        self.needs = needs_of(prior) | ({Offer.DIAGONAL} if free_bits else set())

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, "*B"]:
        """KL of each example, in nats; with free bits one value for the batch."""
        q = trace.q
        if self.free_bits:
            assert isinstance(q, DiagonalGaussian)
            by_dimension = kl_standard_normal_by_dimension(q.loc, q.scale, q.log_scale)
            return trace.gather(by_dimension).mean(0).clamp_min(self.free_bits).sum()
        if self.standard and isinstance(q, DiagonalGaussian):
            # in every step of every VAE: nothing may stand before it
            return kl_standard_normal(q.loc, q.scale, q.log_scale)
        assert isinstance(self.prior, Prior)
        return divergence(q, self.prior.distribution(model), trace.z)


class Capacity(nn.Module):
    r"""How far the divergence is from a capacity that grows, :math:`|\mathrm{KL}(q \,\|\, p) - C|`, in nats.

    KL is its mean over the batch of all processes, so the examples may share the capacity unevenly; C is in nats, and
    may change over the run's progress. The penalty's weight is the papers' :math:`\gamma`. The value is one for the
    batch.

    Args:
        prior: the prior p(z).
        capacity: C, at least 0; by default it rises from 0 to 25 nats over the first half of the run.

    Raises:
        BadOption: a capacity below zero, or with a length in steps.

    References:
        Understanding disentangling in beta-VAE (Burgess et al., 2018)
    """

    name = "capacity"
    divergence = True

    def __init__(self, prior: nn.Module, *, capacity: Scheduled = RISE) -> None:
        super().__init__()
        self.kl = KL(prior)
        self.prior, self.needs = prior, self.kl.needs
        self.capacity = scheduled("A penalty's capacity", capacity, 0)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """How far the mean KL of the batch is from the capacity of the moment, in nats."""
        kl: Tensor = self.kl(model, trace)
        return (trace.gather(kl).mean() - self.capacity.at(trace.progress)).abs()


def needs_of(prior: nn.Module) -> frozenset[Offer]:
    """What a divergence from ``prior`` asks of the latent: a density, and what the prior itself is made of."""
    own: frozenset[Offer] = getattr(prior, "needs", frozenset())
    return frozenset({Offer.DENSITY}) | own


def divergence(q: Distribution, p: Distribution, z: Float[Tensor, "B *code"]) -> Float[Tensor, " B"]:
    r"""KL of each example's posterior q from the prior p, in nats.

    Exact where q knows it (a method ``kl_to(p)`` that does not answer ``None``) or torch does; otherwise
    :math:`\log q(z) - \log p(z)` at ``z``, which was drawn from q.
    """
    closed: Tensor | None = q.kl_to(p) if hasattr(q, "kl_to") else None
    if closed is not None:
        return closed
    known = _in_torch(q) if isinstance(q, DiagonalGaussian) else q
    try:
        return kl_divergence(known, p)
    except NotImplementedError:
        drawn: Tensor = q.log_prob(z) - p.log_prob(z)
        return drawn


def _in_torch(q: DiagonalGaussian) -> Distribution:
    """The same Gaussian in the form that torch's divergences know."""
    return Independent(Normal(q.loc, q.scale, validate_args=False), q.loc.ndim - 1, validate_args=False)
