r"""Corruptions: what is done to the input before the encoder sees it, :math:`\tilde x \sim c(\tilde x \mid x)`.

The target stays clean: to restore what is missing, the code must hold how the values of an example depend on each
other (Vincent et al., 2010). A corruption acts in training, and where a denoising run is measured; what one asks of a
trained model (codes, reconstructions) is never corrupted.

Each says where it touched the input, whatever the value there was. Its strength may be a
:class:`isthmus.schedules.Schedule` over the run; at strength 0 it is the identity. Draws come from torch's generator.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts, check_range
from isthmus.schedules import Scheduled, scheduled
from isthmus.trace import Corrupted, Joint, Statistics


class Identity(nn.Module):
    """No corruption: the encoder sees the clean input.

    >>> import torch
    >>> Identity()(torch.ones(2)).x.tolist()
    [1.0, 1.0]
    """

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` itself."""
        return Corrupted(x)


class Masking(nn.Module):
    r"""Holes: each value is set to 0 with probability v, :math:`\tilde x_j = m_j x_j`, :math:`P(m_j = 0) = v`.

    Args:
        fraction: the probability v, in [0, 1]; a number or a schedule.
        whole_pixels: all channels of a pixel go together, instead of each value on its own.

    Raises:
        BadOption: a probability outside [0, 1].

    References:
        Extracting and composing robust features with denoising autoencoders (Vincent et al., 2008), section 2.3

    >>> Masking(fraction=1.0)(torch.ones(1, 3)).x.tolist()
    [[0.0, 0.0, 0.0]]
    """

    def __init__(self, fraction: Scheduled = 0.25, *, whole_pixels: bool = False) -> None:
        super().__init__()
        self.fraction = scheduled("corruption.fraction", fraction, 0, 1)
        self.whole_pixels = whole_pixels

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` with holes, when a share ``progress`` of the run is done."""
        mask = _draw(x, whole_pixels=self.whole_pixels) < self.fraction.at(progress)
        return _punched(x, mask)

    def moments(self, clean: Statistics) -> Joint:
        """Moments of examples with holes, from those of clean ones; each value is taken to go on its own."""
        _check_alone(whole_pixels=self.whole_pixels)
        return _replaced(clean, self.fraction.at(1.0), (0.0, 0.0))


class Gaussian(nn.Module):
    r"""Noise is added to every value: :math:`\tilde x = x + \sigma\epsilon`, :math:`\epsilon \sim \mathcal N(0, I)`.

    Args:
        scale: the standard deviation :math:`\sigma \ge 0`, in units of the data; a number or a schedule.
        clip: cut what leaves [0, 1], as a picture file would. For data in [0, 1].

    Raises:
        BadOption: a scale below 0.

    References:
        Stacked denoising autoencoders: learning useful representations in a deep network with a local denoising
        criterion (Vincent et al., 2010), section 3.3

    >>> Gaussian(scale=0.0)(torch.ones(1, 3)).x.tolist()
    [[1.0, 1.0, 1.0]]
    """

    def __init__(self, scale: Scheduled = 0.2, *, clip: bool = False) -> None:
        super().__init__()
        self.scale = scheduled("corruption.scale", scale, 0, 1e6)
        self.clip = clip

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` with noise, when a share ``progress`` of the run is done; every value counts as touched."""
        scale = self.scale.at(progress)
        if scale == 0:
            return Corrupted(x, torch.zeros_like(x, dtype=torch.bool))
        noisy = torch.add(x, torch.randn_like(x), alpha=scale)
        return Corrupted(noisy.clamp(0, 1) if self.clip else noisy, torch.ones_like(x, dtype=torch.bool))

    def moments(self, clean: Statistics) -> Joint:
        """Moments of noisy examples, from those of clean ones.

        Raises:
            IncompatibleParts: clipped noise, whose moments depend on more than those.
        """
        if self.clip:
            raise IncompatibleParts(
                "Noise that is clipped has no closed moments, but corruption.clip is true. Set corruption.clip=false."
            )
        noise = torch.full_like(clean.mean, self.scale.at(1.0) ** 2)
        return Joint(clean.mean, clean.covariance, clean.covariance + torch.diag(noise))


class SaltAndPepper(nn.Module):
    r"""Each value is set, with probability v, to 0 or to 1 with equal chance. For data in [0, 1].

    Args:
        fraction: the probability v, in [0, 1]; a number or a schedule.
        whole_pixels: all channels of a pixel turn black or white together, instead of each value on its own.

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
        """``x`` with extremes, when a share ``progress`` of the run is done."""
        fraction = self.fraction.at(progress)
        level = _draw(x, whole_pixels=self.whole_pixels)
        # one draw decides both: below v it is touched, and its lower half is pepper
        return Corrupted(torch.where(level < fraction, (level >= fraction / 2).to(x.dtype), x), level < fraction)

    def moments(self, clean: Statistics) -> Joint:
        """Moments of examples with extremes, from those of clean ones; each value is taken to change on its own."""
        _check_alone(whole_pixels=self.whole_pixels)
        return _replaced(clean, self.fraction.at(1.0), (0.5, 0.5))


class Blocks(nn.Module):
    r"""Whole blocks are set to 0: square patches of an image, all channels together, or runs of values of a row.

    The grid starts at the first value; blocks at the far edges may be cut. Of n blocks
    :math:`\lfloor vn + u \rfloor` go, :math:`u \sim \mathcal U[0, 1)`: the number that is asked, to within one, and
    each value with probability v exactly.

    Args:
        fraction: the share v of blocks, in [0, 1]; a number or a schedule.
        block: side of a patch in pixels, or length of a run, at least 1.

    Raises:
        BadOption: a share outside [0, 1], or a block below 1.

    References:
        Masked autoencoders are scalable vision learners (He et al., 2022)

    >>> Blocks(fraction=0.5, block=2)(torch.ones(1, 1, 4, 4)).x.sum().item()
    8.0
    """

    def __init__(self, fraction: Scheduled = 0.5, *, block: int = 4) -> None:
        super().__init__()
        check_range("corruption.block", block, 1, 1 << 16)
        self.fraction = scheduled("corruption.fraction", fraction, 0, 1)
        self.block = block

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` with blocks missing, when a share ``progress`` of the run is done."""
        space = x.shape[1:] if x.ndim == 2 else x.shape[2:]
        grid = [-(-side // self.block) for side in space]
        # sorting noise gives a random order of the blocks: the first ones go
        order = torch.rand(len(x), math.prod(grid), device=x.device).argsort(1)
        asked = self.fraction.at(progress) * math.prod(grid)
        count = (asked + torch.rand(len(x), 1, device=x.device)).floor()
        mask = (order < count).reshape(len(x), *grid)
        for axis, side in enumerate(space, start=1):
            mask = mask.repeat_interleave(self.block, axis).narrow(axis, 0, side)
        return _punched(x, mask if x.ndim == 2 else mask[:, None].expand_as(x))


def _draw(x: Float[Tensor, "B *D"], *, whole_pixels: bool) -> Float[Tensor, "B *D"]:
    """Uniform draws in [0, 1) of the shape of ``x``, one for each value or one for all channels of a pixel."""
    if whole_pixels and x.ndim > 2:
        return torch.rand_like(x[:, :1]).expand_as(x)
    return torch.rand_like(x)


def _punched(x: Float[Tensor, "B *D"], mask: Bool[Tensor, "B *D"]) -> Corrupted:
    """``x`` with zeros where ``mask`` is true."""
    return Corrupted(x.masked_fill(mask, 0), mask)


def _replaced(clean: Statistics, fraction: float, by: tuple[float, float]) -> Joint:
    """Moments where each value is replaced, with probability ``fraction``, by a draw of moments ``by``."""
    keep, (first, second) = 1 - fraction, by
    mean = keep * clean.mean + fraction * first
    covariance = keep**2 * clean.covariance
    own = keep * (clean.covariance.diagonal() + clean.mean.square()) + fraction * second - mean.square()
    covariance.diagonal().copy_(own)
    return Joint(mean, keep * clean.covariance, covariance)


def _check_alone(*, whole_pixels: bool) -> None:
    """Refuse to give the moments of values that go together."""
    if whole_pixels:
        raise IncompatibleParts(
            "Moments are known where values change one by one, but corruption.whole_pixels is true. Set it to false."
        )


CORRUPTIONS: dict[str, type[nn.Module]] = {
    "identity": Identity,
    "masking": Masking,
    "gaussian": Gaussian,
    "salt_and_pepper": SaltAndPepper,
    "blocks": Blocks,
}
"""Corruptions by their name in a recipe."""
