"""A set that gives one example per index as a source, such as a torch or Hugging Face ``Dataset``."""

from collections import Counter
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.pictures import (
    PictureFormat,
    common_format,
    format_notes,
    image_header,
    is_picture,
    read_image,
)
from isthmus.data.objects import Pair, as_array, joined, parts_of
from isthmus.data.sources.base import RawChunk, Source
from isthmus.errors import BadData, one_line
from isthmus.options import DataOptions

LOOKED_AT = 1000
"""Images of Pillow whose size and mode decide the format of all, spread evenly over the set."""


class Items(Source):
    """The examples x of items x, (x, y) or ``{"image": x, "label": y}``; y are labels, or targets of the shape of x.

    Images of Pillow get one format, as pictures in files do.

    Args:
        items: an object with a length that gives one item per index.
        options: size, resizing and background of images of Pillow.

    Attributes:
        notes: what was decided about images of Pillow, one sentence each.

    Raises:
        BadData: it is empty, or its first item is not an example.
    """

    name = "data set"

    def __init__(self, items: Any, options: DataOptions | None = None) -> None:
        self.items = items
        self.format: PictureFormat | None = None
        self.notes: tuple[str, ...] = ()
        if not len(items):
            raise BadData("The data set holds no example. Pass at least one.")
        if is_picture(self._parts(0)[0]):
            self._decide(options or DataOptions())
        first = self._item(0)
        if first.x.ndim < 1:
            raise BadData(
                f"The first item of the {type(items).__name__} is a single number, but one example of several numbers "
                "is required. Pass items x, (x, y) or a mapping with x or image."
            )
        self.shape, self.dtype = first.x.shape, first.x.dtype
        self.paired = first.y is not None and first.y.shape == first.x.shape
        self.labeled = first.y is not None and first.y.ndim == 0 and first.y.dtype.kind in "biuUS"

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.items)

    def read(self, start: int, stop: int, into: Array | None = None) -> RawChunk:
        """The examples ``start`` to ``stop``."""
        return RawChunk(self._pairs(np.arange(start, stop)).x.astype(self.dtype, copy=False))

    def labels_of(self, rows: Array) -> Array | None:
        """The labels of some examples, if items have whole numbers or strings beside x."""
        return self._pairs(rows).y if self.labeled else None

    def pair(self) -> Pair:
        """All examples, and their labels or targets, read once."""
        found = self._pairs(np.arange(len(self)))
        return found if self.labeled or self.paired else Pair(found.x)

    def _pairs(self, rows: Array) -> Pair:
        return joined([self._item(int(row)) for row in rows])

    def _decide(self, options: DataOptions) -> None:
        """Decide on the format of images of Pillow."""
        rows = np.unique(np.linspace(0, len(self) - 1, LOOKED_AT).astype(np.int64)).tolist()
        images = (self._parts(row)[0] for row in rows)
        headers = Counter(image_header(image) for image in images if is_picture(image))
        self.format = common_format(headers, options, "The data set")
        self.brightest, self.axes = self.format.brightest, self.format.axes
        self.notes = format_notes(headers, self.format)

    def _item(self, row: int) -> Pair:
        x, y = self._parts(row)
        if self.format is None:
            return Pair(as_array(x), None if y is None else as_array(y))
        # the targets of pictures are pictures of the same format
        pair = [read_image(v, self.format, f"item {row}") if is_picture(v) else v for v in (x, y)]
        return Pair(as_array(pair[0]), None if y is None else as_array(pair[1]))

    def _parts(self, row: int) -> tuple[Any, Any]:
        try:
            return parts_of(self.items[row])
        except IndexError as error:
            raise BadData(
                f"Item {row} of the {type(self.items).__name__} cannot be read: {one_line(error)}. Check its length."
            ) from error
