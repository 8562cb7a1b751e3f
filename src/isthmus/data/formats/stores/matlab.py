"""MATLAB files: of version 7.3 as the HDF5 file that it is, and older ones."""

from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.formats.stores.hdf5 import Hdf5Store
from isthmus.data.formats.stores.matlab_old import MatlabStore
from isthmus.data.storage.base import File

HDF5 = b"\x89HDF\r\n\x1a\n"
BLOCKS = (0, 512, 1024, 2048)
"""Where the signature of HDF5 may be, behind a block for the user."""
CLASSES = {"double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
"""Classes of numbers."""


def open_matlab(file: File) -> ArrayStore:
    """The arrays of a ``.mat`` file of any version.

    Raises:
        BadData: it is damaged.
        MissingExtra: it is of version 7.3, and h5py is not installed.
    """
    with reading(file.name, "a MATLAB file"), file.open() as stream:
        for start in BLOCKS:
            stream.seek(start)
            if stream.read(8) == HDF5:
                return Matlab73Store(file)
    return MatlabStore(file)


class Matlab73Store(Hdf5Store):
    """The arrays of a ``.mat`` file of version 7.3, with the axes in the order of MATLAB, which HDF5 has reversed."""

    kind = "a MATLAB file"
    row_axis = -1

    def has_data(self, name: str, group: Any) -> bool:
        """Whether a group is a structure, and not a sparse matrix or what cells and objects refer to."""
        return not name.startswith("#") and "MATLAB_sparse" not in group.attrs

    def why_not(self, found: Any) -> str:
        """Why an array is no array of numbers, if its class says so."""
        kind = "empty" if "MATLAB_empty" in found.attrs else _class(found)
        return f"is of the class {kind[:60]}" if kind and kind not in CLASSES else ""

    def info(self, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Info:
        """What is known of an array."""
        if _class(found) == "logical":
            dtype = np.dtype(bool)
        return Info(shape[::-1], dtype, chunk=found.chunks[-1] if found.chunks else 1)

    def values(self, found: Any, start: int, stop: int) -> Array:
        """The rows of an array, which are the last axis of the data set."""
        return np.ascontiguousarray(np.asarray(found[..., start:stop]).T)


def _class(found: Any) -> str:
    known = found.attrs.get("MATLAB_class", b"")
    return known.decode("ascii", "replace") if isinstance(known, bytes) else str(known)
