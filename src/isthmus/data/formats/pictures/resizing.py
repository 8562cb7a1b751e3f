"""Pictures of another size: scaled with smoothing, padded, cropped or stretched."""

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.background import background_values, color_of
from isthmus.data.formats.pictures.header import BYTE, PictureFormat
from isthmus.errors import BadData

SCALE = "scale"
"""How pictures are resized that have the wanted shape already."""
Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge in pixels."""


def same_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) have one aspect ratio, up to the rounding of a side to whole pixels.

    >>> same_shape((3000, 4000), (48, 64)), same_shape((32, 32), (32, 33))
    (True, False)
    """
    (height, width), (tall, wide) = sorted((size, other), reverse=True)
    return round(height * wide / width) == tall or round(width * tall / height) == wide


def resized(values: Array, wanted: PictureFormat) -> Array:
    """A picture (height, width, ...) in the wanted size; its pixels are unchanged if it has that size already.

    Raises:
        BadData: plain numbers that would have to be padded, because no number is their background.
    """
    height, width = values.shape[:2]
    size = wanted.height, wanted.width
    if (height, width) == size:
        return values
    if wanted.resize in (SCALE, "stretch") or same_shape((height, width), size):
        return _scaled(values, size)
    ratios = size[0] / height, size[1] / width
    if wanted.resize == "crop":
        return _cropped(values, size, max(ratios))
    if wanted.brightest is None:
        raise BadData(
            "data.resize=pad is for brightness, but the values are plain numbers, which have no background; set "
            "data.resize=crop or stretch"
        )
    ratio = min(ratios)
    inner = _scaled(values, (_side(height * ratio, size[0]), _side(width * ratio, size[1])))
    return _padded(inner, wanted)


def _side(length: float, most: int) -> int:
    return min(most, max(1, round(length)))


def _padded(values: Array, wanted: PictureFormat) -> Array:
    """A picture in the middle of a background."""
    channels = 1 if values.ndim == 2 else values.shape[-1]
    behind = background_values(color_of(wanted.background), channels, wanted.brightest or 0)
    behind = behind if values.dtype.kind == "f" else behind.round()
    whole = np.empty((wanted.height, wanted.width, *values.shape[2:]), values.dtype)
    whole[:] = behind[0] if values.ndim == 2 else behind
    top, left = (wanted.height - values.shape[0]) // 2, (wanted.width - values.shape[1]) // 2
    whole[top : top + values.shape[0], left : left + values.shape[1]] = values
    return whole


def _cropped(values: Array, size: tuple[int, int], ratio: float) -> Array:
    """The middle of a picture."""
    height, width = values.shape[:2]
    if ratio == 1:
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        return np.ascontiguousarray(values[top : top + size[0], left : left + size[1]])
    tall, wide = min(height, size[0] / ratio), min(width, size[1] / ratio)
    left, top = (width - wide) / 2, (height - tall) / 2
    return _scaled(values, size, (left, top, left + wide, top + tall))


def _scaled(values: Array, size: tuple[int, int], box: Box | None = None) -> Array:
    """A picture, or a box of it, in a size (height, width); smoothed where it becomes smaller."""
    from PIL import Image

    if values.shape[:2] == size and box is None:
        return values
    if values.dtype == BYTE and (values.ndim == 2 or values.shape[-1] == 3):
        small = Image.fromarray(values).resize(size[::-1], Image.Resampling.BILINEAR, box)
        return np.asarray(small)
    planes = [values] if values.ndim == 2 else np.moveaxis(values, -1, 0)
    made = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(size[::-1], Image.Resampling.BILINEAR, box)
        )
        for plane in planes
    ]
    floats = made[0] if values.ndim == 2 else np.stack(made, axis=-1)
    if values.dtype.kind == "f":
        return floats.astype(values.dtype)
    bounds = np.iinfo(values.dtype)
    return floats.astype(np.float64).round().clip(bounds.min, bounds.max).astype(values.dtype)
