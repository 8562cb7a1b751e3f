"""The ranges of data that likelihoods can describe, how they refuse the rest, and what those of real numbers share."""

import torch
from torch import Tensor, nn

from isthmus.errors import BadData

CHUNK = 1000
NEAR = 0.01
"""How far from a level a value may be, in levels: the rounding of float32 up to 65,536 levels."""


def check_finite(name: str, x: Tensor) -> None:
    """Refuse what is no finite number.

    Raises:
        BadData: NaN or infinity.
    """
    if not bool(torch.isfinite(x).all()):
        raise BadData(
            f"A {name} likelihood describes finite numbers, but the data holds NaN or infinity. "
            "Remove or fill those values first."
        )


class RealValued(nn.Module):
    """What likelihoods of real numbers share; ``kind`` is what they are called."""

    discrete = False
    kind = "Gaussian"

    def width(self, d: int) -> int:
        """One location for each value: ``d``."""
        return d

    def check(self, x: Tensor) -> None:
        """Any finite number will do.

        Raises:
            BadData: NaN or infinity.
        """
        check_finite(self.kind, x)


def check_unit(name: str, x: Tensor) -> None:
    """Refuse what lies outside [0, 1].

    Raises:
        BadData: a value outside [0, 1], or NaN.
    """
    low, high = torch.aminmax(x)
    if not (low >= 0 and high <= 1):
        raise BadData(
            f"A {name} likelihood describes values in [0, 1], but the data spans [{low.item():g}, {high.item():g}]. "
            "Map it there with --set data.scale=minmax, or choose --set likelihood.kind=gaussian."
        )


def check_levels(name: str, x: Tensor, levels: int) -> None:
    """Refuse what is not one of the values k / (levels - 1), k = 0 ... levels - 1.

    Raises:
        BadData: a value outside [0, 1] or between two levels, or NaN.
    """
    check_unit(name, x)
    for chunk in torch.split(x, CHUNK):
        steps = chunk.double() * (levels - 1)
        off = (steps - steps.round()).abs() > NEAR
        if bool(off.any()):
            raise BadData(
                f"A {name} likelihood of {levels} levels describes the values k/{levels - 1}, but the data holds "
                f"{chunk[off][0].item():g}. Give the data's own number of levels (--set likelihood.levels=...), or "
                "choose --set likelihood.kind=gaussian."
            )
