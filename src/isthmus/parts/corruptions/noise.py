"""Noise: Gaussian, and salt and pepper."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts
from isthmus.parts.corruptions.values import check_independent, check_moments, checked_least, level, replaced, uniform
from isthmus.parts.hooks import CorruptionMoments, MeanAndCovariance
from isthmus.parts.protocols import Corrupted
from isthmus.parts.schedules import Scheduled, scheduled


class GaussianNoise(nn.Module):
    r"""Additive Gaussian noise: :math:`\tilde x = x + \sigma\epsilon`, :math:`\epsilon \sim \mathcal N(0, I)`.

    Args:
        scale: the standard deviation :math:`\sigma \ge 0`, in units of the data; a number or a schedule.
        clip: clip the noisy values to [0, 1], as an 8-bit image would. For data in [0, 1].
        least: each example has its own standard deviation, uniform between this one and ``scale``; all have ``scale``
            if ``None``.

    Raises:
        BadOption: a scale below 0.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010), section 3.3

    >>> GaussianNoise(scale=0.0)(torch.ones(1, 3)).x.tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(self, scale: Scheduled = 0.2, *, clip: bool = False, least: float | None = None) -> None:
        super().__init__()
        self.scale = scheduled("corruption.scale", scale, 0, 1e6)
        self.clip, self.least = clip, checked_least(least, 1e6)

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """Noisy ``x``, when a fraction ``progress`` of the run is done; the mask is true for every value."""
        scale = level(x, self.scale.at(progress), self.least)
        if isinstance(scale, Tensor):
            # one of each example, or a scheduled scale while a step is captured as a graph
            noisy = x + scale * torch.randn_like(x)
        elif scale == 0:
            return Corrupted(x, torch.zeros_like(x, dtype=torch.bool))
        else:
            noisy = torch.add(x, torch.randn_like(x), alpha=scale)
        return Corrupted(noisy.clamp(0, 1) if self.clip else noisy, torch.ones_like(x, dtype=torch.bool))

    def moments(self, clean: MeanAndCovariance) -> CorruptionMoments:
        """Moments of noisy examples, given those of clean examples.

        Raises:
            IncompatibleParts: the noise is clipped, so its moments have no closed form.
        """
        if self.clip:
            raise IncompatibleParts(
                "Clipped noise has no closed-form moments, but corruption.clip is true. Set corruption.clip=false."
            )
        check_moments("least", unset=self.least is None)
        noise = torch.full_like(clean.mean, self.scale.at(1.0) ** 2)
        return CorruptionMoments(clean.mean, clean.covariance, clean.covariance + torch.diag(noise))


class SaltAndPepper(nn.Module):
    r"""Salt-and-pepper noise: with probability v a value is set to 0 or 1, with equal chance. For data in [0, 1].

    Args:
        fraction: the probability v, in [0, 1]; a number or a schedule.
        whole_pixels: set all channels of a pixel, or of a step of a sequence, to black or white together, instead of
            each value independently.

    Raises:
        BadOption: a probability outside [0, 1].

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
            criterion (Vincent et al., 2010), section 3.3

    >>> SaltAndPepper(fraction=0.0)(torch.full((1, 3), 0.5)).x.tolist()
    [[0.5, 0.5, 0.5]]
    """

    def __init__(self, fraction: Scheduled = 0.1, *, whole_pixels: bool = False) -> None:
        super().__init__()
        self.fraction = scheduled("corruption.fraction", fraction, 0, 1)
        self.whole_pixels = whole_pixels

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` with salt and pepper, when a fraction ``progress`` of the run is done."""
        fraction = self.fraction.at(progress)
        u = uniform(x, whole_pixels=self.whole_pixels)
        # one number decides both: below v the value is replaced, below v / 2 by pepper
        return Corrupted(torch.where(u < fraction, (u >= fraction / 2).to(x.dtype), x), u < fraction)

    def moments(self, clean: MeanAndCovariance) -> CorruptionMoments:
        """Moments of corrupted examples, given those of clean examples; for values replaced independently."""
        check_independent(whole_pixels=self.whole_pixels)
        return replaced(clean, self.fraction.at(1.0), (0.5, 0.5))
