"""Meaning of the axes of an array: what the option ``data.layout`` says, or what follows from the shape and the values.

N   examples             T   time steps           F      frames
D   features of a table  C   channels             H, W   height and width
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from isthmus.data.base import Array
from isthmus.data.sources.base import Source
from isthmus.errors import BadData, BadOption, ShapeError

Kind = Literal["table", "sequences", "images", "frames"]
CANONICAL: dict[Kind, str] = {"table": "D", "sequences": "CT", "images": "CHW", "frames": "FCHW"}
"""Axes of an example as model input."""
USUAL = ("D", "T", "TC", "CT", "HW", "HWC", "CHW", "FHW", "FHWC", "FCHW")
"""Orders of the axes of an example without need for an option: channels at the end, at the start, or none."""
PICTURES: tuple[Kind, ...] = ("images", "frames")
"""Kinds whose values may be brightness, for any data type of pixels."""
CHANNELS = (1, 3, 4)
"""Numbers of channels of ordinary pictures."""
MOST_CHANNELS = 64
"""Most channels of images that are found by the length of their axis."""
FEW, TIMES = 16, 4
"""Most channels of sequences that are found by their values, and how many times longer the axis of time is at least."""
DIFFERENT = 10.0
"""How far apart standard deviations, or means in standard deviations, of entries in different units are."""
LOOKED_AT, ROWS = 2**20, 1000
"""Values and examples in which different units are looked for, at most."""


def kind_of(shape: Sequence[int]) -> Kind:
    """The kind of an example, which follows from its shape as model input.

        (D,)            row of a table
        (C, T)          sequence
        (C, H, W)       image
        (F, C, H, W)    frames

    >>> kind_of((4, 50))
    'sequences'

    Raises:
        ShapeError: a shape of no axis, or of more than four.
    """
    kinds = get_args(Kind)
    if not 1 <= len(shape) <= len(kinds):
        raise ShapeError(f"An example has 1 to {len(kinds)} axes, but the shape is {tuple(shape)}.")
    kind: Kind = kinds[len(shape) - 1]
    return kind


def kind_of_axes(axes: str) -> Kind:
    """The kind of examples whose axes have these letters, such as ``HWC``."""
    return next(kind for kind, letters in CANONICAL.items() if {*axes, "C"} == {*letters, "C"})


def orders_of(kind: Kind) -> tuple[str, ...]:
    """The usual orders of the axes of examples of a kind, such as ``HW``, ``HWC`` and ``CHW``."""
    return tuple(axes for axes in USUAL if kind_of_axes(axes) == kind)


def unit_axis(shape: Sequence[int]) -> int | None:
    """Axis of examples (N, *shape) whose entries have units of their own; ``None`` if all values share one unit.

    It is that of the features of a table, of the channels of sequences, and of those of images unless they are the one
    of a gray picture or the three of a color picture.

    >>> unit_axis((13, 16, 16)), unit_axis((3, 16, 16)), unit_axis((4, 50))
    (1, None, 1)
    """
    kind = kind_of(shape)
    axis = max(0, CANONICAL[kind].find("C"))
    return None if kind in ("images", "frames") and shape[axis] in (1, 3) else 1 + axis


def units_of(shape: Sequence[int]) -> int:
    """Number of units of examples: one per entry of :func:`unit_axis`, or one for all values."""
    axis = unit_axis(shape)
    return 1 if axis is None else shape[axis - 1]


def example_axes(order: str) -> str:
    """The axes of one example in the value of the option ``data.layout``.

    >>> example_axes("HWCN")
    'HWC'

    Raises:
        BadOption: letters that are not a layout.
    """
    axes = order.replace("N", "")
    if len(axes) != len(order) - 1 or not any(sorted(axes) == sorted(usual) for usual in USUAL):
        raise BadOption(
            f"data.layout cannot be {order}. Use N (examples) with D (table), T or TC (sequences), HW or HWC (images), "
            "FHW or FHWC (frames), in the order of the array, such as NTC, NCHW or HWCN."
        )
    return axes


def examples_first(values: Array, order: str) -> Array:
    """A view of an array whose axes are in the ``order`` of the option ``data.layout``, with the examples first.

    An array of another number of axes, such as labels, is left as it is.
    """
    if order == "auto" or order.startswith("N") or values.ndim != len(order):
        return values
    example_axes(order)
    return np.moveaxis(values, order.index("N"), 0)


def canonical(axes: str, lengths: Sequence[int]) -> tuple[int, ...]:
    """The shape as model input of examples whose axes have these letters and lengths.

    >>> canonical("TC", (50, 4)), canonical("HW", (28, 28))
    ((4, 50), (1, 28, 28))
    """
    known = dict(zip(axes, lengths, strict=True))
    return tuple(known.get(letter, 1) for letter in CANONICAL[kind_of_axes(axes)])


def in_axes(values: Array, axes: str) -> Array:
    """Values with the channels last, or without them if there is one, with their axes in the order of these letters.

    >>> in_axes(np.zeros((9, 50, 4)), "CT").shape, in_axes(np.zeros((9, 28, 28)), "CHW").shape
    ((9, 4, 50), (9, 1, 28, 28))
    """
    if not axes:
        return values
    letters = CANONICAL[kind_of_axes(axes)].replace("C", "") + "C" * ("C" in axes)
    values = values[..., None] if values.ndim == len(axes) else values
    return values.transpose(0, *(1 + letters.index(letter) for letter in axes))


def told_axes(source: Source, raw: tuple[int, ...], order: str, where: str) -> str:
    """The axes of examples of shape ``raw`` by the option ``data.layout`` or the source; empty if neither states them.

    Raises:
        BadData: the option does not match the examples.
        BadOption: letters that are not a layout.
    """
    if order == "auto":
        return source.axes if len(source.axes) == len(raw) else ""
    axes = example_axes(order)
    if source.axes and len(source.axes) == len(raw) and axes != source.axes:
        raise BadData(f"{where} has the axes N{source.axes}, not data.layout={order}. Leave data.layout out.")
    if len(axes) != len(raw):
        raise BadData(
            f"{where} has {1 + len(raw)} axes, of lengths {(len(source), *raw)}, but data.layout={order} has "
            f"{len(order)}. Set one letter per axis."
        )
    return axes


def guessed_axes(source: Source, raw: tuple[int, ...], where: str, missing: tuple[float, ...] = ()) -> str:
    """The axes of examples of shape ``raw`` by their lengths and, if need be, by their values.

    Raises:
        BadData: there are several readings, which the message names with their options; or too many axes.
    """
    if len(raw) == 1:
        return "D"
    shape = (len(source), *raw)
    if len(raw) == 2:
        return _of_two(source, raw, f"{where} has shape {shape}", missing) if raw == source.shape else "HW"
    if len(raw) > 4:
        raise BadData(
            f"{where} has shape {shape}, but a table (N, D), sequences (N, T, C), images (N, H, W) or (N, H, W, C), or "
            "frames (N, F, H, W, C) are required. Pass one row per example."
        )
    front = "F" if len(raw) == 4 else ""
    found = _channels_at(raw[-3:])
    if not found:
        last, first = f"N{front}HWC", f"N{front}CHW"
        frames = "" if front else ", or data.layout=NFHW if they are frames"
        raise BadData(
            f"{where} has shape {shape}, which may be {_listed(last)} or {_listed(first)}. Set data.layout={last} if "
            f"the channels are last, or data.layout={first} if they are first{frames}."
        )
    return front + found


def _channels_at(raw: tuple[int, ...]) -> str:
    """``HWC`` or ``CHW``, by the lengths of three axes; empty if neither end is clearly that of the channels."""
    first, middle, last = raw
    if last in CHANNELS:
        return "HWC"
    if first in CHANNELS:
        return "CHW"
    if last <= MOST_CHANNELS and last < min(first, middle):
        return "HWC"
    return "CHW" if first <= MOST_CHANNELS and first < min(middle, last) else ""


def _of_two(source: Source, raw: tuple[int, ...], what: str, missing: tuple[float, ...]) -> str:
    """Gray images, unless one axis is so short that it may be that of the channels of sequences."""
    short, long = min(raw), max(raw)
    if source.dtype.itemsize == 1 or short > MOST_CHANNELS:
        return "HW"
    if short > FEW or long < TIMES * short:
        return _of_units(source, raw, missing)
    last = raw[-1] == short
    axes = "TC" if last else "CT"
    if short == 1 or _units_differ(_sample(source, missing), 2 if last else 1):
        return axes
    raise BadData(
        f"{what}, which may be sequences of {long} steps with {short} channels or gray images of {raw[0]} x {raw[1]} "
        f"pixels. Set data.layout=N{axes} or data.layout=NHW."
    )


def _of_units(source: Source, raw: tuple[int, ...], missing: tuple[float, ...]) -> str:
    """Gray images, unless means of neighbors along one axis, and one only, are as far apart as those of other units.

    Different spread is no evidence here, as the margins of pictures have little, nor are means that change gradually.
    """
    values, found = _sample(source, missing), []
    for axes, axis in (("TC", 2), ("CT", 1)):
        mean, spread = _moments(values, axis)
        apart = np.abs(np.diff(mean)) > DIFFERENT * np.maximum(spread[1:], spread[:-1])
        if raw[axis - 1] <= MOST_CHANNELS and bool(apart.any()):
            found.append(axes)
    return found[0] if len(found) == 1 else "HW"


def _sample(source: Source, missing: tuple[float, ...]) -> Array:
    """Some examples, spread over the source where single ones can be read, with NaN for missing values."""
    few = max(1, min(len(source), ROWS, LOOKED_AT // int(np.prod(source.shape))))
    rows = np.unique(np.linspace(0, len(source) - 1, few).astype(np.int64)) if source.scattered else np.arange(few)
    values = source.at(rows).values.astype(np.float64)
    values[np.isin(values, np.array(missing)) | np.isinf(values)] = np.nan
    return values.reshape(len(rows), *source.shape)


def _units_differ(values: Array, axis: int) -> bool:
    """Whether two entries of an axis have values of different spread, or means far apart beside their spread."""
    mean, spread = _moments(values, axis)
    apart = np.abs(mean[:, None] - mean) > DIFFERENT * np.maximum(spread[:, None], spread)
    return bool(apart.any() or (len(spread) > 1 and spread.max() > DIFFERENT * spread.min()))


def _moments(values: Array, axis: int) -> tuple[Array, Array]:
    """Mean and standard deviation of each entry of an axis that is not constant."""
    flat = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
    # a constant entry, such as the margin of a picture, has no unit
    flat = flat[[bool(np.isfinite(row).any()) and np.nanmax(row) > np.nanmin(row) for row in flat]]
    return np.array([row[~np.isnan(row)].mean() for row in flat]), np.array([row[~np.isnan(row)].std() for row in flat])


def _listed(order: str) -> str:
    return f"({', '.join(order)})"
