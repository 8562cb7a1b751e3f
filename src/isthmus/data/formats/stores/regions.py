"""Arrays that lie uncompressed at known positions of a file, read without any library."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_size, reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.errors import BadData

BFLOAT16 = np.dtype("<u2")
"""How bfloat16 is stored, which NumPy lacks: the first two bytes of a float32."""


@dataclass(frozen=True)
class Region:
    """Where the values of an array lie.

    Args:
        offset: position of its first value, in bytes.
        dtype: data type of the stored values.
        strides: values from one index of each axis to the next; ``None`` if the array is in C order.
        truncated: whether the values are float32 without their last two bytes (bfloat16).
    """

    offset: int
    dtype: np.dtype[Any]
    strides: tuple[int, ...] | None = None
    truncated: bool = False


class RegionStore(ArrayStore):
    """A file whose arrays lie at known positions."""

    streams = True

    def add_region(self, key: str, shape: tuple[int, ...], region: Region, end: int | None = None) -> None:
        """List an array whose values must lie before the byte ``end``, by default that of the file.

        Raises:
            BadData: its values do not lie inside the file.
        """
        dtype = np.dtype(np.float32) if region.truncated else region.dtype
        self.add(key, Info(shape, dtype))
        most = self.file.size if end is None else end
        last = region.offset + _extent(shape, _strides(shape, region)) * region.dtype.itemsize
        if region.offset < 0 or min(_strides(shape, region), default=0) < 0 or last > most:
            raise BadData(
                f"The header of {self.where(key)} declares values up to byte {last:,}, but there are only {most:,} "
                f"bytes. The file is truncated or damaged; create it again."
            )
        self.regions[key] = region

    @property
    def regions(self) -> dict[str, Region]:
        """Where the arrays lie, by name."""
        known: dict[str, Region] = self.__dict__.setdefault("_regions", {})
        return known

    def read(self, key: str) -> Array:
        """One array."""
        self.check_arrays(key)
        return self._read(key, self.arrays[key].shape, self.regions[key].offset)

    def rows(self, key: str, start: int, stop: int) -> Array:
        """The rows ``start`` to ``stop``."""
        shape, region = self.arrays[key].shape, self.regions[key]
        offset = region.offset + start * _strides(shape, region)[0] * region.dtype.itemsize
        return self._read(key, (stop - start, *shape[1:]), offset)

    def _read(self, key: str, shape: tuple[int, ...], offset: int) -> Array:
        region = self.regions[key]
        strides = _strides(self.arrays[key].shape, region)
        count = _extent(shape, strides)
        check_size(count * region.dtype.itemsize, self.where(key))
        values = np.empty(count, region.dtype)
        with reading(self.name, self.kind), self.file.open() as stream:
            stream.seek(offset)
            view = values.view(np.uint8).data
            done = 0
            while done < len(view):
                data = stream.read(min(len(view) - done, 2**24))
                if not data:
                    raise BadData(f"{self.where(key)} ends too early. The file was truncated; create it again.")
                view[done : done + len(data)] = data
                done += len(data)
        if region.truncated:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        if region.strides is None:
            return values.reshape(shape)
        by_bytes = tuple(step * values.itemsize for step in strides)
        return np.lib.stride_tricks.as_strided(values, shape, by_bytes, writeable=False).copy()


def _strides(shape: tuple[int, ...], region: Region) -> tuple[int, ...]:
    return c_strides(shape) if region.strides is None else region.strides


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Values from one index of each axis to the next in C order.

    >>> c_strides((5, 3, 2))
    (6, 2, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _extent(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Number of values from the first to the last of an array."""
    if 0 in shape:
        return 0
    return 1 + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
