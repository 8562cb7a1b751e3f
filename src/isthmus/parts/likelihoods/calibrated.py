r"""Gaussian likelihoods with a learned scale, which balances the reconstruction error and the penalties.

.. math:: -\log p(x \mid z) = \frac{\lVert x - h\rVert^2}{2\sigma^2} + D \log\sigma + \text{const}

A fixed :math:`\sigma` is an implicit weight: with :math:`\sigma = 1` on pixels in [0, 1] the KL term of a variational
autoencoder dominates, and the posterior collapses. A :math:`\sigma` fitted to the reconstruction error requires no
tuning.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from isthmus.distributions import CalibratedGaussian, IsotropicGaussian
from isthmus.errors import ShapeError, check_range
from isthmus.parts.likelihoods.ranges import RealValued
from isthmus.parts.protocols import Gather, alone

MIN_SCALE = math.exp(-6)
r"""Lower bound of the learned scale, :math:`e^{-6} = 0.0025`: 0.6 of a gray level of 8-bit pixels in [0, 1]."""

MOMENTUM = 0.05
"""Weight of a batch in the moving average of the squared error, after the first 20 batches."""


def _data_variance(x: Float[Tensor, "N *D"]) -> Float[Tensor, ""]:
    """Mean squared error of the best constant output, over the observed values."""
    if bool(x.isnan().any()):
        return (x - x.nanmean(0)).square().nanmean().clamp_min(MIN_SCALE**2)
    return x.var(0, correction=0).mean().clamp_min(MIN_SCALE**2)


class SharedGaussian(RealValued):
    r"""A Gaussian with one learned standard deviation, :math:`p = \mathcal N(x; h, \sigma^2 I)`: the sigma-VAE.

    :math:`\sigma = e^{-6} + e^{\rho}` with one parameter :math:`\rho`, a soft lower bound of -6 on
    :math:`\log\sigma`. It is initialized with the standard deviation of the training examples around their mean, or
    with 1 without training examples.

    References:
        Simple and effective VAE training with calibrated decoders (Rybkin et al., 2021)

    >>> p = SharedGaussian()(torch.zeros(1, 1))
    >>> round(p.log_prob(torch.zeros(1, 1)).exp().item(), 2)  # the peak, 1 / sqrt(2 pi)
    0.4
    """

    def __init__(self) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.zeros(()))

    def init_from_data(self, x: Float[Tensor, "N *D"]) -> None:
        """Initialize the scale with the standard deviation of the training examples around their mean."""
        self.start_at(_data_variance(x).item())

    def start_at(self, variance: float) -> None:
        """Set the scale to the square root of ``variance``."""
        with torch.no_grad():
            # at least a thousandth above the lower bound, so that the logarithm is finite
            self.rho.fill_(math.log(max(math.sqrt(variance) - MIN_SCALE, 1e-3 * MIN_SCALE)))

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h`` and the learned scale."""
        return IsotropicGaussian(h, torch.log(MIN_SCALE + self.rho.exp()))


class OptimalGaussian(RealValued):
    r"""A Gaussian with the optimal standard deviation, :math:`\sigma^2 = \frac{1}{BD}\sum \lVert x - h\rVert^2`.

    In training mode :math:`\sigma` is that of the current batch, at least :math:`e^{-6}`, and gradients pass through
    it: :math:`-\log p = D \log\sigma + \text{const}` on average. In evaluation mode it is a moving average over
    training batches, so the density of an example does not depend on other examples.

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

    def init_from_data(self, x: Float[Tensor, "N *D"]) -> None:
        """Initialize the scale with the standard deviation of the training examples around their mean."""
        self.error.copy_(_data_variance(x))

    def forward(self, h: Float[Tensor, "B d *space"]) -> Distribution:
        """The Gaussian with mean ``h``, and the scale of the batch (in training mode) or the moving average."""
        log_scale = 0.5 * self.error.clamp_min(MIN_SCALE**2).log()
        if self.training:
            return CalibratedGaussian(h, log_scale, MIN_SCALE, self._update, self.gather)
        return IsotropicGaussian(h, log_scale)

    def _update(self, error: Tensor) -> None:
        """Update the average error with that of a batch: an arithmetic mean first, then an exponential one."""
        self.batches += 1
        self.error += (1 / self.batches).clamp_min(MOMENTUM) * (error - self.error)


class PixelGaussian(RealValued):
    r"""A Gaussian with a mean and a standard deviation per value, both from the decoder.

    The features are :math:`(\mu, \rho)` with :math:`\sigma = \sigma_0 + e^{\rho}`. The lower bound :math:`\sigma_0`
    keeps the density finite for values that never change. :math:`\sigma` estimates the uncertainty of each value.

    Args:
        min_scale: lower bound :math:`\sigma_0 > 0`, in units of the data; the density of a value is at most
            :math:`1 / (\sigma_0 \sqrt{2\pi})`.

    Raises:
        BadOption: ``min_scale`` is not positive.

    References:
        Auto-encoding variational Bayes (Kingma & Welling, 2014), appendix C.2
        Leveraging the exact likelihood of deep latent variable models (Mattei & Frellsen, 2018)

    >>> PixelGaussian()(torch.zeros(2, 6)).stddev.shape
    torch.Size([2, 3])
    """

    def __init__(self, min_scale: float = 0.05) -> None:
        super().__init__()
        check_range("likelihood.min_scale", min_scale, 0, 1e6, open_low=True)
        self.min_scale = min_scale

    def width(self, d: int) -> int:
        """Mean and log scale: ``2 d``."""
        return 2 * d

    def forward(self, h: Float[Tensor, "B features *space"]) -> Distribution:
        """The Gaussian with the first half of the features as mean; the second half gives the scale."""
        if h.shape[1] % 2:
            raise ShapeError(
                f"A pixel-wise Gaussian likelihood requires a mean and a log scale per value, but was given "
                f"{h.shape[1]} features. Set the number of output features of the decoder to likelihood.width(d) = 2 d."
            )
        loc, rho = h.chunk(2, 1)
        return Independent(
            Normal(loc, self.min_scale + rho.exp(), validate_args=False), h.ndim - 1, validate_args=False
        )
