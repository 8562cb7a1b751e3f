"""MATLAB files: versions 4 to 7 through SciPy, version 7.3 as the HDF5 file that it is."""

import struct
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.formats.stores.hdf5 import Hdf5Store
from isthmus.data.formats.stores.inflating import check_inflated, may_burst
from isthmus.data.storage.base import File
from isthmus.errors import BadData

HDF5 = b"\x89HDF\r\n\x1a\n"
BLOCKS = (0, 512, 1024, 2048)
"""Where the signature of HDF5 may be, behind a block for the user."""
COMPRESSED, LONGEST_TEXT = 15, 1000
"""Type code of a compressed element, and most characters of a text."""
CLASSES = {"double": "f8", "single": "f4", "logical": "?"}
CLASSES |= {f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
"""Data type of a class of MATLAB, which decides it, and not the smaller type in which whole numbers are stored."""


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


class MatlabStore(ArrayStore):
    """The arrays of a ``.mat`` file of version 4 to 7; cells, structures, sparse matrices and objects are left out.

    Raises:
        BadData: the file is damaged, or expands like a decompression bomb.
    """

    kind = "a MATLAB file"
    packs = True

    def __init__(self, file: File) -> None:
        from scipy.io import whosmat

        super().__init__(file)
        with reading(self.name, self.kind), file.open() as stream:
            self._check_elements(stream)
            stream.seek(0)
            for key, shape, kind in whosmat(stream):
                if kind == "char" and shape and shape[-1] <= LONGEST_TEXT:
                    self.add(key, Info(tuple(shape[:1]), np.dtype(f"U{max(1, shape[-1])}")))
                elif kind in CLASSES:
                    self.add(key, Info(tuple(map(int, shape)), np.dtype(CLASSES[kind])))
                else:
                    self.left_out[key] = (
                        f"{self.where(key)} is of the class {kind}, but an array of numbers is required. Save it as a "
                        "full matrix."
                    )

    def _check_elements(self, stream: Any) -> None:
        """Refuse compressed elements that expand like a decompression bomb; SciPy reads what their headers declare."""
        head = stream.read(128)
        if len(head) < 128 or 0 in head[:4]:
            # version 4, which is not compressed
            return
        order = "<" if head[126:128] == b"IM" else ">"
        position = 128
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind == COMPRESSED and may_burst(size):
                check_inflated(stream, size, f"A variable of {self.name!r}")
            position += 8 + size
            stream.seek(position)

    def read(self, key: str) -> Array:
        """One array."""
        from scipy.io import loadmat

        self.check_arrays(key)
        with reading(self.name, self.kind), self.file.open() as stream:
            values = np.asarray(loadmat(stream, variable_names=[key])[key])
        info = self.arrays[key]
        if values.dtype.kind not in "buifU" or values.shape != info.shape:
            raise BadData(f"{self.where(key)} holds values of type {values.dtype}, but real numbers are required.")
        # the class decides the type: MATLAB stores 200.0 as a byte
        return values if info.dtype.kind == "U" else values.astype(info.dtype, copy=False)


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
