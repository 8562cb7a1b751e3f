r"""Kinds of units of a Boltzmann machine, and their interface.

A unit u with bias b has the energy :math:`e(u)`, and its input from the other layer is the field x; then

.. math:: p(u \mid x) \propto e^{-e(u) + ux}, \qquad \kappa(x) = \log \int e^{-e(u) + ux}\, du

(a sum where u is discrete). The cumulant :math:`\kappa` integrates the unit out, and its derivative is the mean:
:math:`\kappa'(x) = \mathrm E[u \mid x]`. For both kinds below the mean depends on b + x alone. A new kind is a class
with these members and an entry in :data:`UNITS`.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_PROBABILITY = 1e-3
"""Smallest probability of a 0 or a 1 in the computation of a bias, so that unseen values stay possible."""


class Unit(Protocol):
    """Interface of a kind of units; all functions are elementwise and broadcast.

    Attributes:
        low, high: bounds of the values in data.
        binary: whether the states are 0 and 1 only, so that they can be enumerated.
    """

    low: float
    high: float
    binary: bool

    def energy(self, u: Tensor, bias: Tensor) -> Tensor:
        """Energy e(u) of a unit, in nats."""
        ...

    def mean(self, total: Tensor) -> Tensor:
        """Mean of a unit given the sum of bias and field."""
        ...

    def bias(self, mean: Tensor) -> Tensor:
        """The bias of a unit with about this mean at zero field."""
        ...

    def draw(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A sample of a unit with this mean, in the dtype of the mean."""
        ...

    def cumulant(self, bias: Tensor, field: Tensor) -> Tensor:
        """Logarithm of the sum or integral of exp(-e(u) + u field) over u, in nats."""
        ...


class BernoulliUnits:
    r"""Units in {0, 1}: :math:`e(u) = -bu`, mean :math:`\sigma(b + x)`, cumulant :math:`\log(1 + e^{b + x})`.

    >>> BernoulliUnits().mean(torch.tensor(0.0)).item()
    0.5
    """

    low, high, binary = 0.0, 1.0, True

    def energy(self, u: Tensor, bias: Tensor) -> Tensor:
        """Energy of a unit, in nats."""
        return -bias * u

    def mean(self, total: Tensor) -> Tensor:
        """Probability of a 1."""
        return torch.sigmoid(total)

    def bias(self, mean: Tensor) -> Tensor:
        """Logit of the mean, which is clamped away from 0 and 1."""
        return torch.logit(mean, eps=MIN_PROBABILITY)

    def draw(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Samples in {0, 1}."""
        # in bfloat16 a uniform sample would be 0 once in 256 times; four times as fast as torch.bernoulli, because the
        # comparison writes floats and no booleans are converted
        dtype = torch.promote_types(mean.dtype, torch.float32)
        uniform = torch.rand(mean.shape, generator=generator, dtype=dtype, device=mean.device)
        return torch.lt(uniform, mean, out=torch.empty_like(mean))

    def cumulant(self, bias: Tensor, field: Tensor) -> Tensor:
        """Softplus of bias plus field."""
        return F.softplus(bias + field)


class GaussianUnits:
    r"""Real units of unit variance: :math:`e(u) = \frac12 (u - b)^2`, mean b + x.

    The cumulant is :math:`bx + \frac12 x^2 + \frac12 \log 2\pi`. Data for such units should have about unit variance.

    >>> GaussianUnits().energy(torch.tensor(3.0), torch.tensor(1.0)).item()
    2.0
    """

    low, high, binary = -math.inf, math.inf, False

    def energy(self, u: Tensor, bias: Tensor) -> Tensor:
        """Energy of a unit, in nats."""
        return 0.5 * (u - bias).square()

    def mean(self, total: Tensor) -> Tensor:
        """The sum of bias and field."""
        return total

    def bias(self, mean: Tensor) -> Tensor:
        """The mean."""
        return mean

    def draw(self, mean: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The mean plus noise of unit variance."""
        return mean + torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)

    def cumulant(self, bias: Tensor, field: Tensor) -> Tensor:
        """Bias times field, plus half the squared field, plus the log normalizer of the density."""
        return field * (bias + 0.5 * field) + 0.5 * math.log(2 * math.pi)


UNITS: dict[str, Unit] = {"bernoulli": BernoulliUnits(), "gaussian": GaussianUnits()}
"""Kinds of units by name."""
