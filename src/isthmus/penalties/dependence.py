r"""Penalties on what the coordinates of the code share, over the batch: the way to factors one can name.

The KL of a variational autoencoder splits into three terms (Chen et al., 2018),

.. math:: \mathbb E_x \mathrm{KL}(q(z|x) \,\|\, p(z)) = I(x; z) + \mathrm{KL}\big(q(z) \,\|\, \textstyle\prod_k
          q(z_k)\big) + \sum_k \mathrm{KL}(q(z_k) \,\|\, p(z_k))

of which the middle one, the total correlation, is the one to weigh more. DIP asks the same of second moments only. A
critic's estimate of it is in :mod:`isthmus.penalties.adversarial`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import IncompatibleParts, check_choice, check_range
from isthmus.functional import total_correlation
from isthmus.functional.samples import ESTIMATORS
from isthmus.trace import Model, Offer, Trace


class TotalCorrelation(nn.Module):
    r"""Total correlation :math:`\mathrm{KL}(q(z) \,\|\, \prod_k q(z_k))` of the aggregate posterior, in nats.

    It is estimated from the batch and the number of training examples, with the batch's own size where that number
    is not known (outside training). Beside a KL of weight 1, weight :math:`\beta - 1` gives the beta-TC objective.

    The ``weighted`` estimate lies above the true value by an amount that depends on the sizes of batch and data, at
    least :math:`(d-1)\log B`; use ``stratified`` to read the value itself. A batch of one example gives
    :math:`(d-1)\log N`, the total correlation of codes that nothing else overlaps. Needs a diagonal Gaussian
    posterior.

    Args:
        estimator: ``weighted`` or ``stratified``, see :func:`isthmus.functional.log_aggregate_posterior`.

    Raises:
        BadOption: no such estimator.

    References:
        Isolating sources of disentanglement in VAEs (Chen et al., 2018)
    """

    name = "total_correlation"
    needs = frozenset({Offer.DIAGONAL})

    def __init__(self, estimator: str = "weighted") -> None:
        super().__init__()
        check_choice("The estimator of the total correlation", estimator, ESTIMATORS)
        self.estimator = estimator

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The total correlation of the batches of all processes, in nats."""
        q = trace.q
        if not isinstance(q, DiagonalGaussian):
            raise IncompatibleParts(
                f"TotalCorrelation needs a diagonal Gaussian posterior, but the latent gave {type(q).__name__}. "
                "Use latents.Gaussian()."
            )
        z, loc, log_scale = (trace.gather(value).flatten(1) for value in (trace.z, q.loc, q.log_scale))
        return total_correlation(z, loc, log_scale, trace.population, self.estimator)


class DIP(nn.Module):
    r"""Distance of the covariance of the codes from the identity, over the batch (no nats: squared covariances).

    .. math:: \lambda_{od} \sum_{i \ne j} C_{ij}^2 + \lambda_d \sum_i (C_{ii} - 1)^2

    with :math:`C = \mathrm{Cov}[\mu(x)]` (DIP-VAE-I), or :math:`C = \mathrm{Cov}[\mu(x)] + \mathbb E[\Sigma(x)]`, the
    covariance of the codes themselves (DIP-VAE-II). Covariances divide by the number of examples, so a batch of one
    has :math:`\mathrm{Cov}[\mu] = 0`, and only :math:`\Sigma` is judged. Needs a Gaussian posterior.

    Args:
        on: ``mean``: I; ``code``: II.
        off_diagonal: :math:`\lambda_{od} \ge 0`.
        diagonal: :math:`\lambda_d \ge 0`; by default ten times the other for ``mean``, the same for ``code``, as in
            the paper.

    Raises:
        BadOption: an unknown choice, or a weight below zero.

    References:
        Variational inference of disentangled latent concepts from unlabeled observations (Kumar et al., 2018)
    """

    name = "dip"
    needs = frozenset({Offer.GAUSSIAN})

    def __init__(self, on: str = "mean", *, off_diagonal: float = 10.0, diagonal: float | None = None) -> None:
        super().__init__()
        check_choice("What DIP looks at", on, ("mean", "code"))
        self.code = on == "code"
        self.off_diagonal = off_diagonal
        self.diagonal = off_diagonal * (1 if self.code else 10) if diagonal is None else diagonal
        check_range("DIP's off_diagonal", self.off_diagonal, 0)
        check_range("DIP's diagonal", self.diagonal, 0)

    def forward(self, model: Model, trace: Trace) -> Float[Tensor, ""]:
        """The distance of the covariance over the batches of all processes."""
        loc = trace.gather(trace.q.mean).flatten(1)
        centred = loc - loc.mean(0)
        covariance = centred.T @ centred / len(loc)
        if self.code:
            covariance = covariance + trace.gather(_covariance(trace.q)).mean(0)
        squared = (covariance - torch.eye(len(covariance), dtype=loc.dtype, device=loc.device)).square()
        own = squared.diagonal().sum()
        return self.off_diagonal * (squared.sum() - own) + self.diagonal * own


def _covariance(q: Distribution) -> Float[Tensor, "B d d"]:
    """The covariance of each posterior over its flattened code."""
    if isinstance(q, MultivariateNormal):
        full: Tensor = q.covariance_matrix
        return full
    return torch.diag_embed(q.variance.flatten(1))
