r"""Corruptions of the encoder's input, :math:`\tilde x \sim c(\tilde x \mid x)`, for denoising autoencoders.

The target stays clean: to restore missing values, the code must capture the dependencies between the values of an
example (Vincent et al., 2010). A corruption is applied in training and when denoising is evaluated; the input of
``encode`` and ``reconstruct`` is never corrupted.

Each corruption returns a mask of the values it selected. Its strength may be a
:class:`isthmus.parts.schedules.Schedule` over the run; at strength 0 it is the identity. Random numbers come from
torch's default generator.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from isthmus.errors import IncompatibleParts, check_range
from isthmus.parts.hooks import CorruptionMoments, MeanAndCovariance
from isthmus.parts.protocols import Corrupted
from isthmus.parts.schedules import Scheduled, scheduled


class Identity(nn.Module):
    """No corruption: the input of the encoder is clean.

    >>> import torch
    >>> Identity()(torch.ones(2)).x.tolist()
    [1.0, 1.0]
    """

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """``x`` itself."""
        return Corrupted(x)


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
        self.least = _checked_least(least, 1.0)

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """Masked ``x``, when a fraction ``progress`` of the run is done."""
        fraction = _level(x, self.fraction.at(progress), self.least)
        mask = _uniform(x, whole_pixels=self.whole_pixels) < fraction
        return Corrupted(x.masked_fill(mask, torch.nan), mask) if self.as_missing else _masked(x, mask)

    def moments(self, clean: MeanAndCovariance) -> CorruptionMoments:
        """Moments of masked examples, given those of clean examples; for values that are masked independently.

        Raises:
            IncompatibleParts: values are masked together, in an own share of each example, or become missing.
        """
        _check_independent(whole_pixels=self.whole_pixels)
        _check_moments("least", unset=self.least is None)
        _check_moments("as_missing", unset=not self.as_missing)
        return _replaced(clean, self.fraction.at(1.0), (0.0, 0.0))


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
        self.clip, self.least = clip, _checked_least(least, 1e6)

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """Noisy ``x``, when a fraction ``progress`` of the run is done; the mask is true for every value."""
        scale = _level(x, self.scale.at(progress), self.least)
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
        _check_moments("least", unset=self.least is None)
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
        u = _uniform(x, whole_pixels=self.whole_pixels)
        # one number decides both: below v the value is replaced, below v / 2 by pepper
        return Corrupted(torch.where(u < fraction, (u >= fraction / 2).to(x.dtype), x), u < fraction)

    def moments(self, clean: MeanAndCovariance) -> CorruptionMoments:
        """Moments of corrupted examples, given those of clean examples; for values replaced independently."""
        _check_independent(whole_pixels=self.whole_pixels)
        return _replaced(clean, self.fraction.at(1.0), (0.5, 0.5))


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
        whole = x if x.ndim == 2 else x.select(_channels(x), 0)
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
        return _masked(x, mask if x.ndim == 2 else mask.unsqueeze(_channels(x)).expand_as(x))


class Degradation(nn.Module):
    r"""Noise or missing pixels, each of any strength: for a network that restores images without knowing the damage.

    With probability ``noisy`` an example has Gaussian noise of its own standard deviation, uniform between 0 and
    ``scale``; otherwise a share of its values, uniform between 0 and ``fraction``, is missing (NaN).

    Args:
        scale: largest standard deviation of the noise, in units of the data; a number or a schedule.
        fraction: largest share of missing values, in [0, 1]; a number or a schedule.
        noisy: probability of noise, in [0, 1].
        clip: clip the noisy values to [0, 1].
        whole_pixels: all channels of a pixel are missing together, instead of each value independently.

    Raises:
        BadOption: an option out of range.

    References:
        Learning deep CNN denoiser prior for image restoration (Zhang et al., 2017)

    >>> x = torch.ones(1000, 1, 2, 2)
    >>> degraded = Degradation(noisy=0.0, fraction=1.0)(x)
    >>> degraded.x.isnan().equal(degraded.mask)
    True
    """

    as_missing = True

    def __init__(
        self,
        scale: Scheduled = 0.3,
        fraction: Scheduled = 0.8,
        *,
        noisy: float = 0.5,
        clip: bool = True,
        whole_pixels: bool = False,
    ) -> None:
        super().__init__()
        check_range("corruption.noisy", noisy, 0, 1)
        self.noisy = noisy
        self.noise = GaussianNoise(scale, clip=clip, least=0.0)
        self.holes = Masking(fraction, whole_pixels=whole_pixels, least=0.0, as_missing=True)

    def forward(self, x: Float[Tensor, "B *D"], progress: float = 1.0) -> Corrupted:
        """Degraded ``x``, when a fraction ``progress`` of the run is done; the mask is true where it changed."""
        noisy = torch.rand(_per_example(x), device=x.device) < self.noisy
        noise, holes = self.noise(x, progress), self.holes(x, progress)
        return Corrupted(torch.where(noisy, noise.x, holes.x), torch.where(noisy, noise.mask, holes.mask))


def makes_missing(corruption: object) -> bool:
    """Whether a corruption turns values into missing ones, NaN."""
    return bool(getattr(corruption, "as_missing", False))


def _per_example(x: Float[Tensor, "B *D"]) -> tuple[int, ...]:
    """The shape of one number per example."""
    return (len(x), *[1] * (x.ndim - 1))


def _level(x: Float[Tensor, "B *D"], most: float | Tensor, least: float | None) -> float | Tensor:
    """A strength of corruption: ``most``, or one per example, uniform between ``least`` and that."""
    if least is None or (not isinstance(most, Tensor) and least == most):
        return most
    return least + (most - least) * torch.rand(_per_example(x), dtype=x.dtype, device=x.device)


def _checked_least(least: float | None, most: float) -> float | None:
    if least is not None:
        check_range("corruption.least", least, 0, most)
    return least


def _check_moments(option: str, *, unset: bool) -> None:
    """Check that an option without closed-form moments is not set."""
    if not unset:
        raise IncompatibleParts(f"corruption.{option} has no closed-form moments, but is set. Leave it out.")


def _channels(x: Float[Tensor, "B *D"]) -> int:
    """The axis of the channels: the first of images and sequences, the second of frames (F, C, H, W)."""
    return 1 if x.ndim < 5 else 2


def _uniform(x: Float[Tensor, "B *D"], *, whole_pixels: bool) -> Float[Tensor, "B *D"]:
    """Uniform random numbers in [0, 1) of the shape of ``x``, one per value or one per pixel."""
    if whole_pixels and x.ndim > 2:
        return torch.rand_like(x.narrow(_channels(x), 0, 1)).expand_as(x)
    return torch.rand_like(x)


def _masked(x: Float[Tensor, "B *D"], mask: Bool[Tensor, "B *D"]) -> Corrupted:
    """``x`` with zeros where ``mask`` is true."""
    return Corrupted(x.masked_fill(mask, 0), mask)


def _replaced(clean: MeanAndCovariance, fraction: float, by: tuple[float, float]) -> CorruptionMoments:
    """Moments if each value is replaced, with probability ``fraction``, by a number with raw moments ``by``."""
    keep, (first, second) = 1 - fraction, by
    mean = keep * clean.mean + fraction * first
    covariance = keep**2 * clean.covariance
    # the mean variance plus the variance of the means, without a difference of large squares
    within = keep * clean.covariance.diagonal() + fraction * (second - first**2)
    covariance.diagonal().copy_(within + keep * fraction * (clean.mean - first).square())
    return CorruptionMoments(mean, keep * clean.covariance, covariance)


def _check_independent(*, whole_pixels: bool) -> None:
    """Check that values are corrupted independently, as the closed form of the moments requires."""
    if whole_pixels:
        raise IncompatibleParts(
            "Closed-form moments require values that are corrupted independently, but corruption.whole_pixels is true. "
            "Set corruption.whole_pixels=false."
        )


CORRUPTIONS: dict[str, type[nn.Module]] = {
    "identity": Identity,
    "masking": Masking,
    "gaussian": GaussianNoise,
    "salt_and_pepper": SaltAndPepper,
    "blocks": Blocks,
    "degradation": Degradation,
}
"""Corruptions by name in a recipe."""
