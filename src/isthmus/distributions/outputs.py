r"""Output distributions :math:`p(x \mid z)` that torch lacks, or has in a form too slow or too inexact for training.

All have independent values. Each offers ``mean``, ``mode``, ``sample``, ``log_prob`` (one value for each example, in
nats) and ``by_feature`` (one for each value of ``x``, which sum to it). The value may carry sample axes in front.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Size, Tensor
from torch.distributions import Chi2, Distribution
from torch.distributions.constraints import Constraint

from isthmus.distributions.basic import Located

Draws = Size | list[int] | tuple[int, ...]
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
NEAR_ZERO = 0.25
"""Natural parameter of a continuous Bernoulli below which its series is exact and its closed form is not."""


def summed(values: Tensor, p: Distribution) -> Tensor:
    """Values of each feature, summed over the event."""
    return values.flatten(-len(p.event_shape)).sum(-1)


def _gaussian(error: Tensor, log_scale: Tensor, count: int) -> Tensor:
    """Log-density of ``count`` Gaussian values of one scale, whose squared errors add up to ``error``."""
    return -0.5 * error * torch.exp(-2 * log_scale) - count * (log_scale + HALF_LOG_2PI)


class IsotropicGaussian(Located):
    r"""A Gaussian of one scale for all values, :math:`\mathcal N(\mu, \sigma^2 I)`.

    It is ``Independent(Normal(loc, scale))`` that sums the squared error before it is scaled.

    Args:
        loc: mean :math:`\mu`, shape (B, *D).
        log_scale: :math:`\log\sigma`, shape ().

    >>> round(IsotropicGaussian(torch.zeros(1, 2), torch.zeros(())).log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """

    def __init__(self, loc: Float[Tensor, "B *D"], log_scale: Float[Tensor, ""]) -> None:
        super().__init__(loc)
        self.log_scale = log_scale

    @property
    def variance(self) -> Tensor:
        """The same for every value."""
        return torch.exp(2 * self.log_scale).expand(self.loc.shape)

    def sample(self, sample_shape: Draws = ()) -> Tensor:
        r"""Draws :math:`\mu + \sigma\epsilon`, shape (*sample, B, *D)."""
        with torch.no_grad():
            noise = torch.randn(Size(sample_shape) + self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
            return torch.addcmul(self.loc, noise, self.log_scale.exp())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each example, in nats."""
        return _gaussian(summed((value - self.loc).square(), self), self.log_scale, self.event_shape.numel())

    def by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        return _gaussian((value - self.loc).square(), self.log_scale, 1)


class CalibratedGaussian(Located):
    r"""A Gaussian whose one scale is the best for whatever it is asked about: :math:`\sigma^2 = \overline{(x-\mu)^2}`.

    The mean runs over all values of the batch, so the log-densities of its examples depend on each other; their sum
    is the largest that any scale of at least ``least`` gives. The gradient flows through the scale. Draws have the
    scale that ``log_scale`` remembers.

    Args:
        loc: mean :math:`\mu`, shape (B, *D).
        log_scale: of the draws, shape ().
        least: smallest scale.
        seen: told the mean squared error of each batch, without gradient.
        gather: joins the examples of all processes that share the batch.

    >>> p = CalibratedGaussian(torch.zeros(1, 4), torch.zeros(()), 1e-3, lambda error: None)
    >>> round(p.log_prob(torch.full((1, 4), 0.5)).item(), 4)  # sigma = 1/2: -4 (1/2 + log(1/2) + log(2 pi) / 2)
    -2.9032
    """

    def __init__(
        self,
        loc: Float[Tensor, "B *D"],
        log_scale: Float[Tensor, ""],
        least: float,
        seen: Callable[[Tensor], None],
        gather: Callable[[Tensor], Tensor] = lambda values: values,
    ) -> None:
        super().__init__(loc)
        self.remembered = IsotropicGaussian(loc, log_scale)
        self.least, self.seen, self.gather = least, seen, gather

    def sample(self, sample_shape: Draws = ()) -> Tensor:
        """Draws with the remembered scale, shape (*sample, B, *D)."""
        return self.remembered.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each example, in nats, with the scale that is best for all of them."""
        error = (value - self.loc).square()
        return _gaussian(summed(error, self), self._best(error), self.event_shape.numel())

    def by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        error = (value - self.loc).square()
        return _gaussian(error, self._best(error), 1)

    def _best(self, error: Tensor) -> Tensor:
        """The logarithm of the best scale."""
        mean = self.gather(error.flatten(1).mean(1)).mean()
        self.seen(mean.detach())
        # a clamp costs nothing here: below it the scale has no gradient, at the optimum above it that gradient is 0
        return 0.5 * mean.clamp_min(self.least**2).log()


class IndependentStudentT(Located):
    r"""Independent Student-t values of one scale and :math:`\nu` degrees of freedom around ``loc``.

    It is ``Independent(StudentT(df, loc, scale))`` with its constants computed once instead of for every value:
    torch spends two thirds of a training step of a small network on them.

    Args:
        loc: mean :math:`\mu`, shape (B, *D).
        df: :math:`\nu > 1`, so that the mean exists.
        scale: of all values.

    >>> round(IndependentStudentT(torch.zeros(1, 1), 3.0, 1.0).log_prob(torch.zeros(1, 1)).exp().item(), 4)
    0.3676
    """

    def __init__(self, loc: Float[Tensor, "B *D"], df: float, scale: float) -> None:
        super().__init__(loc)
        self.df, self.scale = df, scale
        self.peak = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(math.pi * df) - math.log(scale)

    @property
    def variance(self) -> Tensor:
        r""":math:`\sigma^2 \nu / (\nu - 2)`, infinite for :math:`\nu \le 2`."""
        value = self.scale**2 * self.df / (self.df - 2) if self.df > 2 else math.inf
        return self.loc.new_tensor(value).expand(self.loc.shape)

    def sample(self, sample_shape: Draws = ()) -> Tensor:
        """Draws: a normal value over the root of a chi-squared one by its degrees, shape (*sample, B, *D)."""
        with torch.no_grad():
            shape = Size(sample_shape) + self.loc.shape
            noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            spread = Chi2(self.loc.new_tensor(self.df)).sample(shape) / self.df
            return self.loc + self.scale * noise * spread.rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each example, in nats."""
        return summed(self._tails(value), self) + self.event_shape.numel() * self.peak

    def by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        return self._tails(value) + self.peak

    def _tails(self, value: Tensor) -> Tensor:
        """How far the log-density of each value is below the peak."""
        return -0.5 * (self.df + 1) * torch.log1p((value - self.loc).square() / (self.df * self.scale**2))


class IndependentContinuousBernoulli(Distribution):
    r"""Independent continuous Bernoulli values in [0, 1]: :math:`p(x) = e^{\eta x} \big/ \int_0^1 e^{\eta t}\,dt`.

    The logits :math:`\eta` are the natural parameter. Near :math:`\eta = 0` the closed moments are 0/0; there a
    series takes over, whose error is below 1e-14. (torch's own changes over only at :math:`|\eta| = 0.004`, where in
    single precision its variance is off by more than itself; and it goes through probabilities, which are 1 in single
    precision from a logit of 17 on.)

    Args:
        logits: :math:`\eta`, shape (B, *D).

    References:
        The continuous Bernoulli: fixing a pervasive error in variational autoencoders (Loaiza-Ganem & Cunningham, 2019)

    >>> p = IndependentContinuousBernoulli(torch.zeros(1, 4))  # the uniform distribution
    >>> p.mean.tolist(), abs(round(p.log_prob(torch.rand(1, 4)).item(), 6))
    ([[0.5, 0.5, 0.5, 0.5]], 0.0)
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(self, logits: Float[Tensor, "B *D"]) -> None:
        super().__init__(logits.shape[:1], logits.shape[1:], validate_args=False)
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        r""":math:`1/(1 - e^{-\eta}) - 1/\eta`: not the sigmoid of the logits."""
        return _mean_of_slope(self.logits)

    @property
    def mode(self) -> Tensor:
        """1 where the density rises, else 0."""
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        r""":math:`1/\eta^2 - 1/(4 \sinh^2(\eta/2))`."""
        near, far = _near_and_far(self.logits)
        series = 1 / 12 - near * (1 / 240 - near * (1 / 6048 - near * (1 / 172800 - near / 5322240)))
        # 4 sinh^2(a/2) = (1 - e^-a)^2 e^a, without its overflow
        closed = far.pow(-2) - torch.exp(-far) / torch.expm1(-far).square()
        return torch.where(self.logits.abs() < NEAR_ZERO, series, closed)

    def sample(self, sample_shape: Draws = ()) -> Tensor:
        """Draws by the inverse of the distribution function, shape (*sample, B, *D)."""
        with torch.no_grad():
            shape = Size(sample_shape) + self.logits.shape
            u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
            # for a falling density this is exact for large slopes too; below 1e-6 the density is flat to all digits
            slope = self.logits.abs().clamp_min(1e-6)
            falling = -torch.log1p(u * torch.expm1(-slope)) / slope
            return torch.where(self.logits > 0, 1 - falling, falling)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density of each example, in nats."""
        return summed(self.by_feature(value), self)

    def by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        normaliser: Tensor = _LogNormaliser.apply(self.logits)  # type: ignore[no-untyped-call]
        return self.logits * value - normaliser


class _LogNormaliser(torch.autograd.Function):
    r""":math:`\log\int_0^1 e^{\eta t}\,dt = \log((e^\eta - 1)/\eta)`, whose derivative is the mean.

    Left to autograd the derivative would be a difference of two numbers of size 1/eta, without digits near 0.
    """

    @staticmethod
    def forward(ctx: Any, eta: Tensor) -> Tensor:
        ctx.save_for_backward(eta)
        size = eta.abs().clamp_min(torch.finfo(eta.dtype).tiny)
        return F.relu(eta) + torch.log(torch.expm1(-size) / -size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (eta,) = ctx.saved_tensors
        return gradient * _mean_of_slope(eta)


def _mean_of_slope(eta: Tensor) -> Tensor:
    r"""The mean of a density that is proportional to :math:`e^{\eta x}` on [0, 1]."""
    near, far = _near_and_far(eta)
    series = 0.5 + eta * (1 / 12 - near * (1 / 720 - near * (1 / 30240 - near / 1209600)))
    above = -1 / torch.expm1(-far) - 1 / far
    return torch.where(eta.abs() < NEAR_ZERO, series, torch.where(eta > 0, above, 1 - above))


def _near_and_far(eta: Tensor) -> tuple[Tensor, Tensor]:
    """The square of slopes for the series; their size for closed forms, kept from 0 so that gradients exist."""
    return eta.square(), eta.abs().clamp_min(NEAR_ZERO)
