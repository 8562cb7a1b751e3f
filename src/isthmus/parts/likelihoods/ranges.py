"""Checks that data is in the support of a likelihood, and the base class of real-valued likelihoods."""

import torch
from torch import Tensor, nn

from isthmus.errors import BadData

CHUNK = 1000
"""Number of examples that are checked at once."""
UNIT = (0.0, 1.0)
"""The support of pixels."""
TOLERANCE = 0.01
"""Tolerance for rounding to a level, in levels; float32 rounds finer for up to 65,536 levels."""


def check_finite(name: str, x: Tensor) -> None:
    """Check that all values are finite.

    Raises:
        BadData: NaN or infinity.
    """
    if not bool(torch.isfinite(x).all()):
        raise BadData(
            f"A {name} likelihood requires finite values, but the data contains NaN or infinity. Remove or impute "
            "these values."
        )


class RealValued(nn.Module):
    """Base class of real-valued likelihoods; ``kind`` is the name in error messages."""

    discrete = False
    identity_mean = True
    support: tuple[float, float] | None = None
    kind = "Gaussian"

    def width(self, d: int) -> int:
        """One location per value: ``d``."""
        return d

    def check(self, x: Tensor) -> None:
        """Check that all values are finite.

        Raises:
            BadData: NaN or infinity.
        """
        check_finite(self.kind, x)


def check_unit(name: str, x: Tensor) -> None:
    """Check that all values lie in [0, 1].

    Raises:
        BadData: a value outside [0, 1], or NaN.
    """
    low, high = torch.aminmax(x)
    if not (low >= 0 and high <= 1):
        raise BadData(
            f"A {name} likelihood requires values in [0, 1], but the data spans [{low.item():g}, {high.item():g}]. "
            "For real values set likelihood.kind=gaussian and data.scale=standard; for values with known bounds set "
            "data.scale=minmax."
        )


def check_levels(name: str, x: Tensor, levels: int) -> None:
    """Check that all values are among k / (levels - 1), k = 0 ... levels - 1.

    Raises:
        BadData: a value outside [0, 1] or between two levels, or NaN.
    """
    check_unit(name, x)
    for chunk in torch.split(x, CHUNK):
        steps = chunk.double() * (levels - 1)
        invalid = (steps - steps.round()).abs() > TOLERANCE
        if bool(invalid.any()):
            raise BadData(
                f"A {name} likelihood with {levels} levels requires values k/{levels - 1}, but the data contains "
                f"{chunk[invalid][0].item():g}. Set likelihood.levels to the number of levels of the data, or use "
                "likelihood.kind=gaussian."
            )
