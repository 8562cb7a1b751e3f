"""The one format that all pictures of a data set get: decided by their headers, never by their values."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import color_of, is_gray
from isthmus.data.formats.pictures.header import PictureFormat, PictureHeader
from isthmus.data.formats.pictures.resizing import SCALE, resized, same_shape
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

FEW = 20
"""One picture, or one in so many, that differs from all others is a bad example, and no reason to refuse the others."""
LISTED = 3
"""Groups that a message lists."""
FULL = (0xFF, 0xFFFF, 0xFFFFFFFF)
"""Full brightness of 8, 16 and 32 bits."""
NUMBERS = "integers"
Headers = Counter[PictureHeader]


def common_format(headers: Headers, options: DataOptions, where: str) -> PictureFormat:
    """The format that all pictures with these headers can be brought to.

    Gray beside color becomes color, 8 bits beside 16 become 16, and integers beside floating-point numbers from 0 to 1
    become such numbers. Single pictures that cannot be brought to the format of the others are left to be bad examples.

    Args:
        headers: how often each header occurs.
        options: size, resizing and background.
        where: what the pictures are, such as ``The folder 'x'``, for messages.

    Raises:
        BadData: they cannot; the message says what was found and the options to set.
        BadOption: a resizing without a size, or a background that is no color.
    """
    if options.resize is not None and options.size is None:
        raise BadOption(
            f"data.resize={options.resize} says how pictures get the size data.size, which is not set. Set it too, "
            "such as data.size=64 or data.size=64x48."
        )
    gray_behind = is_gray(color_of(options.background))
    headers = _of_one_unit(headers, where)
    headers = _of_like_channels(headers, where)
    (height, width), how = _size(headers, options, where)
    dtype, brightest = _depth(headers)
    channels = max(header.channels for header in headers)
    behind = how == "pad" or any(header.alpha for header in headers)
    if channels == 1 and behind and not gray_behind and brightest is not None:
        channels = 3
    unit = next(iter(headers)).unit
    stacked = options.pages == "channels"
    return PictureFormat(height, width, channels, dtype, brightest, how, options.background, unit, stacked)


def format_notes(headers: Headers, wanted: PictureFormat) -> tuple[str, ...]:
    """What was decided about pictures with these headers beside their size, one sentence each."""
    notes = []
    if any(header.alpha for header in headers):
        notes.append(f"Transparent pixels show {wanted.background} (data.background).")
    if wanted.channels == 3 and any(header.channels == 1 for header in headers):
        notes.append("Gray pictures beside colored ones have three equal channels.")
    stated = sorted({header.missing for header in headers} - {""})
    notes += [
        f"The files state that {text} stands for no value (data.missing={text} leaves it out)." for text in stated
    ]
    levels = {header.brightest for header in headers}
    if len(levels) > 1 and None in levels and wanted.brightest == 1:
        notes.append("Floating-point pictures beside others are brightness from 0 to 1.")
    return tuple(notes)


def _majority(headers: Headers, key: Callable[[PictureHeader], Any]) -> tuple[Headers | None, Counter[Any]]:
    """The headers of the largest group, if all others are few, and the size of each group."""
    groups: Counter[Any] = Counter()
    for header, count in headers.items():
        groups[key(header)] += count
    (largest, most), total = groups.most_common(1)[0], groups.total()
    if total - most > max(1, total // FEW) or 2 * most <= total:
        return None, groups
    return Counter({header: count for header, count in headers.items() if key(header) == largest}), groups


def _listed(groups: Counter[Any], text: Callable[[Any], str]) -> str:
    """The largest groups in words: ``40 of 16x16, 20 of 16x17``."""
    largest = groups.most_common(LISTED)
    rest = groups.total() - sum(count for _, count in largest)
    return ", ".join(f"{count:,} {text(group)}" for group, count in largest) + (f" and {rest:,} others" if rest else "")


def _of_one_unit(headers: Headers, where: str) -> Headers:
    """The pictures of brightness, those of numbers without a unit, or those in one unit."""
    bright = any(header.brightest is not None for header in headers)

    def unit(header: PictureHeader) -> str:
        # floating-point numbers are brightness from 0 to 1 beside brightness, and numbers beside other numbers
        plain = header.brightest is None and (header.dtype.kind != "f" or not bright)
        return header.unit or (NUMBERS if plain else "")

    kept, groups = _majority(headers, unit)
    if kept is None:
        words = {"": "of brightness", NUMBERS: "of plain numbers"}
        found = _listed(groups, lambda group: words.get(group, f"in {group}"))
        raise BadData(
            f"{where} holds pictures whose values mean different things: {found}. Put each kind in a folder of its own."
        )
    return kept


def _of_like_channels(headers: Headers, where: str) -> Headers:
    """The pictures of gray and of color, or those of another number of channels."""
    kept, groups = _majority(headers, lambda header: 3 if header.channels == 1 else header.channels)
    if kept is None:
        found = _listed(groups, lambda group: "gray or in color" if group == 3 else f"of {group} channels")
        raise BadData(
            f"{where} holds pictures of different channels: {found}. Put those of other channels than gray or color "
            "in folders of their own."
        )
    return kept


def _size(headers: Headers, options: DataOptions, where: str) -> tuple[tuple[int, int], str | None]:
    """Height and width of all pictures, and how those of other sizes get them."""
    size = options.size
    if size is not None and options.resize is not None:
        return size, options.resize

    def group(header: PictureHeader) -> tuple[int, int]:
        own = header.height, header.width
        return size if size is not None and same_shape(own, size) else own

    kept, _ = _majority(headers, group)
    if kept is not None and (size is None or group(next(iter(kept))) == size):
        return group(next(iter(kept))), None if size is None else SCALE
    sizes = Counter({(h.height, h.width): 0 for h in headers})
    for header, count in headers.items():
        sizes[header.height, header.width] += count
    found = _listed(sizes, lambda own: f"of {own[0]}x{own[1]}")
    several = f"{len(sizes)} sizes" if len(sizes) > 1 else "one size"
    if size is None:
        height, width = sizes.most_common(1)[0][0]
        advice = f"Set data.size, such as data.size={_sides(height, width)}, and data.resize=pad, crop or stretch."
    else:
        advice = f"data.size={_sides(*size)} has another shape, so set data.resize=pad, crop or stretch too."
    raise BadData(f"{where} holds pictures of {several}: {found} (height x width). {advice}")


def _sides(height: int, width: int) -> str:
    """A size as the option ``data.size`` is written.

    >>> _sides(16, 16), _sides(64, 48)
    ('16', '64x48')
    """
    return str(height) if height == width else f"{height}x{width}"


def _depth(headers: Headers) -> tuple[np.dtype[Any], float | None]:
    """The data type and the full brightness to which all values can be brought exactly."""
    kinds = [header.dtype for header in headers]
    levels = {header.brightest for header in headers}
    if len(levels) == 1:
        return np.result_type(*kinds), levels.pop()
    if None in levels:
        return np.result_type(np.float32, *(kind for kind in kinds if kind.kind == "f")), 1.0
    for full, kind in zip(FULL, (np.uint8, np.uint16, np.uint32), strict=True):
        if all(level and full % level == 0 for level in levels):
            return np.dtype(kind), float(full)
    return np.dtype(np.float32), 1.0


def brought(values: Array, header: PictureHeader, wanted: PictureFormat) -> Array:
    """The pixels of a picture, (height, width) or (height, width, channels), in the wanted format.

    Raises:
        BadData: they cannot be brought to it.
    """
    _check_alike(values, header, wanted)
    values = _deepened(values, header, wanted)
    if values.ndim == 2 and wanted.channels > 1:
        values = np.repeat(values[..., None], wanted.channels, axis=-1)
    return resized(values, wanted)


def _check_alike(values: Array, header: PictureHeader, wanted: PictureFormat) -> None:
    channels = 1 if values.ndim == 2 else values.shape[-1]
    if channels == 3 and wanted.channels == 1:
        raise BadData("it is colored, the others are gray")
    if channels != wanted.channels and (channels, wanted.channels) != (1, 3):
        raise BadData(f"it has {channels} channels, most others have {wanted.channels}")
    if header.unit != wanted.unit:
        raise BadData(
            f"its unit is {header.unit or 'not stated'}, that of most others {wanted.unit or 'is not stated'}"
        )
    numbers = header.brightest is None
    if numbers != (wanted.brightest is None) and not (numbers and wanted.dtype.kind == header.dtype.kind == "f"):
        kinds = ("plain numbers", "brightness") if numbers else ("brightness", "plain numbers")
        raise BadData(f"its values are {kinds[0]}, those of most others {kinds[1]}")
    size = values.shape[:2]
    if size == (wanted.height, wanted.width) or wanted.resize not in (None, SCALE):
        return
    if wanted.resize is None:
        raise BadData(
            f"it is {size[0]} x {size[1]} pixels (height x width), most others are {wanted.height} x {wanted.width}"
        )
    if not same_shape(size, (wanted.height, wanted.width)):
        raise BadData(
            f"it is {size[0]} x {size[1]} pixels (height x width), another shape than {wanted.height} x "
            f"{wanted.width}; set data.resize=pad, crop or stretch"
        )


def _deepened(values: Array, header: PictureHeader, wanted: PictureFormat) -> Array:
    """Values of the wanted type and full brightness; integers are multiplied exactly."""
    if header.brightest is None and wanted.brightest == 1 and bool((values < 0).any() or (values > 1).any()):
        raise BadData(
            f"it holds numbers from {np.nanmin(values):g} to {np.nanmax(values):g}, but floating-point pictures beside "
            "others are brightness from 0 to 1"
        )
    if header.brightest in (None, wanted.brightest) or wanted.brightest is None:
        return values.astype(wanted.dtype, copy=False)
    if wanted.dtype.kind == "f":
        return (values.astype(np.float64) / header.brightest * wanted.brightest).astype(wanted.dtype)
    factor, rest = divmod(int(wanted.brightest), int(header.brightest))
    if rest:
        raise BadData(f"its full brightness is {header.brightest:g}, that of most others {wanted.brightest:g}")
    deep: Array = values.astype(wanted.dtype) * wanted.dtype.type(factor)
    return deep
