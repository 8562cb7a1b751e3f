"""Values that a file stores as small integers with a factor and an offset: the CF conventions of NetCDF."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from isthmus.data.base import Array

MISSING = ("_FillValue", "missing_value")
"""Attributes with stored values that mean a missing one."""


@dataclass(frozen=True)
class Scale:
    """How stored values become the ones that were meant: ``factor * stored + offset``, and NaN for missing ones.

    Args:
        factor: the factor.
        offset: the offset.
        missing: stored values that mean a missing one.
    """

    factor: float = 1.0
    offset: float = 0.0
    missing: tuple[Any, ...] = ()

    @classmethod
    def of(cls, attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> Self:
        """The scale of an array with these attributes, of numbers only.

        >>> Scale.of({"scale_factor": 0.5, "add_offset": 2}, np.dtype("i2"))
        Scale(factor=0.5, offset=2.0, missing=())
        """
        if dtype.kind not in "buif":
            return cls()
        factor, offset = (
            _number(attributes.get(name), plain) for name, plain in (("scale_factor", 1.0), ("add_offset", 0.0))
        )
        missing = [value for name in MISSING for value in _numbers(attributes.get(name))]
        return cls(factor, offset, tuple(value for value in missing if value == value))

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """The data type of the values: float where stored integers are scaled or may be missing."""
        if self == Scale() or stored.kind == "f":
            return stored.newbyteorder("=")
        return np.dtype(np.float32 if stored.itemsize <= 2 else np.float64)

    def apply(self, stored: Array) -> Array:
        """The values of stored ones."""
        if self == Scale():
            return stored
        dtype = self.dtype(stored.dtype)
        gone = np.zeros(stored.shape, bool)
        for value in self.missing:
            gone |= stored == np.asarray(value).astype(stored.dtype)
        # in double precision, and rounded once
        values = stored.astype(np.float64)
        values *= self.factor
        values += self.offset
        values[gone] = np.nan
        return values.astype(dtype)


def _numbers(value: object) -> list[float]:
    if value is None or isinstance(value, str | bytes):
        return []
    found = np.asarray(value).reshape(-1)
    return found.tolist() if found.dtype.kind in "buif" else []


def _number(value: object, plain: float) -> float:
    found = _numbers(value)
    return float(found[0]) if found else plain
