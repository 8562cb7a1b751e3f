r"""Penalties on the divergence of the posterior from a prior, :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, in nats.

The divergence is exact if a closed form is known, and otherwise an unbiased estimate (:func:`divergence_from`).
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal, kl_divergence

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import IncompatibleParts, check_range
from isthmus.functional import kl_standard_normal, kl_standard_normal_by_dimension
from isthmus.parts.hooks import HasClosedFormKL, requirements_of
from isthmus.parts.protocols import Capability, Model, Prior, Supplied, Trace
from isthmus.parts.schedules import Schedule, Scheduled, scheduled

RISE = Schedule(25.0, "linear", fraction=0.5)
"""The capacity schedule of Burgess et al. (2018), from 0 to 25 nats."""


class KL(nn.Module):
    r"""Kullback-Leibler divergence :math:`\mathrm{KL}(q(z \mid x) \,\|\, p(z))`, in nats.

    It is exact between Gaussians, and for other pairs with a known closed form. For other priors (a mixture, a
    VampPrior) it is :math:`\log q(z \mid x) - \log p(z)` at the sampled code: an unbiased estimate with an unbiased
    gradient, which may be negative.

    With free bits the divergence of each latent dimension, averaged over the batch (of all processes), is bounded below
    by :math:`\lambda`, which prevents posterior collapse. The penalty is then one value for the batch:

    .. math:: \sum_i \max\left(\lambda, \tfrac1B \textstyle\sum_b \mathrm{KL}_{bi}\right)

    Args:
        prior: the prior p(z).
        free_bits: :math:`\lambda` in nats per latent dimension, at least 0. Values above 0 require a diagonal Gaussian
            posterior and the standard normal prior.

    Raises:
        BadOption: ``free_bits`` out of range.
        IncompatibleParts: free bits with a prior other than the standard normal.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014), appendix B
        Improved variational inference with inverse autoregressive flow (Kingma et al., 2016), appendix C.8
    """

    name = "kl"
    is_divergence = True

    def __init__(self, prior: Supplied[Prior], *, free_bits: float = 0.0) -> None:
        super().__init__()
        check_range("A penalty's free_bits", free_bits, 0, 1e6)
        # by name, since parts of one kind do not import parts of another
        self.standard: bool = prior.name == "standard_normal"
        if free_bits and not self.standard:
            raise IncompatibleParts(
                "free_bits requires a KL per latent dimension, as with the standard normal prior, but the prior is "
                f"{type(prior).__name__}. Use prior.kind=standard_normal, or set free_bits to 0."
            )
        self.prior, self.free_bits = prior, free_bits
        diagonal = {Capability.DIAGONAL} if free_bits else set()
        self.requires = frozenset({Capability.DENSITY} | diagonal) | requirements_of(prior)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, "*B"]:
        """KL per example, in nats, shape (B,); with free bits one value for the batch, shape ()."""
        q = trace.q
        if self.free_bits:
            assert isinstance(q, DiagonalGaussian)
            by_dimension = kl_standard_normal_by_dimension(q.loc, q.scale, q.log_scale)
            return trace.gather(by_dimension).mean(0).clamp_min(self.free_bits).sum()
        if self.standard and isinstance(q, DiagonalGaussian):
            # the fast path: this runs in every step of a standard VAE
            return kl_standard_normal(q.loc, q.scale, q.log_scale)
        return divergence_from(q, self.prior.distribution(model), trace.z)


class Capacity(nn.Module):
    r"""Deviation of the KL divergence from a capacity, :math:`|\mathrm{KL}(q \,\|\, p) - C|`, in nats.

    KL is the mean over the batch (of all processes), so examples may have different KL; the penalty is one value for
    the batch. The weight of the penalty is :math:`\gamma` in the papers.

    Args:
        prior: the prior p(z).
        capacity: capacity C in nats, at least 0; a number, or a schedule over the run. By default it increases from 0
            to 25 over the first half of the run.

    Raises:
        BadOption: a capacity below zero, or a schedule with a length in steps.

    References:
        Understanding disentangling in beta-VAE (Burgess et al., 2018)
    """

    name = "capacity"
    is_divergence = True

    def __init__(self, prior: Supplied[Prior], *, capacity: Scheduled = RISE) -> None:
        super().__init__()
        self.kl = KL(prior)
        self.prior, self.requires = prior, self.kl.requires
        self.capacity = scheduled("A penalty's capacity", capacity, 0)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """Absolute deviation of the mean KL from the capacity at this step, in nats, shape ()."""
        kl: Tensor = self.kl(model, trace)
        return (trace.gather(kl).mean() - self.capacity.at(trace.progress)).abs()


def divergence_from(q: Distribution, p: Distribution, z: Float[Tensor, "B *code"]) -> Float[Tensor, " B"]:
    r"""KL divergence of the posterior q from the prior p per example, in nats, shape (B,).

    Exact if ``q.kl_to(p)`` or torch provides a closed form; otherwise the estimate :math:`\log q(z) - \log p(z)` at
    ``z``, a sample from q.
    """
    closed = q.kl_to(p) if isinstance(q, HasClosedFormKL) else None
    if closed is not None:
        return closed
    known = _in_torch(q) if isinstance(q, DiagonalGaussian) else q
    try:
        return kl_divergence(known, p)
    except NotImplementedError:
        estimate: Tensor = q.log_prob(z) - p.log_prob(z)
        return estimate


def _in_torch(q: DiagonalGaussian) -> Distribution:
    """The same Gaussian as a torch distribution, for ``kl_divergence``."""
    return Independent(Normal(q.loc, q.scale, validate_args=False), q.loc.ndim - 1, validate_args=False)
