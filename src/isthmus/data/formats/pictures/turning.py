"""The eight orientations of EXIF."""

from typing import TYPE_CHECKING

import numpy as np

from isthmus.data.base import Array

if TYPE_CHECKING:
    from PIL.Image import Image

TAG = 274
"""Tag of the orientation in EXIF and in TIFF."""
CARRIERS = frozenset(("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"))
"""Entries of a Pillow image that may state an orientation."""


def orientation_of(image: "Image") -> int:
    """The orientation that an image of Pillow states, 1 to 8; 1 where it is absent or damaged, as viewers do."""
    if CARRIERS.isdisjoint(image.info) and image.format != "TIFF":
        return 1
    try:
        found = image.getexif().get(TAG, 1)
    except Exception:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def is_lying(orientation: int) -> bool:
    """Whether height and width are exchanged when the picture is turned."""
    return orientation >= 5


def turned(values: Array, orientation: int) -> Array:
    """Pixels (height, width, ...) as they are to be shown.

    >>> turned(np.array([[1, 2]]), 6).tolist(), turned(np.array([[1, 2]]), 2).tolist()
    ([[1], [2]], [[2, 1]])
    """
    if orientation == 1:
        return values
    if is_lying(orientation):
        values = values.swapaxes(0, 1)
    # rows and columns are mirrored after the exchange of both
    rows, columns = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    return np.ascontiguousarray(values[:: -1 if rows else 1, :: -1 if columns else 1])
