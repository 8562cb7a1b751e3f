r"""Penalties on the dependence between latent dimensions, for disentanglement.

The KL term of a variational autoencoder decomposes into three terms (Chen et al., 2018),

.. math:: \mathbb E_x \mathrm{KL}(q(z|x) \,\|\, p(z)) = I(x; z) + \mathrm{KL}\big(q(z) \,\|\, \textstyle\prod_k
          q(z_k)\big) + \sum_k \mathrm{KL}(q(z_k) \,\|\, p(z_k))

mutual information, total correlation and dimension-wise KL. :class:`TotalCorrelation` is the second term.
:class:`DIP` penalizes covariances instead. :class:`isthmus.parts.penalties.FactorVAE` estimates the total correlation
by a critic.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import IncompatibleParts, check_choice, check_range
from isthmus.functional import total_correlation
from isthmus.functional.samples import ESTIMATORS
from isthmus.parts.protocols import Capability, Model, Trace


class TotalCorrelation(nn.Module):
    r"""Total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_k q(z_k))` of the aggregate posterior, in nats.

    It is estimated from the batch and the number of training examples, or the batch size where that number is unknown
    (outside training). Together with a KL of weight 1, weight :math:`\beta - 1` gives the beta-TCVAE objective.

    The ``weighted`` estimate exceeds the true value by an amount that depends on the sizes of batch and data, at least
    :math:`(d-1)\log B`; use ``stratified`` for the value itself. A batch of one example gives :math:`(d-1)\log N`, the
    total correlation of non-overlapping posteriors. Requires a diagonal Gaussian posterior.

    Args:
        estimator: ``weighted`` or ``stratified``, see :func:`isthmus.functional.log_aggregate_posterior`.

    Raises:
        BadOption: an unknown estimator.

    References:
        Isolating sources of disentanglement in variational autoencoders (Chen et al., 2018)
    """

    name = "total_correlation"
    requires = frozenset({Capability.DIAGONAL})

    def __init__(self, estimator: str = "weighted") -> None:
        super().__init__()
        check_choice("The estimator of the total correlation", estimator, ESTIMATORS)
        self.estimator = estimator

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The total correlation over the batches of all processes, in nats, shape ()."""
        q = trace.q
        if not isinstance(q, DiagonalGaussian):
            raise IncompatibleParts(
                f"TotalCorrelation requires a diagonal Gaussian posterior, but the posterior is {type(q).__name__}. "
                "Use latents.Gaussian()."
            )
        z, loc, log_scale = (trace.gather(value).flatten(1) for value in (trace.z, q.loc, q.log_scale))
        return total_correlation(z, loc, log_scale, trace.population, self.estimator)


class DIP(nn.Module):
    r"""DIP-VAE: squared distance of the covariance of the code from the identity (not in nats).

    .. math:: \lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2

    with :math:`C = \mathrm{Cov}[\mu(x)]` (DIP-VAE-I), or :math:`C = \mathrm{Cov}[\mu(x)] + \mathbb E[\Sigma(x)]`, the
    covariance of the codes themselves (DIP-VAE-II). Covariances over the batch divide by the number of examples, so for
    a batch of one :math:`\mathrm{Cov}[\mu] = 0`. Requires a Gaussian posterior.

    Args:
        on: ``mean`` for DIP-VAE-I, ``code`` for DIP-VAE-II.
        off_diagonal: weight :math:`\lambda_{od} \ge 0`.
        diagonal: weight :math:`\lambda_d \ge 0`; by default ``10 * off_diagonal`` for ``mean`` and ``off_diagonal`` for
            ``code``, as in the paper.

    Raises:
        BadOption: an unknown choice, or a weight below zero.

    References:
        Variational inference of disentangled latent concepts from unlabeled observations (Kumar et al., 2018)
    """

    name = "dip"
    requires = frozenset({Capability.GAUSSIAN})

    def __init__(self, on: str = "mean", *, off_diagonal: float = 10.0, diagonal: float | None = None) -> None:
        super().__init__()
        check_choice("DIP's option on", on, ("mean", "code"))
        self.code = on == "code"
        self.off_diagonal = off_diagonal
        self.diagonal = off_diagonal * (1 if self.code else 10) if diagonal is None else diagonal
        check_range("DIP's off_diagonal", self.off_diagonal, 0)
        check_range("DIP's diagonal", self.diagonal, 0)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The squared distance over the batches of all processes, shape ()."""
        loc = trace.gather(trace.q.mean).flatten(1)
        centered = loc - loc.mean(0)
        covariance = centered.T @ centered / len(loc)
        if self.code:
            covariance = covariance + trace.gather(_covariance(trace.q)).mean(0)
        squared = (covariance - torch.eye(len(covariance), dtype=loc.dtype, device=loc.device)).square()
        diagonal = squared.diagonal().sum()
        return self.off_diagonal * (squared.sum() - diagonal) + self.diagonal * diagonal


def _covariance(q: Distribution) -> Float[Tensor, "B d d"]:
    """The covariance of each posterior of the flattened code, shape (B, d, d)."""
    if isinstance(q, MultivariateNormal):
        full: Tensor = q.covariance_matrix
        return full
    return torch.diag_embed(q.variance.flatten(1))
