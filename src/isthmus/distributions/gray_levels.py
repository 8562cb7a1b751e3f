r"""Probability mass functions on the gray levels :math:`k / (L - 1)`, k = 0 ... L - 1, for each value."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

from isthmus.distributions.outputs import SampleShape, summed


class IndependentLevels(Distribution):
    r"""Independent categorical variables on the grid :math:`k / (L - 1)` of L levels.

    Args:
        logits: logits of the levels, shape (B, L, *D).

    >>> p = IndependentLevels(torch.zeros(1, 256, 3))
    >>> round(-p.log_prob(torch.ones(1, 3)).item(), 4)  # 3 log 256
    16.6355
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(self, logits: Float[Tensor, "B L *D"]) -> None:
        super().__init__(logits.shape[:1], logits.shape[2:], validate_args=False)
        self.logits, self.top = logits, logits.shape[1] - 1

    @property
    def mean(self) -> Tensor:
        """The mean over levels, which in general is not a level."""
        return self._expectation(self._grid())

    @property
    def mode(self) -> Tensor:
        """The most probable level."""
        return self._levels(self.logits.argmax(1))

    @property
    def variance(self) -> Tensor:
        """Variance of each value."""
        return self._expectation(self._grid().square()) - self.mean.square()

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        """Sampled levels, shape (*sample, B, *D), without gradient."""
        with torch.no_grad():
            return self._levels(_indices(torch.softmax(self.logits, 1).movedim(1, -1), sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability per example, in nats, shape (*sample, B)."""
        return summed(self.log_prob_by_feature(value), self)

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-probability of each value, in nats, of the shape of ``value``."""
        axis = value.ndim - len(self.event_shape)
        # without a second copy of all masses: with 256 levels they are the largest tensor of the model
        masses = torch.log_softmax(self.logits, 1)
        masses = masses.expand(value.shape[:axis] + masses.shape[1:])
        index = (value * self.top).round().long().unsqueeze(axis)
        return masses.gather(axis, index).squeeze(axis)

    def _grid(self) -> Tensor:
        return torch.arange(self.top + 1, dtype=self.logits.dtype, device=self.logits.device) / self.top

    def _levels(self, index: Tensor) -> Tensor:
        return index.to(self.logits.dtype) / self.top

    def _expectation(self, values: Tensor) -> Tensor:
        masses = torch.softmax(self.logits, 1).flatten(2)
        return torch.matmul(values, masses).reshape(self.batch_shape + self.event_shape)


class DiscretizedMixture(Distribution):
    r"""Independent mixtures of logistic distributions, discretized to the grid :math:`k / (L - 1)` of L levels.

    With :math:`y = 2x - 1` in [-1, 1] and bins of width :math:`2/(L-1)` around each level, where the first and the last
    bin include the tails,

    .. math:: P(x) = \sum_i \pi_i \left[\sigma\!\left(\frac{y^+ - \mu_i}{s_i}\right) -
              \sigma\!\left(\frac{y^- - \mu_i}{s_i}\right)\right],

    which sums to one over the levels. The logarithm of a difference is computed as :math:`\log\sigma(a) +
    \log\sigma(-b) + \log(1 - e^{b-a})`, which is accurate even if the difference underflows.

    Args:
        logits: logits of the weights :math:`\pi`, shape (B, K, *D).
        loc: means :math:`\mu`, of the same shape.
        log_scale: log scales :math:`\log s`, of the same shape.
        levels: number of levels L, at least 2.

    References:
        PixelCNN++: improving the PixelCNN with discretized logistic mixture likelihood and other modifications
            (Salimans et al., 2017), equation 2

    >>> p = DiscretizedMixture(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), torch.zeros(1, 1, 1), levels=3)
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 4)  # sigmoid(-1/2)
    0.3775
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(
        self,
        logits: Float[Tensor, "B K *D"],
        loc: Float[Tensor, "B K *D"],
        log_scale: Float[Tensor, "B K *D"],
        levels: int,
    ) -> None:
        super().__init__(loc.shape[:1], loc.shape[2:], validate_args=False)
        self.logits, self.loc, self.log_scale, self.top = logits, loc, log_scale, levels - 1

    @property
    def mean(self) -> Tensor:
        """The mean over levels, which in general is not a level; the time is proportional to the number of levels."""
        total = torch.zeros_like(self.loc[:, 0])
        for k, mass in enumerate(self._masses()):
            total = torch.add(total, mass, alpha=k / self.top)
        return total

    @property
    def mode(self) -> Tensor:
        """The most probable level; the time is proportional to the number of levels."""
        best = torch.full_like(self.loc[:, 0], -1)
        level = torch.zeros_like(best)
        for k, mass in enumerate(self._masses()):
            level = torch.where(mass > best, k / self.top, level)
            best = torch.maximum(best, mass)
        return level

    def sample(self, sample_shape: SampleShape = ()) -> Tensor:
        """Sampled levels, shape (*sample, B, *D), without gradient."""
        with torch.no_grad():
            index = _indices(torch.softmax(self.logits, 1).movedim(1, -1), sample_shape)
            axis = len(Size(sample_shape)) + 1
            loc, scale = (
                value.expand(Size(sample_shape) + value.shape).gather(axis, index.unsqueeze(axis)).squeeze(axis)
                for value in (self.loc, self.log_scale.exp())
            )
            y = loc + scale * torch.logit(torch.rand(loc.shape, dtype=loc.dtype, device=loc.device))
            return ((y.clamp(-1, 1) + 1) * (self.top / 2)).round() / self.top

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability per example, in nats, shape (*sample, B)."""
        return summed(self.log_prob_by_feature(value), self)

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-probability of each value, in nats, of the shape of ``value``."""
        axis = value.ndim - len(self.event_shape)
        x = value.unsqueeze(axis)
        inverse_scale = torch.exp(-self.log_scale)
        center = (2 * x - 1 - self.loc) * inverse_scale
        half = inverse_scale / self.top
        first, last = x < 0.5 / self.top, x > 1 - 0.5 / self.top
        mass = torch.where(last, 0.0, F.logsigmoid(center + half)) + torch.where(
            first, 0.0, F.logsigmoid(half - center)
        )
        mass = mass + torch.where(first | last, 0.0, torch.log(-torch.expm1(-2 * half)))
        return torch.logsumexp(torch.log_softmax(self.logits, 1) + mass, axis)

    def _masses(self) -> Iterator[Tensor]:
        """The probability of each level in turn, shape (B, *D)."""
        weights, inverse_scale = torch.softmax(self.logits, 1), torch.exp(-self.log_scale)
        shift = -self.loc * inverse_scale
        below = torch.zeros_like(self.loc[:, 0])
        for k in range(self.top):
            edge = (2 * k + 1) / self.top - 1
            above = (weights * torch.sigmoid(torch.add(shift, inverse_scale, alpha=edge))).sum(1)
            yield above - below
            below = above
        yield 1 - below


def _indices(probabilities: Float[Tensor, "B *D n"], sample_shape: SampleShape) -> Int[Tensor, "..."]:
    """Indices along the last axis, sampled with these probabilities, shape (*sample, B, *D)."""
    n = Size(sample_shape).numel()
    rows = torch.multinomial(probabilities.flatten(0, -2), n, replacement=True)
    return rows.t().reshape(Size(sample_shape) + probabilities.shape[:-1])
