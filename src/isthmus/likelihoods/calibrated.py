r"""Gaussian likelihoods that learn their own scale, and so how much reconstruction weighs against a penalty.

.. math:: -\log p(x \mid z) = \frac{\lVert x - h\rVert^2}{2\sigma^2} + D \log\sigma + \text{const}

A fixed :math:`\sigma` is a hidden weight: with :math:`\sigma = 1` on pixels in [0, 1] the KL of a variational
autoencoder wins, and the code collapses. With the scale that fits the error that is left, no weight is to be tuned.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from isthmus.distributions import CalibratedGaussian, IsotropicGaussian
from isthmus.errors import ShapeError, check_range
from isthmus.likelihoods.ranges import RealValued
from isthmus.trace import Gather, alone

LEAST = math.exp(-6)
r"""Smallest scale that is learned, :math:`e^{-6} = 0.0025`: 0.6 of a grey level of 8-bit pixels in [0, 1]."""

SHARE = 0.05
"""How much a batch moves the running error, once there have been 20."""


def _variance_left(x: Float[Tensor, "N *D"]) -> Float[Tensor, ""]:
    """Mean squared error of the best constant output: what a model without a code leaves."""
    return x.var(0, correction=0).mean().clamp_min(LEAST**2)


class SharedGaussian(RealValued):
    r"""A Gaussian of one learned standard deviation: :math:`p = \mathcal N(x; h, \sigma^2 I)`, the sigma-VAE.

    :math:`\sigma = e^{-6} + e^{\rho}` with one parameter :math:`\rho`: :math:`\log\sigma` softly clipped at -6. It
    starts at the scale of what the mean of the training examples leaves (at 1 where they were not met).

    References:
        Simple and effective VAE training with calibrated decoders (Rybkin et al., 2021)

    >>> p = SharedGaussian()(torch.zeros(1, 1))
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 2)  # the peak, 1 / sqrt(2 pi)
    0.4
    """

    def __init__(self) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.zeros(()))

    def meet(self, x: Float[Tensor, "N *D"]) -> None:
        """Start at the scale of what the mean of the training examples leaves."""
        self.start_at(_variance_left(x).item())

    def start_at(self, variance: float) -> None:
        """Take the scale of this variance."""
        with torch.no_grad():
            # above the least scale by a part in a thousand at least, so that the logarithm exists
            self.rho.fill_(math.log(max(math.sqrt(variance) - LEAST, 1e-3 * LEAST)))

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h`` and the learned scale."""
        return IsotropicGaussian(h, torch.log(LEAST + self.rho.exp()))


class OptimalGaussian(RealValued):
    r"""A Gaussian of the best standard deviation: :math:`\sigma^2 = \frac{1}{BD}\sum \lVert x - h\rVert^2`.

    In training the scale is that of the batch at hand, at least :math:`e^{-6}`, and the gradient flows through it:
    :math:`-\log p = D \log\sigma + \text{const}` on average. In evaluation it is a running value over the last
    batches, so each example has a density of its own.

    References:
        Simple and effective VAE training with calibrated decoders (Rybkin et al., 2021), the optimal sigma-VAE

    >>> likelihood = OptimalGaussian()
    >>> p = likelihood(torch.zeros(1, 4))
    >>> round(p.log_prob(torch.full((1, 4), 0.5)).item(), 4)  # sigma = 1/2: -4 (1/2 + log(1/2) + log(2 pi) / 2)
    -2.9032
    """

    error: Tensor
    batches: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gather: Gather = alone
        self.register_buffer("error", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def meet(self, x: Float[Tensor, "N *D"]) -> None:
        """Start at the scale of what the mean of the training examples leaves."""
        self.error.copy_(_variance_left(x))

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h``: with the scale best for the batch in training, else with the running one."""
        log_scale = 0.5 * self.error.clamp_min(LEAST**2).log()
        if self.training:
            return CalibratedGaussian(h, log_scale, LEAST, self._see, self.gather)
        return IsotropicGaussian(h, log_scale)

    def _see(self, error: Tensor) -> None:
        """Move the running error towards that of a batch: a plain mean at first, then an exponential one."""
        self.batches += 1
        self.error += (1 / self.batches).clamp_min(SHARE) * (error - self.error)


class PixelGaussian(RealValued):
    r"""A Gaussian whose mean and standard deviation the decoder gives for each value: features :math:`(\mu, \rho)`.

    :math:`\sigma = \sigma_0 + e^{\rho}`: :math:`\log\sigma` softly clipped at that of the least scale, so that a
    value that never changes cannot send the density to infinity. It says where the decoder is unsure.

    Args:
        least: :math:`\sigma_0 > 0`, in units of the data; the density of a value is at most
            :math:`1 / (\sigma_0 \sqrt{2\pi})`.

    Raises:
        BadOption: the least scale is not positive.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014), appendix C.2
        Leveraging the exact likelihood of deep latent variable models (Mattei & Frellsen, 2018)

    >>> PixelGaussian()(torch.zeros(2, 6)).stddev.shape
    torch.Size([2, 3])
    """

    def __init__(self, least: float = 0.05) -> None:
        super().__init__()
        check_range("likelihood.least", least, 0, 1e6, open_low=True)
        self.least = least

    def width(self, d: int) -> int:
        """Mean and log scale: ``2 d``."""
        return 2 * d

    def forward(self, h: Float[Tensor, "B features *space"]) -> Distribution:
        """The Gaussian whose mean is the first half of the features; the second gives the scale."""
        if h.shape[1] % 2:
            raise ShapeError(
                f"A Gaussian likelihood of each pixel needs a mean and a log scale for each value, but was given "
                f"{h.shape[1]} features. Give the decoder likelihood.width(d) = 2 d output features."
            )
        loc, rho = h.chunk(2, 1)
        return Independent(Normal(loc, self.least + rho.exp(), validate_args=False), h.ndim - 1, validate_args=False)
