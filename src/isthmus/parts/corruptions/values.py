"""Random numbers and moments that corruptions share."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isthmus.errors import IncompatibleParts, check_range
from isthmus.parts.hooks import CorruptionMoments, MeanAndCovariance
from isthmus.parts.protocols import Corrupted


def per_example(x: Float[Tensor, "B *D"]) -> tuple[int, ...]:
    """The shape of one number per example."""
    return (len(x), *[1] * (x.ndim - 1))


def level(x: Float[Tensor, "B *D"], most: float | Tensor, least: float | None) -> float | Tensor:
    """A strength of corruption: ``most``, or one per example, uniform between ``least`` and that."""
    if least is None or (not isinstance(most, Tensor) and least == most):
        return most
    return least + (most - least) * torch.rand(per_example(x), dtype=x.dtype, device=x.device)


def checked_least(least: float | None, most: float) -> float | None:
    """The option ``least``, if it is at most ``most``."""
    if least is not None:
        check_range("corruption.least", least, 0, most)
    return least


def channel_axis(x: Float[Tensor, "B *D"]) -> int:
    """The axis of the channels: the first of images and sequences, the second of frames (F, C, H, W)."""
    return 1 if x.ndim < 5 else 2


def uniform(x: Float[Tensor, "B *D"], *, whole_pixels: bool) -> Float[Tensor, "B *D"]:
    """Uniform random numbers in [0, 1) of the shape of ``x``, one per value or one per pixel."""
    if whole_pixels and x.ndim > 2:
        return torch.rand_like(x.narrow(channel_axis(x), 0, 1)).expand_as(x)
    return torch.rand_like(x)


def masked(x: Float[Tensor, "B *D"], mask: Bool[Tensor, "B *D"]) -> Corrupted:
    """``x`` with zeros where ``mask`` is true."""
    return Corrupted(x.masked_fill(mask, 0), mask)


def replaced(clean: MeanAndCovariance, fraction: float, by: tuple[float, float]) -> CorruptionMoments:
    """Moments if each value is replaced, with probability ``fraction``, by a number with raw moments ``by``."""
    keep, (first, second) = 1 - fraction, by
    mean = keep * clean.mean + fraction * first
    covariance = keep**2 * clean.covariance
    # the mean variance plus the variance of the means, without a difference of large squares
    within = keep * clean.covariance.diagonal() + fraction * (second - first**2)
    covariance.diagonal().copy_(within + keep * fraction * (clean.mean - first).square())
    return CorruptionMoments(mean, keep * clean.covariance, covariance)


def check_independent(*, whole_pixels: bool) -> None:
    """Check that values are corrupted independently, as the closed form of the moments requires."""
    if whole_pixels:
        raise IncompatibleParts(
            "Closed-form moments require values that are corrupted independently, but corruption.whole_pixels is true. "
            "Set corruption.whole_pixels=false."
        )


def check_moments(option: str, *, unset: bool) -> None:
    """Check that an option without closed-form moments is not set."""
    if not unset:
        raise IncompatibleParts(f"corruption.{option} has no closed-form moments, but is set. Leave it out.")
