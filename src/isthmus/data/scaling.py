"""The affine map from raw values to what a model sees, and back: (x - offset) / scale.

It is measured on the training part alone and written into the run, so that later data goes the same way.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor

from isthmus.errors import BadData, ShapeError

Kind = Literal["auto", "none", "minmax", "standard"]
BRIGHTEST = 255.0


@dataclass(frozen=True)
class Scaling:
    """An affine map with one ``offset`` and ``scale`` for all values, or one for each feature of a table (D).

    ``kind`` is the option it was made by; ``auto`` with scale 255 is that of 8-bit pixels.

    >>> Scaling("auto", (0.0,), (255.0,)).apply(torch.tensor([0, 51], dtype=torch.uint8))
    tensor([0.0000, 0.2000])

    Raises:
        BadData: an unknown kind, lengths that differ, or numbers that are not finite, or not positive as a scale.
    """

    kind: Kind
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no invertible map."""
        if self.kind not in get_args(Kind):
            raise BadData(f"A scaling cannot be of kind {self.kind!r}. Allowed: {', '.join(get_args(Kind))}.")
        if len(self.offset) != len(self.scale) or not self.scale:
            raise BadData(
                f"A scaling has {len(self.offset)} offsets and {len(self.scale)} scales. Give equally many, 1 or more."
            )
        if not all(map(math.isfinite, (*self.offset, *self.scale))) or min(self.scale) <= 0:
            raise BadData(
                "A scaling needs finite offsets and finite scales above 0. Look for extreme values in the data."
            )

    def apply(self, x: Tensor) -> Tensor:
        """Scaled values; floating input keeps its type, 8-bit becomes float32, other integers float64."""
        x = _floating(x)
        offset, scale = self._terms(x)
        # nothing to take away is the usual case, and a pass over the values
        return (x - offset) / scale if any(self.offset) else x / scale

    def invert(self, x: Tensor) -> Tensor:
        """Values in the units of the source, from scaled ones."""
        x = _floating(x)
        offset, scale = self._terms(x)
        return x * scale + offset

    def _terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if len(self.scale) > 1 and (x.ndim == 0 or x.shape[-1] != len(self.scale)):
            raise ShapeError(
                f"The scaling has {len(self.scale)} features, but the data has shape {tuple(x.shape)}. "
                "Give rows with the features that the model was trained on."
            )
        offset = torch.tensor(self.offset, dtype=x.dtype, device=x.device)
        return offset, torch.tensor(self.scale, dtype=x.dtype, device=x.device)

    def to_dict(self) -> dict[str, object]:
        """The scaling as plain data for JSON."""
        return {"kind": self.kind, "offset": list(self.offset), "scale": list(self.scale)}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "Scaling":
        """The scaling written by ``to_dict``.

        Raises:
            BadData: keys or values that ``to_dict`` does not write.
        """
        if not isinstance(values, dict) or set(values) != {"kind", "offset", "scale"}:
            raise BadData("A scaling as plain data needs exactly kind, offset and scale. Take it from a run.")
        numbers = []
        for key in ("offset", "scale"):
            entries = values[key]
            if not isinstance(entries, list) or not all(type(v) in (int, float) for v in entries):
                raise BadData(f"The {key} of a scaling must be a list of numbers. Take it from a run.")
            numbers.append(tuple(float(v) for v in entries))
        return cls(cast(Kind, values["kind"]), numbers[0], numbers[1])


def _floating(x: Tensor) -> Tensor:
    if x.is_floating_point():
        return x
    return x.float() if x.dtype in (torch.uint8, torch.int8, torch.bool) else x.double()


def measure(x: Tensor | Iterable[Tensor], kind: Kind, *, images: bool, pixels: bool) -> Scaling:
    """The scaling of kind ``kind`` for training data ``x``: (N, D), or images of any layout; or pieces of it.

    A feature that never changes gets the scale 1, so it becomes 0 and not infinite. Pieces are looked at once.

    Raises:
        BadData: values so large that their range is not finite.
    """
    if kind == "none" or (kind == "auto" and not pixels):
        return Scaling(kind, (0.0,), (1.0,))
    if kind == "auto":
        return Scaling(kind, (0.0,), (BRIGHTEST,))
    pieces = [x] if isinstance(x, Tensor) else x
    spread = reduce(_joined, (_spread(piece.reshape(-1, 1) if images else piece, kind) for piece in pieces))
    if kind == "minmax":
        offset, scale = spread.low, spread.high - spread.low
    else:
        offset, scale = spread.mean, spread.variance.sqrt()
    # exact: torch's running variance of equal values is 0 to the bit, and so is that of pieces with equal means
    scale = torch.where(scale == 0, 1.0, scale)
    return Scaling(kind, tuple(offset.tolist()), tuple(scale.tolist()))


class _Spread(NamedTuple):
    """Number of rows, and of each feature the bounds, the mean and the variance, in float64."""

    rows: int
    low: Tensor
    high: Tensor
    mean: Tensor
    variance: Tensor


def _spread(rows: Tensor, kind: Kind) -> _Spread:
    low, high = (bound.double() for bound in torch.aminmax(rows, dim=0))
    if kind == "minmax":
        return _Spread(len(rows), low, high, low, low)
    variance, mean = torch.var_mean(rows.double(), dim=0, correction=0)
    return _Spread(len(rows), low, high, mean, variance)


def _joined(a: _Spread, b: _Spread) -> _Spread:
    """The spread of the rows of both (Chan, Golub and LeVeque, 1979)."""
    n = a.rows + b.rows
    share, step = b.rows / n, b.mean - a.mean
    variance = a.variance * (1 - share) + b.variance * share + step.square() * share * (1 - share)
    return _Spread(n, a.low.minimum(b.low), a.high.maximum(b.high), a.mean + step * share, variance)
