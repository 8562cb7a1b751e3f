"""Affine scaling of raw values to model inputs, (x - offset) / scale, and its inverse.

It is fitted to the training set only and stored with the run, so that new data is scaled by the same numbers.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor

from isthmus.data.transforms.axes import unit_axis
from isthmus.errors import BadData, ShapeError

Kind = Literal["auto", "none", "pixels", "minmax", "standard"]
BRIGHTEST = 255.0
"""Largest 8-bit pixel value."""
BRIGHTEST_OF = {"uint8": BRIGHTEST, "uint16": 65535.0}
"""Value of full brightness of images by data type."""
FAR = 2.0**10
"""Offset of a column, in standard deviations, above which it is subtracted before values become 32-bit numbers."""


@dataclass(frozen=True)
class Scaling:
    """An affine map with one ``offset`` and ``scale`` for all values, or one per feature of a table or per channel.

    ``kind`` is the value of ``data.scale``; ``auto`` with a scale above 1 is that of pixels.

    >>> Scaling("auto", (0.0,), (255.0,)).apply(torch.tensor([0, 51], dtype=torch.uint8))
    tensor([0.0000, 0.2000])

    Raises:
        BadData: an unknown kind, lengths that differ, values that are not finite, or scales that are not positive.
    """

    kind: Kind
    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that the map is invertible."""
        if self.kind not in get_args(Kind):
            raise BadData(f"A scaling cannot be of kind {self.kind!r}. Allowed: {', '.join(get_args(Kind))}.")
        if len(self.offset) != len(self.scale) or not self.scale:
            raise BadData(
                f"A scaling has {len(self.offset)} offsets and {len(self.scale)} scales. Pass equally many, 1 or more."
            )
        if not all(map(math.isfinite, (*self.offset, *self.scale))) or min(self.scale) <= 0:
            raise BadData(
                "A scaling requires finite offsets and finite scales above 0. Check the data for extreme values."
            )

    def apply(self, x: Tensor) -> Tensor:
        """Scaled values; floating-point input keeps its type, 8-bit becomes float32, other integers float64."""
        given, x = x, _floating(x)
        x = x.double() if self.far else x
        offset, scale = self._terms(x)
        # an offset of 0 is the usual case, and subtracting it would cost a pass over the values
        if any(self.offset):
            x = x - offset
        # a tensor of our own is not copied once more
        return x / scale if x is given else x.div_(scale)

    def invert(self, x: Tensor) -> Tensor:
        """Scaled values converted back to the units of the source; float64 where float32 would lose their variance."""
        x = _floating(x)
        x = x.double() if self.far else x
        offset, scale = self._terms(x)
        return x * scale + offset

    def in_units(self, factor: float) -> "Scaling":
        """The same map for values that are ``factor`` times those that this one is for, as 255 / 65535 for 8 bits.

        >>> Scaling("minmax", (100.0,), (200.0,)).in_units(0.5).apply(torch.tensor([100.0]))
        tensor([0.5000])
        """
        offset, scale = (tuple(value * factor for value in values) for values in (self.offset, self.scale))
        return Scaling(self.kind, offset, scale)

    @property
    def far(self) -> bool:
        """Whether an offset is so large that float32 would lose the variance of the values."""
        return any(abs(offset) > FAR * scale for offset, scale in zip(self.offset, self.scale, strict=True))

    def _terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # features of a table are last; channels are the first axis of an example, or the second one of frames
        axis = {3: 1, 4: 1, 5: 2}.get(x.ndim, x.ndim - 1)
        if len(self.scale) > 1 and (x.ndim == 0 or x.shape[axis] != len(self.scale)):
            raise ShapeError(
                f"The scaling has {len(self.scale)} features, but the data has shape {tuple(x.shape)}. "
                "Pass rows with the features or channels that the model was trained on."
            )
        after = (1,) * (x.ndim - 1 - axis if len(self.scale) > 1 else 0)
        offset = torch.tensor(self.offset, dtype=x.dtype, device=x.device).reshape(-1, *after)
        return offset, torch.tensor(self.scale, dtype=x.dtype, device=x.device).reshape(-1, *after)

    def to_dict(self) -> dict[str, object]:
        """The scaling as plain data for JSON."""
        return {"kind": self.kind, "offset": list(self.offset), "scale": list(self.scale)}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> "Scaling":
        """The scaling written by ``to_dict``.

        Raises:
            BadData: keys or values that ``to_dict`` does not produce.
        """
        if not isinstance(values, dict) or set(values) != {"kind", "offset", "scale"}:
            raise BadData(
                "A scaling as plain data requires exactly the keys kind, offset and scale. Use that of a run."
            )
        numbers = []
        for key in ("offset", "scale"):
            entries = values[key]
            if not isinstance(entries, list) or not all(type(v) in (int, float) for v in entries):
                raise BadData(f"The {key} of a scaling must be a list of numbers. Use that of a run.")
            numbers.append(tuple(float(v) for v in entries))
        return cls(cast(Kind, values["kind"]), numbers[0], numbers[1])


def _floating(x: Tensor) -> Tensor:
    if x.is_floating_point():
        return x
    return x.float() if x.dtype in (torch.uint8, torch.int8, torch.bool) else x.double()


def measure(x: Tensor | Iterable[Tensor], kind: Kind, *, brightest: float | None = None) -> Scaling:
    """Fit the scaling of kind ``kind`` to training data ``x``, unscaled (N, *shape) as for the model, or chunks of it.

    Brightness is divided by the ``brightest`` value, if the values are brightness.

    Each feature of a table and each channel has its own scale; gray and color pictures have one for all pixels. What
    is constant gets the scale 1, so that it becomes 0. Missing values (NaN) are left out. Chunks are read once.

    Raises:
        BadData: values so large that their range is not finite, or a column without any value.
    """
    if kind == "pixels" or (kind == "auto" and brightest is not None):
        return Scaling(kind, (0.0,), (brightest or BRIGHTEST,))
    if kind in ("auto", "none"):
        return Scaling(kind, (0.0,), (1.0,))
    moments = _moments_of(x, kind)
    if kind == "minmax":
        offset, scale = moments.low, moments.high - moments.low
    else:
        offset, scale = moments.mean, moments.variance.sqrt()
    # exact: torch's variance of equal values is exactly 0, and so is that of chunks with equal means
    scale = torch.where(scale == 0, 1.0, scale)
    return Scaling(kind, tuple(offset.tolist()), tuple(scale.tolist()))


def centered(scaling: Scaling, x: Tensor) -> Scaling:
    """An identity with the means of the columns or channels of a sample ``x`` as offsets where they are large.

    A pressure near 1e5 or a timestamp keeps its variance as a 32-bit number only if its mean is subtracted first.
    """
    moments = _moments_of(x, "standard")
    large = (moments.mean.abs() > FAR * moments.variance.sqrt()) & (moments.variance > 0)
    if not bool(large.any()):
        return scaling
    return Scaling(scaling.kind, tuple(torch.where(large, moments.mean, 0.0).tolist()), (1.0,) * len(large))


class _Moments(NamedTuple):
    """Number of values, and bounds, mean and variance per feature, in float64."""

    number: Tensor
    low: Tensor
    high: Tensor
    mean: Tensor
    variance: Tensor


def by_unit(x: Tensor) -> Tensor:
    """The values of examples (N, *shape) as rows with one column per unit: per feature or channel, or one for all."""
    axis = unit_axis(x.shape[1:])
    if axis is None:
        return x.reshape(-1, 1)
    return x if x.ndim == 2 else x.movedim(axis, -1).reshape(-1, x.shape[axis])


def _moments_of(x: Tensor | Iterable[Tensor], kind: Kind) -> _Moments:
    what = ""

    def moments_by_chunk() -> Iterator[_Moments]:
        nonlocal what
        for chunk in [x] if isinstance(x, Tensor) else x:
            what = "" if unit_axis(chunk.shape[1:]) is None else "Column" if chunk.ndim == 2 else "Channel"
            yield _moments(by_unit(chunk), kind)

    moments = reduce(_merged, moments_by_chunk())
    empty = (moments.number == 0).nonzero()
    if len(empty):
        where = f"{what} {int(empty[0])} of the training set (counted from 0)" if what else "The training set"
        raise BadData(f"{where} has no value, all are missing. Leave the column out, or use other data.")
    return moments


def _moments(rows: Tensor, kind: Kind) -> _Moments:
    number = torch.full(rows.shape[1:], len(rows), dtype=torch.float64)
    low, high = (bound.double() for bound in torch.aminmax(rows, dim=0))
    if bool(low.isnan().any()):
        return _moments_observed(rows.double())
    if kind == "minmax":
        return _Moments(number, low, high, low, low)
    variance, mean = torch.var_mean(rows.double(), dim=0, correction=0)
    return _Moments(number, low, high, mean, variance)


def _moments_observed(rows: Tensor) -> _Moments:
    """The moments without missing values; those of a feature without any value are 0."""
    missing = rows.isnan()
    low, high = rows.masked_fill(missing, torch.inf).amin(0), rows.masked_fill(missing, -torch.inf).amax(0)
    mean = rows.nanmean(0).nan_to_num(nan=0.0)
    variance = (rows - mean).square().nanmean(0).nan_to_num(nan=0.0)
    return _Moments((~missing).sum(0).double(), low, high, mean, variance)


def _merged(a: _Moments, b: _Moments) -> _Moments:
    """Moments of the rows of both (Chan, Golub and LeVeque, 1979)."""
    n = a.number + b.number
    fraction, step = b.number / n.clamp(min=1), b.mean - a.mean
    variance = a.variance * (1 - fraction) + b.variance * fraction + step.square() * fraction * (1 - fraction)
    return _Moments(n, a.low.minimum(b.low), a.high.maximum(b.high), a.mean + step * fraction, variance)
