"""A set that gives one example per index as a source, such as a torch or Hugging Face ``Dataset``."""

from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.objects import Pair, joined, pair_of
from isthmus.data.sources.base import RawChunk, Source
from isthmus.errors import BadData, one_line


class Items(Source):
    """The examples x of items x, (x, y) or ``{"image": x, "label": y}``; y are labels, or targets of the shape of x.

    Args:
        items: an object with a length that gives one item per index.

    Raises:
        BadData: it is empty, or its first item is not an example.
    """

    name = "data set"

    def __init__(self, items: Any) -> None:
        self.items = items
        if not len(items):
            raise BadData("The data set holds no example. Pass at least one.")
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

    def _item(self, row: int) -> Pair:
        try:
            return pair_of(self.items[row])
        except IndexError as error:
            raise BadData(
                f"Item {row} of the {type(self.items).__name__} cannot be read: {one_line(error)}. Check its length."
            ) from error
