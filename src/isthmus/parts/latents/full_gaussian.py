r"""Gaussian posteriors with a full covariance matrix, :math:`q = \mathcal N(\mu, L L^\top)`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from isthmus.errors import IncompatibleParts, ShapeError, check_range
from isthmus.functional import kl_full_standard_normal
from isthmus.parts.protocols import Capability, Supplied

MAX_SIZE = 1024
"""Largest size of a code with full covariance, whose factor then has a million entries per example."""


class CholeskyGaussian(MultivariateNormal):
    r"""A multivariate Gaussian that keeps the log-diagonal of its Cholesky factor, for a stable KL in closed form.

    Args:
        loc: mean :math:`\mu`, shape (B, d).
        log_diagonal: logarithms of the diagonal of L, shape (B, d).
        scale_tril: lower-triangular factor L, shape (B, d, d).
    """

    def __init__(
        self, loc: Float[Tensor, "B d"], log_diagonal: Float[Tensor, "B d"], scale_tril: Float[Tensor, "B d d"]
    ) -> None:
        super().__init__(loc, scale_tril=scale_tril, validate_args=False)
        self.log_diagonal = log_diagonal

    def kl_to(self, prior: Distribution) -> Tensor | None:
        """KL divergence per example from a diagonal Gaussian prior, in nats; ``None`` for other priors."""
        if not (isinstance(prior, Independent) and isinstance(prior.base_dist, Normal)):
            return None
        # the KL divergence is invariant to the affine map that makes the prior standard normal
        loc, scale = prior.base_dist.loc, prior.base_dist.scale
        factor = self.scale_tril / scale[..., None]
        return kl_full_standard_normal((self.loc - loc) / scale, factor, self.log_diagonal - scale.log())

    def detached(self) -> "CholeskyGaussian":
        """The same Gaussian with detached parameters."""
        return CholeskyGaussian(self.loc.detach(), self.log_diagonal.detach(), self.scale_tril.detach())


class FullGaussian(nn.Module):
    r"""A Gaussian posterior with full covariance, :math:`q = \mathcal N(\mu, L L^\top)`, L lower triangular.

    The features are the mean (first, as tied decoders expect), the logarithms of the diagonal of L, and the entries of
    L below the diagonal, row by row: :math:`d + d(d+1)/2` in total. Samples are reparameterized,
    :math:`z = \mu + L \epsilon`. Entries below the diagonal are divided by :math:`\sqrt d`, so that features of unit
    scale give rows of unit norm for every d. Only vector codes are supported.

    Args:
        size: size d of the code, at most 1024.

    References:
        An introduction to variational autoencoders (Kingma & Welling, 2019), section 2.5.1

    Raises:
        IncompatibleParts: the code is a feature map, which has no size.
        BadOption: a size above 1024.

    >>> import torch
    >>> FullGaussian(3)(torch.zeros(2, 9)).covariance_matrix[0].equal(torch.eye(3))
    True
    """

    def __init__(self, size: Supplied[int | None]) -> None:
        super().__init__()
        if size is None:
            raise IncompatibleParts(
                "A Gaussian with full covariance requires a vector code, but the code is a feature map. Set "
                "latent.size=16, or use latent.kind=gaussian."
            )
        check_range("latent.size of a full Gaussian", size, 1, MAX_SIZE)
        self.provides = frozenset({Capability.REAL, Capability.DENSITY, Capability.GAUSSIAN, Capability.DIFFERENTIABLE})
        self.size = size
        rows, columns = torch.tril_indices(size, size, -1)
        indices = torch.cat([torch.arange(size) * (size + 1), rows * size + columns])
        self.indices: Tensor
        self.register_buffer("indices", indices, persistent=False)

    def width(self, d: int) -> int:
        """Mean and lower triangle of the factor: ``d + d (d + 1) / 2``."""
        return d + d * (d + 1) // 2

    def forward(self, h: Float[Tensor, "B features *space"], progress: float = 1.0) -> Distribution:
        """The Gaussian with mean and Cholesky factor from the features."""
        d = self.size
        if h.ndim != 2 or h.shape[1] != self.width(d):
            raise ShapeError(
                f"A Gaussian with full covariance over {d} values requires features of shape (B, {self.width(d)}), but "
                f"was given (B, {', '.join(map(str, h.shape[1:]))}). Set the number of output features of the encoder "
                "to latent.width(d)."
            )
        loc, log_diagonal, below = h[:, :d], h[:, d : 2 * d], h[:, 2 * d :]
        entries = torch.cat([log_diagonal.exp(), below / d**0.5], 1)
        factor = h.new_zeros(len(h), d * d).index_copy(1, self.indices, entries)
        return CholeskyGaussian(loc, log_diagonal, factor.reshape(len(h), d, d))
