r"""Kernel density estimates: a Gaussian around the code of each example."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.densities.base import Density, check_temperature, check_tensors
from isthmus.errors import BadData


class KernelDensity(Density):
    r"""A Gaussian kernel around each of M codes, :math:`\hat p(z) = \frac1M \sum_m \mathcal N(z; z_m, h^2 L L^\top)`.

    L is a factor of the covariance of all codes, so that the bandwidth h does not depend on their scale. At temperature
    T the bandwidth is h T: 0 draws codes of the examples themselves.

    Args:
        points: codes of examples, (M, d).
        factor: the Cholesky factor L, (d, d).
        bandwidth: h > 0, of shape (1,).

    Raises:
        BadData: parameters of other shapes or values.

    References:
        Density estimation for statistics and data analysis (Silverman, 1986), chapter 4

    >>> density = KernelDensity(torch.zeros(1, 2), torch.eye(2), torch.ones(1))
    >>> round(density.log_prob(torch.zeros(1, 2)).item(), 4)  # -log(2 pi)
    -1.8379
    """

    kind = "kde"
    shapes: ClassVar[Mapping[str, str]] = {"points": "M d", "factor": "d d", "bandwidth": "one"}

    def __init__(
        self, points: Float[Tensor, "M d"], factor: Float[Tensor, "d d"], bandwidth: Float[Tensor, " 1"]
    ) -> None:
        given = {"points": points, "factor": factor, "bandwidth": bandwidth}
        self._sizes = check_tensors(given, self.shapes)
        self.points, self.factor, self.bandwidth = points.double(), factor.double().tril(), bandwidth.double()
        if self._sizes["one"] != 1 or float(self.bandwidth) <= 0 or not bool((self.factor.diagonal() > 0).all()):
            raise BadData("The bandwidth or covariance of a kernel density is not above 0. Fit it again.")
        self._whitened = self._standard(self.points)

    @property
    def size(self) -> int:
        """Number of values d of a code."""
        return self._sizes["d"]

    def sample(self, n: int, *, temperature: float = 1.0) -> Float[Tensor, "n d"]:
        """``n`` codes: that of a random example each, with noise."""
        check_temperature(temperature)
        around = self.points[torch.randint(len(self.points), (n,))]
        noise = torch.randn(n, self.size, dtype=torch.float64)
        return around + temperature * self.bandwidth * (noise @ self.factor.T)

    def _log_prob(self, z: Float[Tensor, "N d"]) -> Float[Tensor, " N"]:
        squared = torch.cdist(self._standard(z), self._whitened).square()
        log_scale = self.factor.diagonal().log().sum() + self.size * self.bandwidth.log()
        constant = log_scale + 0.5 * self.size * math.log(2 * math.pi) + math.log(len(self.points))
        return torch.logsumexp(-0.5 * squared / self.bandwidth.square(), 1) - constant

    def _standard(self, z: Float[Tensor, "N d"]) -> Float[Tensor, "N d"]:
        """Codes with the covariance of the identity."""
        whitened: Tensor = torch.linalg.solve_triangular(self.factor, z.T, upper=False).T
        return whitened
