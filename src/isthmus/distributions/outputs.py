r"""Output distributions :math:`p(x \mid z)` that torch does not provide, or not fast or accurate enough for training.

All values are independent given z. Each distribution has ``mean``, ``mode``, ``sample``, ``log_prob`` (per example, in
nats) and ``log_prob_by_feature`` (per value of ``x``, with ``log_prob`` as sum). Values may have leading sample axes.
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

SampleShape = Size | list[int] | tuple[int, ...]
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
NEAR_ZERO = 0.25
"""Magnitude of the natural parameter of a continuous Bernoulli below which a series replaces the closed form."""


def summed(values: Tensor, p: Distribution) -> Tensor:
    """Sum of ``values`` over the event axes of ``p``."""
    return values.flatten(-len(p.event_shape)).sum(-1)


def _gaussian(error: Tensor, log_scale: Tensor, count: int | Tensor) -> Tensor:
    """Log-density of ``count`` Gaussian values with one scale and the sum ``error`` of squared errors."""
    return -0.5 * error * torch.exp(-2 * log_scale) - count * (log_scale + HALF_LOG_2PI)


class IsotropicGaussian(Located):
    r"""A Gaussian with one standard deviation for all values, :math:`\mathcal N(\mu, \sigma^2 I)`.

    Equivalent to ``Independent(Normal(loc, scale))``, but faster: the squared error is summed before it is scaled.

    Args:
        loc: mean :math:`\mu`, shape (B, *D).
        log_scale: log standard deviation :math:`\log\sigma`, shape ().

    >>> round(IsotropicGaussian(torch.zeros(1, 2), torch.zeros(())).log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """

    def __init__(self, loc: Float[Tensor, "B *D"], log_scale: Float[Tensor, ""]) -> None:
        super().__init__(loc)
        self.log_scale = log_scale

    @property
    def variance(self) -> Tensor:
        """The variance, the same for all values, of the shape of ``loc``."""
        return torch.exp(2 * self.log_scale).expand(self.loc.shape)

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        r"""Samples :math:`\mu + \sigma\epsilon`, shape (*sample, B, *D), without gradient."""
        with torch.no_grad():
            noise = torch.randn(Size(sample_shape) + self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
            return torch.addcmul(self.loc, noise, self.log_scale.exp())

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density per example, in nats, shape (*sample, B)."""
        return _gaussian(summed((value - self.loc).square(), self), self.log_scale, self.event_shape.numel())

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        return _gaussian((value - self.loc).square(), self.log_scale, 1)


class CalibratedGaussian(Located):
    r"""A Gaussian with the maximum-likelihood variance of the batch, :math:`\sigma^2 = \overline{(x-\mu)^2}`.

    The mean is over all values of the batch, so the log-density of an example depends on the other examples; the sum of
    log-densities is maximal over all scales of at least ``least``. Gradients pass through the scale. Samples use the
    scale ``log_scale`` instead.

    Args:
        loc: mean :math:`\mu`, shape (B, *D).
        log_scale: log standard deviation of samples, shape ().
        least: lower bound of the scale.
        seen: callback for the mean squared error of each batch, without gradient.
        gather: concatenates the examples of all processes that share the batch.

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
        self.sampled = IsotropicGaussian(loc, log_scale)
        self.least, self.seen, self.gather = least, seen, gather

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        """Samples with the scale ``log_scale``, shape (*sample, B, *D), without gradient."""
        return self.sampled.sample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density per example, in nats, with the optimal scale of the batch, shape (B,)."""
        error = (value - self.loc).square()
        return _gaussian(summed(error, self), self._optimal_log_scale(error), self.event_shape.numel())

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        error = (value - self.loc).square()
        return _gaussian(error, self._optimal_log_scale(error), 1)

    def log_prob_of_observed(self, value: Tensor, observed: Tensor) -> Tensor:
        """Log-density of each value, in nats, with the optimal scale of the observed ones; 0 for all others."""
        error = torch.where(observed, (value - self.loc).square(), 0.0)
        return _gaussian(error, self._optimal_log_scale(error, observed), observed.to(error.dtype))

    def _optimal_log_scale(self, error: Tensor, observed: Tensor | None = None) -> Tensor:
        """Logarithm of the maximum-likelihood scale, of all values or of the observed ones."""
        if observed is None:
            mean = self.gather(error.flatten(1).mean(1)).mean()
        else:
            sums = torch.stack([error.flatten(1).sum(1), observed.to(error.dtype).flatten(1).sum(1)], 1)
            total, count = self.gather(sums).sum(0)
            mean = total / count.clamp_min(1)
        self.seen(mean.detach())
        # clamping loses no gradient: that of the scale is 0 at the optimum anyway
        return 0.5 * mean.clamp_min(self.least**2).log()


class IndependentStudentT(Located):
    r"""Independent Student-t variables with location ``loc``, one scale, and :math:`\nu` degrees of freedom.

    Equivalent to ``Independent(StudentT(df, loc, scale))``, but the constants are computed once instead of per value,
    which in torch takes two thirds of a training step of a small network.

    Args:
        loc: mean :math:`\mu`, shape (B, *D).
        df: degrees of freedom :math:`\nu > 1`, so that the mean exists.
        scale: scale :math:`\sigma` of all values.

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

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        """Samples, shape (*sample, B, *D), without gradient."""
        with torch.no_grad():
            shape = Size(sample_shape) + self.loc.shape
            noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
            precision = Chi2(self.loc.new_tensor(self.df)).sample(shape) / self.df
            return self.loc + self.scale * noise * precision.rsqrt()

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density per example, in nats, shape (*sample, B)."""
        return summed(self._tails(value), self) + self.event_shape.numel() * self.peak

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        return self._tails(value) + self.peak

    def _tails(self, value: Tensor) -> Tensor:
        """Log-density of each value relative to the mode."""
        return -0.5 * (self.df + 1) * torch.log1p((value - self.loc).square() / (self.df * self.scale**2))


class IndependentContinuousBernoulli(Distribution):
    r"""Independent continuous Bernoulli variables in [0, 1], :math:`p(x) = e^{\eta x} \big/ \int_0^1 e^{\eta t}\,dt`.

    The logits :math:`\eta` are the natural parameter. Near :math:`\eta = 0`, where the closed forms of the moments are
    0/0, a series with an error below 1e-14 is used. (torch uses its series only below :math:`|\eta| = 0.004`, where the
    relative error of its variance in single precision exceeds 1; and it uses probabilities, which round to 1 in single
    precision for logits above 17.)

    Args:
        logits: natural parameter :math:`\eta`, shape (B, *D).

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
        r"""Mean of each value, :math:`1/(1 - e^{-\eta}) - 1/\eta`, which is not the sigmoid of the logits."""
        return _mean_of_logits(self.logits)

    @property
    def mode(self) -> Tensor:
        """1 where the density is increasing, else 0."""
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        r"""Variance of each value, :math:`1/\eta^2 - 1/(4 \sinh^2(\eta/2))`."""
        near, far = _near_and_far(self.logits)
        series = 1 / 12 - near * (1 / 240 - near * (1 / 6048 - near * (1 / 172800 - near / 5322240)))
        # 4 sinh^2(a/2) = (1 - e^-a)^2 e^a, without overflow
        closed = far.pow(-2) - torch.exp(-far) / torch.expm1(-far).square()
        return torch.where(self.logits.abs() < NEAR_ZERO, series, closed)

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        """Samples by inversion of the distribution function, shape (*sample, B, *D), without gradient."""
        with torch.no_grad():
            shape = Size(sample_shape) + self.logits.shape
            u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
            # a decreasing density is inverted, which is accurate for large logits; 1e-6 is uniform to rounding
            rate = self.logits.abs().clamp_min(1e-6)
            value = -torch.log1p(u * torch.expm1(-rate)) / rate
            return torch.where(self.logits > 0, 1 - value, value)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density per example, in nats, shape (*sample, B)."""
        return summed(self.log_prob_by_feature(value), self)

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-density of each value, in nats, of the shape of ``value``."""
        normalizer: Tensor = _LogNormalizer.apply(self.logits)  # type: ignore[no-untyped-call]
        return self.logits * value - normalizer


class _LogNormalizer(torch.autograd.Function):
    r"""The log-normalizer :math:`\log\int_0^1 e^{\eta t}\,dt = \log((e^\eta - 1)/\eta)`, whose derivative is the mean.

    Automatic differentiation would give a difference of two numbers of size 1/eta, which loses all precision near 0.
    """

    @staticmethod
    def forward(ctx: Any, eta: Tensor) -> Tensor:
        ctx.save_for_backward(eta)
        size = eta.abs().clamp_min(torch.finfo(eta.dtype).tiny)
        return F.relu(eta) + torch.log(torch.expm1(-size) / -size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (eta,) = ctx.saved_tensors
        return gradient * _mean_of_logits(eta)


def _mean_of_logits(eta: Tensor) -> Tensor:
    r"""Mean of the density proportional to :math:`e^{\eta x}` on [0, 1]."""
    near, far = _near_and_far(eta)
    series = 0.5 + eta * (1 / 12 - near * (1 / 720 - near * (1 / 30240 - near / 1209600)))
    closed = -1 / torch.expm1(-far) - 1 / far
    return torch.where(eta.abs() < NEAR_ZERO, series, torch.where(eta > 0, closed, 1 - closed))


def _near_and_far(eta: Tensor) -> tuple[Tensor, Tensor]:
    """The square of the logits for the series, and their magnitude for closed forms, bounded away from 0."""
    return eta.square(), eta.abs().clamp_min(NEAR_ZERO)
