r"""Mixtures of Gaussians with full covariances; a single Gaussian is one of them."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.densities.base import Density, check_temperature, check_tensors
from isthmus.errors import BadData


class GaussianMixture(Density):
    r"""A mixture of K Gaussians, :math:`\hat p(z) = \sum_k \pi_k\,\mathcal N(z; \mu_k, L_k L_k^\top)`.

    At temperature T the standard deviations of each component are multiplied by T: 0 draws the means.

    Args:
        weights: :math:`\pi`, (K,), at least 0 and with the sum 1.
        means: :math:`\mu`, (K, d).
        factors: the Cholesky factors L of the covariances, (K, d, d), lower triangles with a positive diagonal.

    Raises:
        BadData: parameters of other shapes or values.

    References:
        From variational to deterministic autoencoders (Ghosh et al., 2020), section 4

    >>> density = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])
    >>> round(density.log_prob(torch.zeros(1, 2)).item(), 4)  # -log(2 pi)
    -1.8379
    """

    kind = "gmm"
    shapes: ClassVar[Mapping[str, str]] = {"weights": "K", "means": "K d", "factors": "K d d"}

    def __init__(
        self, weights: Float[Tensor, " K"], means: Float[Tensor, "K d"], factors: Float[Tensor, "K d d"]
    ) -> None:
        self._sizes = check_tensors({"weights": weights, "means": means, "factors": factors}, self.shapes)
        self.weights, self.means, self.factors = weights.double(), means.double(), factors.double().tril()
        whole = abs(float(self.weights.sum()) - 1) < 1e-3 and bool((self.weights >= 0).all())
        if not whole or not bool((self.factors.diagonal(dim1=1, dim2=2) > 0).all()):
            raise BadData("The weights or covariances of a mixture are not those of a density. Fit it again.")

    @property
    def size(self) -> int:
        """Number of values d of a code."""
        return self._sizes["d"]

    @property
    def components(self) -> int:
        """Number of components K."""
        return self._sizes["K"]

    def sample(self, n: int, *, temperature: float = 1.0) -> Float[Tensor, "n d"]:
        """``n`` codes: a component each, then a code from it."""
        check_temperature(temperature)
        component = torch.multinomial(self.weights, n, replacement=True)
        noise = temperature * torch.randn(n, self.size, dtype=torch.float64)
        moved = torch.empty_like(noise)
        for k in sorted(set(component.tolist())):
            drawn = component == k
            moved[drawn] = self.means[k] + noise[drawn] @ self.factors[k].T
        return moved

    def _log_prob(self, z: Float[Tensor, "N d"]) -> Float[Tensor, " N"]:
        constant = 0.5 * self.size * math.log(2 * math.pi)
        each = []
        for weight, mean, factor in zip(self.weights, self.means, self.factors, strict=True):
            standard = torch.linalg.solve_triangular(factor, (z - mean).T, upper=False)
            log_scale = factor.diagonal().log().sum()
            each.append(weight.log() - constant - log_scale - 0.5 * standard.square().sum(0))
        return torch.logsumexp(torch.stack(each), 0)
