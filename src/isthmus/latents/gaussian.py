r"""Gaussian codes whose values may depend on each other: :math:`q = \mathcal N(\mu, L L^\top)`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from isthmus.errors import IncompatibleParts, ShapeError, check_range
from isthmus.functional import kl_full_standard_normal
from isthmus.trace import Offer

WIDEST = 1024
"""Values of a code of full covariance, at most: its factor then has a million entries for each example."""


class CholeskyGaussian(MultivariateNormal):
    r"""torch's Gaussian on a Cholesky factor, which keeps the logarithms of its diagonal and knows its divergence.

    Args:
        loc: mean :math:`\mu`, shape (B, d).
        log_diagonal: logarithms of the factor's diagonal, shape (B, d).
        scale_tril: the lower-triangular factor L, shape (B, d, d).
    """

    def __init__(
        self, loc: Float[Tensor, "B d"], log_diagonal: Float[Tensor, "B d"], scale_tril: Float[Tensor, "B d d"]
    ) -> None:
        super().__init__(loc, scale_tril=scale_tril, validate_args=False)
        self.log_diagonal = log_diagonal

    def kl_to(self, prior: Distribution) -> Tensor | None:
        """KL of each example from a diagonal Gaussian prior, in nats; ``None`` from any other."""
        if not (isinstance(prior, Independent) and isinstance(prior.base_dist, Normal)):
            return None
        # an affine map changes no divergence: the one that makes the prior standard leaves the simpler formula
        loc, scale = prior.base_dist.loc, prior.base_dist.scale
        factor = self.scale_tril / scale[..., None]
        return kl_full_standard_normal((self.loc - loc) / scale, factor, self.log_diagonal - scale.log())

    def detached(self) -> "CholeskyGaussian":
        """The same Gaussian, through which no gradient reaches its parameters."""
        return CholeskyGaussian(self.loc.detach(), self.log_diagonal.detach(), self.scale_tril.detach())


class FullGaussian(nn.Module):
    r"""A Gaussian with any covariance: :math:`q = \mathcal N(\mu, L L^\top)`, with L lower triangular.

    The features of one example are the mean, which tied decoders rely on, the logarithms of L's diagonal, and L's
    entries below it, row by row: :math:`d + d(d+1)/2` in all. Draws are reparameterised,
    :math:`z = \mu + L \epsilon`. The entries below the diagonal are divided by :math:`\sqrt d`, so that features of
    unit size make rows of unit size at every d. For vectors alone: a map would need a factor over all its positions.

    Args:
        size: width d of the code, at most 1024.

    References:
        An introduction to variational autoencoders (Kingma & Welling, 2019), section 2.5.1

    Raises:
        IncompatibleParts: a code without a size, that is a map.
        BadOption: a size above 1024.

    >>> import torch
    >>> FullGaussian(3)(torch.zeros(2, 9)).covariance_matrix[0].equal(torch.eye(3))
    True
    """

    def __init__(self, size: int | None) -> None:
        super().__init__()
        if size is None:
            raise IncompatibleParts(
                "A Gaussian of full covariance needs a vector code, but the code is a map without a size. Use "
                "--set latent.size=16, or latent.kind=gaussian."
            )
        check_range("latent.size of a full Gaussian", size, 1, WIDEST)
        self.offers = frozenset({Offer.REAL, Offer.DENSITY, Offer.GAUSSIAN, Offer.DIFFERENTIABLE})
        self.size = size
        rows, columns = torch.tril_indices(size, size, -1)
        places = torch.cat([torch.arange(size) * (size + 1), rows * size + columns])
        self.register_buffer("places", places, persistent=False)

    def width(self, d: int) -> int:
        """Mean, and the lower triangle of the factor: ``d + d (d + 1) / 2``."""
        return d + d * (d + 1) // 2

    def forward(self, h: Float[Tensor, "B features *space"], progress: float = 1.0) -> Distribution:
        """The Gaussian of these features."""
        d = self.size
        if h.ndim != 2 or h.shape[1] != self.width(d):
            raise ShapeError(
                f"A Gaussian of full covariance over {d} values needs features of shape (B, {self.width(d)}), but was "
                f"given (B, {', '.join(map(str, h.shape[1:]))}). Give the encoder latent.width(d) output features."
            )
        loc, log_diagonal, below = h[:, :d], h[:, d : 2 * d], h[:, 2 * d :]
        entries = torch.cat([log_diagonal.exp(), below / d**0.5], 1)
        factor = h.new_zeros(len(h), d * d).index_copy(1, self.places, entries)  # type: ignore[arg-type]
        return CholeskyGaussian(loc, log_diagonal, factor.reshape(len(h), d, d))
