"""Corruptions that remove values: single ones, whole pixels, blocks."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import check_range
from isthmus.parts.corruptions.values import (
    channel_axis,
    check_independent,
    check_moments,
    checked_least,
    level,
    masked,
    replaced,
    uniform,
)
from isthmus.parts.hooks import CorruptionMoments, MeanAndCovariance
from isthmus.parts.protocols import Corrupted
from isthmus.parts.schedules import Scheduled, scheduled


class Masking(nn.Module):
    r"""Masking noise: each value is set to 0 with probability v, :math:`\tilde x_j = m_j x_j`, :math:`P(m_j = 0) = v`.

    Args:
        fraction: the probability v, in [0, 1]; a number or a schedule.
        whole_pixels: mask all channels of a pixel, or of a step of a sequence, together, instead of each value
            independently.
        least: each example has its own probability, uniform between this one and ``fraction``; all have ``fraction`` if
            ``None``.
        as_missing: masked values are missing, NaN, instead of 0; for networks that interpolate them (``unet``).

    Raises:
        BadOption: a probability outside [0, 1].

    References:
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008), section 2.3

    >>> Masking(fraction=1.0)(torch.ones(1, 3)).x.tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        fraction: Scheduled = 0.25,
        *,
        whole_pixels: bool = False,
        least: float | None = None,
        as_missing: bool = False,
    ) -> None:
        super().__init__()
        self.fraction = scheduled("corruption.fraction", fraction, 0, 1)
        self.whole_pixels, self.as_missing = whole_pixels, as_missing
        self.least = checked_least(least, 1.0)

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """Masked ``x``, when a fraction ``progress`` of the run is done."""
        fraction = level(x, self.fraction.at(progress), self.least)
        mask = uniform(x, whole_pixels=self.whole_pixels) < fraction
        return Corrupted(x.masked_fill(mask, torch.nan), mask) if self.as_missing else masked(x, mask)

    def moments(self, clean: MeanAndCovariance) -> CorruptionMoments:
        """Moments of masked examples, given those of clean examples; for values that are masked independently.

        Raises:
            IncompatibleParts: values are masked together, in an own share of each example, or become missing.
        """
        check_independent(whole_pixels=self.whole_pixels)
        check_moments("least", unset=self.least is None)
        check_moments("as_missing", unset=not self.as_missing)
        return replaced(clean, self.fraction.at(1.0), (0.0, 0.0))


class Blocks(nn.Module):
    r"""Block masking: random square patches of an image or frame, or runs of a sequence or vector, are set to 0.

    A block covers all channels. Blocks form a grid that starts at the first value; blocks at the far edges may be
    smaller. Of n blocks :math:`\lfloor vn + u \rfloor` are masked, :math:`u \sim \mathcal U[0, 1)`: vn up to rounding,
    and each value with probability exactly v.

    Args:
        fraction: fraction v of masked blocks, in [0, 1]; a number or a schedule.
        block_size: side of a patch in pixels, or length of a run, at least 1.

    Raises:
        BadOption: a fraction outside [0, 1], or a block size below 1.

    References:
        Masked autoencoders are scalable vision learners (He et al., 2022)

    >>> Blocks(fraction=0.5, block_size=2)(torch.ones(1, 1, 4, 4)).x.sum().item()
    8.0
    """

    def __init__(self, fraction: Scheduled = 0.5, *, block_size: int = 4) -> None:
        super().__init__()
        check_range("corruption.block_size", block_size, 1, 1 << 16)
        self.fraction = scheduled("corruption.fraction", fraction, 0, 1)
        self.block_size = block_size

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` with masked blocks, when a fraction ``progress`` of the run is done."""
        whole = x if x.ndim == 2 else x.select(channel_axis(x), 0)
        space = whole.shape[1:]
        # the first of three axes counts frames, and a block is in one of them
        sizes = [1 if len(space) == 3 and axis == 0 else self.block_size for axis in range(len(space))]
        grid = [-(-side // size) for side, size in zip(space, sizes, strict=True)]
        # sorting noise gives a random order of the blocks, the first of which are masked
        order = torch.rand(len(x), math.prod(grid), device=x.device).argsort(1)
        expected = self.fraction.at(progress) * math.prod(grid)
        count = (expected + torch.rand(len(x), 1, device=x.device)).floor()
        mask = (order < count).reshape(len(x), *grid)
        for axis, (side, size) in enumerate(zip(space, sizes, strict=True), start=1):
            mask = mask.repeat_interleave(size, axis).narrow(axis, 0, side)
        return masked(x, mask if x.ndim == 2 else mask.unsqueeze(channel_axis(x)).expand_as(x))
