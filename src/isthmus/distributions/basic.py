r"""The point mass, the diagonal Gaussian and the independent Bernoulli distribution."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint


class Located(Distribution):
    """Base class of symmetric unimodal distributions, whose mean and mode are ``loc``.

    Args:
        loc: mean and mode, shape (B, *D).
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(self, loc: Float[Tensor, "B *D"]) -> None:
        super().__init__(loc.shape[:1], loc.shape[1:], validate_args=False)
        self.loc = loc

    @property
    def mean(self) -> Tensor:
        """The parameter ``loc``."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """The parameter ``loc``."""
        return self.loc


class Dirac(Distribution):
    r"""The point mass :math:`\delta(z - a)`: all samples, the mean and the mode are ``value``.

    It has no density, so :meth:`log_prob` raises an error; parts that use a density require
    :attr:`isthmus.parts.protocols.Capability.DENSITY`.

    Args:
        value: the point a, shape (B, *code).

    >>> import torch
    >>> Dirac(torch.ones(2, 3)).rsample().equal(torch.ones(2, 3))
    True
    """

    has_rsample = True
    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(self, value: Float[Tensor, "B *code"]) -> None:
        super().__init__(value.shape[:1], value.shape[1:], validate_args=False)
        self.value = value

    @property
    def mean(self) -> Tensor:
        """The point ``value``."""
        return self.value

    @property
    def mode(self) -> Tensor:
        """The point ``value``."""
        return self.value

    @property
    def variance(self) -> Tensor:
        """Zero, of the shape of ``value``."""
        return self.value.new_zeros(()).expand_as(self.value)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """``value``, repeated over ``sample_shape``."""
        return self.value.expand(Size(sample_shape) + self.value.shape)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """``value``, repeated, without gradient."""
        return self.rsample(sample_shape).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        """Not defined for a point mass.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("A Dirac distribution has no density.")


class DiagonalGaussian(Located):
    r"""A Gaussian with diagonal covariance, :math:`\mathcal N(\mu, \mathrm{diag}\,\sigma^2)`; one event per example.

    Equivalent to ``Independent(Normal(loc, scale))``, but stores :math:`\log\sigma`: the KL needs no logarithm, and is
    finite even if :math:`\sigma` underflows. It saves 5 % of a training step of an MLP VAE with batches of 100.

    Args:
        loc: mean :math:`\mu`, shape (B, *code).
        log_scale: log standard deviation :math:`\log\sigma`, of the same shape.

    >>> import torch
    >>> q = DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 3))
    >>> q.rsample().shape, round(q.log_prob(torch.zeros(2, 3))[0].item(), 4)  # -3/2 log(2 pi)
    (torch.Size([2, 3]), -2.7568)
    """

    has_rsample = True

    def __init__(self, loc: Float[Tensor, "B *code"], log_scale: Float[Tensor, "B *code"]) -> None:
        super().__init__(loc)
        self.log_scale, self.scale = log_scale, log_scale.exp()

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance."""
        return self.scale.square()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        r"""Reparameterized samples :math:`\mu + \sigma\epsilon`, shape (*sample, B, *code)."""
        noise = torch.randn(Size(sample_shape) + self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.addcmul(self.loc, self.scale, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density per example, in nats, shape (*sample, B)."""
        z = (value - self.loc) / self.scale
        values = -0.5 * (z.square() + math.log(2 * math.pi)) - self.log_scale
        return values.flatten(-len(self.event_shape)).sum(-1)

    def detached(self) -> "DiagonalGaussian":
        """The same Gaussian with detached parameters."""
        return DiagonalGaussian(self.loc.detach(), self.log_scale.detach())

    def entropy(self) -> Tensor:
        """Differential entropy per example, in nats, shape (B,)."""
        return (self.log_scale + 0.5 * math.log(2 * math.pi * math.e)).flatten(1).sum(1)


class IndependentBernoulli(Distribution):
    r"""Independent Bernoulli variables, parameterized by logits; one event per example.

    Equivalent to ``Independent(Bernoulli(logits=...))``, but faster: the cross-entropy is summed before it is negated,
    which saves a pass over the pixels in forward and backward. Unlike in torch, values in [0, 1] are allowed; their
    range is not checked.

    Args:
        logits: log-odds, shape (B, *D).

    >>> import torch
    >>> round(-IndependentBernoulli(torch.zeros(1, 2, 2)).log_prob(torch.ones(1, 2, 2)).item(), 4)  # 4 log 2
    2.7726
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012  torch's own way to declare constraints

    def __init__(self, logits: Float[Tensor, "B *D"]) -> None:
        super().__init__(logits.shape[:1], logits.shape[1:], validate_args=False)
        self.logits = logits

    @property
    def mean(self) -> Tensor:
        """The probabilities, sigmoid of the logits."""
        return torch.sigmoid(self.logits)

    @property
    def mode(self) -> Tensor:
        """1 where the probability exceeds 1/2, else 0."""
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        """Variance of each value, p (1 - p)."""
        p = self.mean
        return p * (1 - p)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """Binary samples, shape (*sample, B, *D)."""
        with torch.no_grad():
            return torch.bernoulli(self.mean.expand(Size(sample_shape) + self.logits.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability per example, in nats, shape (*sample, B)."""
        logits = self.logits if value.shape == self.logits.shape else self.logits.expand(value.shape)
        error = F.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return -error.flatten(-len(self.event_shape)).sum(-1)

    def log_prob_by_feature(self, value: Tensor) -> Tensor:
        """Log-probability of each value, in nats, of the shape of ``value``."""
        return -F.binary_cross_entropy_with_logits(self.logits.expand(value.shape), value, reduction="none")
