r"""Likelihoods of one feature for each value: the classic losses, and the densities that mend their faults.

Cross-entropy is a Bernoulli, squared error a Gaussian of fixed scale. The continuous Bernoulli is the density that
grey values between 0 and 1 would need; Laplace and Student-t forgive outliers.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.distributions import Laplace as LaplaceDensity

from isthmus.distributions import IndependentBernoulli, IndependentContinuousBernoulli, IndependentStudentT
from isthmus.errors import BadOption, check_range
from isthmus.likelihoods.ranges import RealValued, check_unit
from isthmus.trace import Shape

MOST_SCALE = 1e6


class Bernoulli(nn.Module):
    r"""Independent Bernoulli pixels on logits: :math:`\log p = \sum_j x_j \log r_j + (1 - x_j)\log(1 - r_j)`.

    With grey values in [0, 1] this is the usual cross-entropy (not a normalised density; its floor is the entropy
    of the pixels); a mass, and so discrete, for data of 0 and 1. The logits never pass through a sigmoid before the
    loss, so it cannot overflow.

    Args:
        shape: shape of one example; needed with ``from_mean`` alone.
        from_mean: start from the mean of the training examples: its logit, clipped to [0.001, 0.999], is added to
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
    offset: Tensor | None

    def __init__(self, shape: Shape | None = None, from_mean: bool = False) -> None:
        super().__init__()
        if from_mean and shape is None:
            raise BadOption(
                "A Bernoulli likelihood that starts from the mean (from_mean) needs the shape of one example, but has "
                "none. Give it, as in Bernoulli((1, 28, 28), from_mean=True)."
            )
        self.register_buffer("offset", torch.zeros(shape) if from_mean and shape is not None else None)

    def width(self, d: int) -> int:
        """One logit for each value: ``d``."""
        return d

    def meet(self, x: Float[Tensor, "N *D"]) -> None:
        """Take the mean of the training examples as the start, where that was asked for."""
        if self.offset is not None:
            self.offset.copy_(x.mean(0).clamp(0.001, 0.999).logit())

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The distribution with logits ``h``, from the start on."""
        return IndependentBernoulli(h if self.offset is None else h + self.offset)

    def check(self, x: Tensor) -> None:
        """Refuse data outside [0, 1].

        Raises:
            BadData: a value outside [0, 1], or NaN.
        """
        check_unit("Bernoulli", x)


class ContinuousBernoulli(nn.Module):
    r"""Independent continuous Bernoulli values in [0, 1]: :math:`p(x) = C(r)\, r^x (1 - r)^{1 - x}`.

    The cross-entropy of grey values with the constant that makes it a density,
    :math:`C(r) = \log\frac{r}{1 - r} / (2r - 1)`, 2 at r = 1/2; the features are the logits of r. Its mean is not r.

    References:
        The continuous Bernoulli: fixing a pervasive error in variational autoencoders (Loaiza-Ganem & Cunningham, 2019)

    >>> p = ContinuousBernoulli()(torch.zeros(1, 4))  # the uniform density
    >>> abs(round(p.log_prob(torch.ones(1, 4)).item(), 4))
    0.0
    """

    discrete = False

    def width(self, d: int) -> int:
        """One logit for each value: ``d``."""
        return d

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The distribution with logits ``h``."""
        return IndependentContinuousBernoulli(h)

    def check(self, x: Tensor) -> None:
        """Refuse data outside [0, 1].

        Raises:
            BadData: a value outside [0, 1], or NaN.
        """
        check_unit("continuous Bernoulli", x)


class Gaussian(RealValued):
    r"""Independent Gaussians of one fixed standard deviation: :math:`p = \mathcal N(x; h, \sigma^2 I)`.

    :math:`-\log p = \frac{1}{2\sigma^2}\lVert x - h\rVert^2 + D \log(\sigma\sqrt{2\pi})`: half the squared error,
    up to a constant, at :math:`\sigma = 1`.

    Args:
        scale: :math:`\sigma > 0`, in units of the data.

    Raises:
        BadOption: the scale is not positive.

    >>> p = Gaussian(scale=0.5)(torch.zeros(1, 1))
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 4)  # the peak, 1 / (0.5 sqrt(2 pi))
    0.7979
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        check_range("likelihood.scale", scale, 0, MOST_SCALE, open_low=True)
        self.scale = scale

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h``."""
        return Independent(Normal(h, self.scale, validate_args=False), h.ndim - 1, validate_args=False)


class Laplace(RealValued):
    r"""Independent Laplace values of one fixed scale: :math:`-\log p = \lVert x - h\rVert_1 / b + D \log 2b`.

    The absolute error as a likelihood: the best constant is the median, so outliers count less.

    Args:
        scale: b > 0, in units of the data.

    Raises:
        BadOption: the scale is not positive.

    >>> p = Laplace(scale=0.5)(torch.zeros(1, 1))
    >>> p.log_prob(torch.zeros(1, 1)).exp().item()  # the peak, 1 / (2 b)
    1.0
    """

    kind = "Laplace"

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        check_range("likelihood.scale", scale, 0, MOST_SCALE, open_low=True)
        self.scale = scale

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Laplace distribution around ``h``."""
        return Independent(LaplaceDensity(h, self.scale, validate_args=False), h.ndim - 1, validate_args=False)


class StudentT(RealValued):
    r"""Independent Student-t values: :math:`-\log p = \frac{\nu + 1}{2}\sum_j \log\left(1 + \frac{(x_j - h_j)^2}
    {\nu\sigma^2}\right) + \text{const}`.

    The pull of a value fades beyond :math:`\sigma\sqrt\nu`, so gross outliers hardly count. Large :math:`\nu` is a
    Gaussian.

    Args:
        df: degrees of freedom :math:`\nu > 1`, so that the mean exists.
        scale: :math:`\sigma > 0`, in units of the data.

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
        check_range("likelihood.scale", scale, 0, MOST_SCALE, open_low=True)
        self.df, self.scale = df, scale

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Student-t distribution around ``h``."""
        return IndependentStudentT(h, self.df, self.scale)
