r"""Kinds of units: what a layer is made of, and all that a Boltzmann machine asks of a kind.

A unit u with bias b has an energy of its own, :math:`e(u)`, and the other layer gives it a field x; then

.. math:: p(u \mid x) \propto e^{-e(u) + ux}, \qquad \kappa(x) = \log \int e^{-e(u) + ux}\, du

(a sum where u is discrete). The cumulant :math:`\kappa` integrates the unit out, and its slope is the mean:
:math:`\kappa'(x) = \mathrm E[u \mid x]`. For both kinds below the mean depends on b + x alone. A new kind is a class
with these members and a line in :data:`UNITS`.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

RAREST = 1e-3
"""Least probability of a 0 or a 1 that a bias is found for: what was never seen may yet be."""


class Unit(Protocol):
    """What a machine asks of a kind of units; every function works elementwise and broadcasts.

    Attributes:
        low, high: bounds of a unit's values in data.
        binary: whether its states are 0 and 1 alone, so that they can be counted.
    """

    low: float
    high: float
    binary: bool

    def own(self, u: Tensor, bias: Tensor) -> Tensor:
        """Energy e(u) of a unit on its own, in nats."""
        ...

    def mean(self, total: Tensor) -> Tensor:
        """Mean of a unit, given its bias plus field."""
        ...

    def bias(self, mean: Tensor) -> Tensor:
        """The bias that gives a unit about this mean where there is no field."""
        ...

    def draw(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A state drawn around a mean, of the mean's type."""
        ...

    def cumulant(self, bias: Tensor, field: Tensor) -> Tensor:
        """Logarithm of the sum or integral of exp(-e(u) + u field) over u, in nats."""
        ...


class Bernoulli:
    r"""Units in {0, 1}: :math:`e(u) = -bu`, mean :math:`\sigma(b + x)`, cumulant :math:`\log(1 + e^{b + x})`.

    >>> Bernoulli().mean(torch.tensor(0.0)).item()
    0.5
    """

    low, high, binary = 0.0, 1.0, True

    def own(self, u: Tensor, bias: Tensor) -> Tensor:
        """Energy of a unit on its own."""
        return -bias * u

    def mean(self, total: Tensor) -> Tensor:
        """Probability of a 1."""
        return torch.sigmoid(total)

    def bias(self, mean: Tensor) -> Tensor:
        """Logit of the mean, which is kept a little away from 0 and 1."""
        return torch.logit(mean, eps=RAREST)

    def draw(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """States 0 and 1."""
        # in bfloat16 a uniform number would be 0 once in 256 draws; four times as fast as torch.bernoulli, where the
        # comparison writes numbers and no truth values are converted
        dtype = torch.promote_types(mean.dtype, torch.float32)
        uniform = torch.rand(mean.shape, generator=generator, dtype=dtype, device=mean.device)
        return torch.lt(uniform, mean, out=torch.empty_like(mean))

    def cumulant(self, bias: Tensor, field: Tensor) -> Tensor:
        """Softplus of bias plus field."""
        return F.softplus(bias + field)


class Gaussian:
    r"""Real units of unit variance: :math:`e(u) = \frac12 (u - b)^2`, mean b + x.

    The cumulant is :math:`bx + \frac12 x^2 + \frac12 \log 2\pi`. Data for such units should have about unit variance.

    >>> Gaussian().own(torch.tensor(3.0), torch.tensor(1.0)).item()
    2.0
    """

    low, high, binary = -math.inf, math.inf, False

    def own(self, u: Tensor, bias: Tensor) -> Tensor:
        """Energy of a unit on its own."""
        return 0.5 * (u - bias).square()

    def mean(self, total: Tensor) -> Tensor:
        """The sum itself."""
        return total

    def bias(self, mean: Tensor) -> Tensor:
        """The mean itself."""
        return mean

    def draw(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The mean with noise of unit variance."""
        return mean + torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)

    def cumulant(self, bias: Tensor, field: Tensor) -> Tensor:
        """Bias times field, plus half the squared field, plus the normaliser of the density."""
        return field * (bias + 0.5 * field) + 0.5 * math.log(2 * math.pi)


UNITS: dict[str, Unit] = {"bernoulli": Bernoulli(), "gaussian": Gaussian()}
"""Kinds of units by name."""
