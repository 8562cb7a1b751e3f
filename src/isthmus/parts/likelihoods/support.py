r"""The support of a likelihood: the closed interval of the values that it gives a density to.

A likelihood states it as ``support``, a pair of numbers in units of the model's input; ``None``, or no such attribute,
means all real numbers. A likelihood of gray levels also has ``levels``, the number L of its values
:math:`k / (L - 1)`.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from isthmus.parts.likelihoods.ranges import CHUNK, TOLERANCE


def support_of(likelihood: object) -> tuple[float, float] | None:
    """Smallest and largest value of the support; ``None`` if it is unbounded.

    >>> from isthmus import likelihoods
    >>> support_of(likelihoods.Bernoulli()), support_of(likelihoods.Gaussian())
    ((0.0, 1.0), None)
    """
    bounds: tuple[float, float] | None = getattr(likelihood, "support", None)
    return None if bounds is None or bounds == (-math.inf, math.inf) else (float(bounds[0]), float(bounds[1]))


def support_width(likelihood: object) -> float:
    """Width of the support; 1, the unit of the model's input, where it is bounded on one side only or not at all."""
    low, high = support_of(likelihood) or (-math.inf, math.inf)
    return high - low if math.isfinite(high - low) else 1.0


def clip_to_support(x: Float[Tensor, "N *D"], likelihood: object) -> Float[Tensor, "N *D"]:
    """The nearest values in the support of ``likelihood``; ``x`` itself if all values are in it.

    Values between two gray levels are rounded to the nearest. Missing values, NaN, stay missing.

    Args:
        x: examples in units of the model's input, floating point.
        likelihood: likelihood with the attributes ``support`` and, for gray levels, ``levels``.

    >>> from isthmus import likelihoods
    >>> clip_to_support(torch.tensor([[-1.0, 0.4, 3.0]]), likelihoods.Categorical(levels=3)).tolist()
    [[0.0, 0.5, 1.0]]
    """
    if support_of(likelihood) is None:
        return x
    given = torch.split(x, CHUNK)
    clipped = [_clipped(chunk, likelihood) for chunk in given]
    return x if all(new is old for new, old in zip(clipped, given, strict=True)) else torch.cat(clipped)


def rows_outside(x: Float[Tensor, "N *D"], likelihood: object) -> Bool[Tensor, " N"]:
    """Whether each example has a value outside the interval of the support, shape (N,); missing values do not count."""
    low, high = support_of(likelihood) or (-math.inf, math.inf)
    return ((x < low) | (x > high)).flatten(1).any(1)


def _clipped(x: Tensor, likelihood: object) -> Tensor:
    """``x`` in the support; itself if nothing is outside."""
    bounds = support_of(likelihood)
    assert bounds is not None
    clipped = x.clamp(*bounds)
    levels = getattr(likelihood, "levels", None)
    if isinstance(levels, int):
        steps = clipped.double() * (levels - 1)
        between = (steps - steps.round()).abs() > TOLERANCE
        clipped = torch.where(between, (steps.round() / (levels - 1)).to(x.dtype), clipped)
    return clipped if bool(((clipped != x) & ~x.isnan()).any()) else x
