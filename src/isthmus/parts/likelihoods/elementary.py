r"""Likelihoods with one feature per value: the classic losses and their robust or normalized alternatives.

Binary cross-entropy is a Bernoulli likelihood, squared error a Gaussian of fixed scale. The continuous Bernoulli is a
normalized density for gray values in [0, 1]; Laplace and Student-t are robust to outliers.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.distributions import Laplace as LaplaceDensity

from isthmus.distributions import IndependentBernoulli, IndependentContinuousBernoulli, IndependentStudentT
from isthmus.errors import check_range
from isthmus.parts.likelihoods.ranges import UNIT, RealValued, check_unit
from isthmus.parts.likelihoods.starting import StartsAtMean
from isthmus.parts.protocols import Shape, Supplied

MAX_SCALE = 1e6
"""Upper bound of the option ``scale``."""


class Bernoulli(StartsAtMean):
    r"""Independent Bernoulli pixels with logits as features: the binary cross-entropy loss.

    .. math:: \log p(x \mid z) = \sum_j x_j \log r_j + (1 - x_j)\log(1 - r_j)

    For binary data p is a probability mass function. For gray values in [0, 1] it is not a normalized density, and the
    loss is bounded below by the entropy of the pixels. The loss is computed from the logits, which avoids overflow.

    Args:
        shape: shape of one example; required only with ``from_mean``.
        from_mean: initialize with the mean of the training examples, clipped to [0.001, 0.999]: its logit is added to
            the logits.

    Raises:
        BadOption: ``from_mean`` without a shape.

    References:
        Importance weighted autoencoders (Burda et al., 2016), whose code starts its output biases so

    >>> p = Bernoulli()(torch.zeros(1, 4))
    >>> round(-p.log_prob(torch.ones(1, 4)).item(), 4)  # 4 log 2
    2.7726
    """

    discrete = True
    support: tuple[float, float] | None = UNIT

    def __init__(self, shape: Supplied[Shape | None] = None, from_mean: bool = False) -> None:
        super().__init__()
        self.register_offset(shape, from_mean=from_mean)

    def width(self, d: int) -> int:
        """One logit per value: ``d``."""
        return d

    def features_of(self, mean: Tensor) -> Tensor:
        """The logit of the mean."""
        return torch.logit(mean, 0.001)

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The distribution with logits ``h``, plus the offset if ``from_mean`` is set."""
        return IndependentBernoulli(self.started(h))

    def check(self, x: Tensor) -> None:
        """Check that the data lies in [0, 1].

        Raises:
            BadData: a value outside [0, 1], or NaN.
        """
        check_unit("Bernoulli", x)


class ContinuousBernoulli(nn.Module):
    r"""Independent continuous Bernoulli values in [0, 1]: :math:`p(x) = C(r)\, r^x (1 - r)^{1 - x}`.

    The binary cross-entropy with the normalizing constant :math:`C(r) = \log\frac{r}{1 - r} / (2r - 1)`, 2 at r = 1/2,
    which makes it a density on [0, 1]. The features are the logits of r. The mean of the distribution is not r.

    References:
        The continuous Bernoulli: fixing a pervasive error in variational autoencoders (Loaiza-Ganem & Cunningham, 2019)

    >>> p = ContinuousBernoulli()(torch.zeros(1, 4))  # the uniform density
    >>> abs(round(p.log_prob(torch.ones(1, 4)).item(), 4))
    0.0
    """

    discrete = False
    support: tuple[float, float] | None = UNIT

    def width(self, d: int) -> int:
        """One logit per value: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The distribution with logits ``h``."""
        return IndependentContinuousBernoulli(h)

    def check(self, x: Tensor) -> None:
        """Check that the data lies in [0, 1].

        Raises:
            BadData: a value outside [0, 1], or NaN.
        """
        check_unit("continuous Bernoulli", x)


class Gaussian(RealValued, StartsAtMean):
    r"""A Gaussian with fixed standard deviation, :math:`p = \mathcal N(x; h, \sigma^2 I)`: the squared-error loss.

    :math:`-\log p = \frac{1}{2\sigma^2}\lVert x - h\rVert^2 + D \log(\sigma\sqrt{2\pi})`, which is half the squared
    error up to a constant for :math:`\sigma = 1`.

    Args:
        scale: standard deviation :math:`\sigma > 0`, in units of the data.
        shape: shape of one example; required only with ``from_mean``.
        from_mean: start at the mean of the training examples, which is added to h.

    Raises:
        BadOption: the scale is not positive, or ``from_mean`` without a shape.

    >>> p = Gaussian(scale=0.5)(torch.zeros(1, 1))
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 4)  # the peak, 1 / (0.5 sqrt(2 pi))
    0.7979
    """

    def __init__(self, scale: float = 1.0, shape: Supplied[Shape | None] = None, from_mean: bool = False) -> None:
        super().__init__()
        check_range("likelihood.scale", scale, 0, MAX_SCALE, open_low=True)
        self.scale, self.identity_mean = scale, not from_mean
        self.register_offset(shape, from_mean=from_mean)

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h``, plus the offset if ``from_mean`` is set."""
        h = self.started(h)
        return Independent(Normal(h, self.scale, validate_args=False), h.ndim - 1, validate_args=False)


class Laplace(RealValued):
    r"""A Laplace distribution with fixed scale, :math:`-\log p = \lVert x - h\rVert_1 / b + D \log 2b`: absolute error.

    It fits the median instead of the mean, so it is more robust to outliers than the squared error.

    Args:
        scale: scale b > 0, in units of the data.

    Raises:
        BadOption: the scale is not positive.

    >>> p = Laplace(scale=0.5)(torch.zeros(1, 1))
    >>> p.log_prob(torch.zeros(1, 1)).exp().item()  # the peak, 1 / (2 b)
    1.0
    """

    kind = "Laplace"

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        check_range("likelihood.scale", scale, 0, MAX_SCALE, open_low=True)
        self.scale = scale

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Laplace distribution with location ``h``."""
        return Independent(LaplaceDensity(h, self.scale, validate_args=False), h.ndim - 1, validate_args=False)


class StudentT(RealValued):
    r"""A Student-t distribution with fixed scale, for data with outliers.

    .. math:: -\log p(x \mid z) = \frac{\nu + 1}{2} \sum_j \log\left(1 + \frac{(x_j - h_j)^2}{\nu\sigma^2}\right)
        + \text{const}

    The gradient of a value decreases for errors beyond :math:`\sigma\sqrt\nu`, so large outliers have little influence.
    For :math:`\nu \to \infty` it is a Gaussian.

    Args:
        df: degrees of freedom :math:`\nu > 1`, so that the mean exists.
        scale: scale :math:`\sigma > 0`, in units of the data.

    Raises:
        BadOption: an option out of range.

    References:
        Robust statistical modeling using the t distribution (Lange et al., 1989)

    >>> p = StudentT(df=3.0)(torch.zeros(1, 1))
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 4)  # 2 / (pi sqrt 3)
    0.3676
    """

    kind = "Student-t"

    def __init__(self, df: float = 4.0, scale: float = 1.0) -> None:
        super().__init__()
        check_range("likelihood.df", df, 1, 1e6, open_low=True)
        check_range("likelihood.scale", scale, 0, MAX_SCALE, open_low=True)
        self.df, self.scale = df, scale

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Student-t distribution with location ``h``."""
        return IndependentStudentT(h, self.df, self.scale)
