"""Transparent pictures over a background of one color."""

from functools import cache

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures.header import Color
from isthmus.errors import BadOption


@cache
def color_of(background: str) -> Color:
    """The color of ``data.background``.

    >>> color_of("white"), color_of("#ff8000")
    ((255, 255, 255), (255, 128, 0))

    Raises:
        BadOption: it is not a color, or is itself transparent.
    """
    from PIL import ImageColor

    try:
        color: tuple[int, ...] = ImageColor.getrgb(background)
    except ValueError:
        color = ()
    if len(color) != 3:
        raise BadOption(
            f"data.background cannot be {background[:60]!r}. Allowed: a name of a color, such as white, black or gray, "
            "or #rrggbb, such as #ff8000."
        )
    return color[0], color[1], color[2]


def is_gray(color: Color) -> bool:
    """Whether a color is white, black or a shade between.

    >>> is_gray((9, 9, 9)), is_gray((9, 9, 8))
    (True, False)
    """
    return color[0] == color[1] == color[2]


def background_values(color: Color, channels: int, brightest: float) -> Array:
    """The value of a color in each channel, float64 (channels,).

    Raises:
        BadOption: a color other than a shade of gray, for channels that are neither gray nor color.
    """
    if channels != 3 and not is_gray(color):
        raise BadOption(
            f"data.background must be white, black or a gray for pictures of {channels} channels, but is "
            f"#{color[0]:02x}{color[1]:02x}{color[2]:02x}."
        )
    return np.resize(np.array(color, np.float64), channels) * (brightest / 255)


def composited(values: Array, alpha: Array, color: Color, brightest: int, *, multiplied: bool = False) -> Array:
    """Values over a background, exactly rounded.

    Args:
        values: unsigned integers, (height, width) or (height, width, channels).
        alpha: opacity from 0 to ``brightest``, (height, width).
        color: the background.
        brightest: value of full brightness.
        multiplied: whether the values are multiplied by the opacity already.
    """
    gray, dtype = values.ndim == 2, values.dtype
    if gray and not is_gray(color):
        values, gray = np.repeat(values[..., None], 3, axis=-1), False
    behind = background_values(color, 1 if gray else values.shape[-1], brightest).round()
    # the largest sum for 16 bits is below 2^32
    kind = np.dtype(np.uint32 if brightest <= 0xFFFF else np.float64)
    opacity: Array = (alpha if gray else alpha[..., None]).astype(kind)
    behind = np.asarray(behind[0] if gray else behind, kind)
    values = np.minimum(values, opacity) if multiplied else values
    shown: Array = values.astype(kind) * (brightest if multiplied else opacity) + behind * (brightest - opacity)
    return ((shown + brightest // 2) // brightest).astype(dtype)
