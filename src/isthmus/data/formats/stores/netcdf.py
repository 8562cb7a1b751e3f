"""NetCDF files: version 3 through SciPy, version 4 as the HDF5 file that it is, with the CF conventions of both."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_size, reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.formats.stores.hdf5 import Hdf5Store
from isthmus.data.formats.stores.scaled import MISSING, Scale
from isthmus.data.storage.base import File

ATTRIBUTES = ("scale_factor", "add_offset", "bounds", "climatology", *MISSING)
NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


def open_netcdf(file: File) -> ArrayStore:
    """The variables of a NetCDF file of version 3 or 4.

    Raises:
        BadData: it is damaged.
        MissingExtra: it is of version 4, and h5py is not installed.
    """
    with reading(file.name, "a NetCDF file"), file.open() as stream:
        return NetCdf3Store(file) if stream.read(3) == b"CDF" else NetCdf4Store(file)


class NetCdf3Store(ArrayStore):
    """The variables of a NetCDF file of version 3, which is not compressed.

    Raises:
        BadData: it is damaged or too large.
    """

    kind = "a NetCDF file"

    def __init__(self, file: File) -> None:
        from scipy.io import netcdf_file

        super().__init__(file)
        # SciPy reads all variables at once; a memory map would kill the process if the file were truncated
        check_size(file.size, repr(file.name))
        self._stored: dict[str, Array] = {}
        self._scales: dict[str, Scale] = {}
        bounds: set[str] = set()
        with reading(self.name, self.kind), file.open() as stream:
            opened = netcdf_file(stream, "r", mmap=False)
            for key, variable in opened.variables.items():
                attributes = {name: variable._attributes.get(name) for name in ATTRIBUTES}
                bounds |= bounds_of(attributes)
                values = variable.data
                self._scales[key] = scale = Scale.of(attributes, values.dtype)
                self._stored[key] = values
                self.add(key, Info(values.shape, scale.dtype(values.dtype), tuple(map(str, variable.dimensions))))
        leave_out_bounds(self, bounds)

    def read(self, key: str) -> Array:
        """One variable."""
        self.check_arrays(key)
        return self._scales[key].apply(self._stored[key])


class NetCdf4Store(Hdf5Store):
    """The variables of a NetCDF file of version 4."""

    kind = "a NetCDF file"

    def __init__(self, file: File) -> None:
        self._scales: dict[str, Scale] = {}
        self._bounds: set[str] = set()
        super().__init__(file)
        leave_out_bounds(self, self._bounds)

    def why_not(self, found: Any) -> str:
        """Why a data set is no variable."""
        name = found.attrs.get("NAME", b"")
        return "is the length of an axis" if isinstance(name, bytes) and name.startswith(NO_VARIABLE) else ""

    def info(self, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Info:
        """What is known of a variable."""
        attributes = {name: found.attrs[name] for name in ATTRIBUTES if name in found.attrs}
        self._bounds |= bounds_of(attributes)
        self._scales[found.name] = scale = Scale.of(attributes, dtype)
        # the names of the axes are references, which h5py follows without end in damaged files
        return Info(shape, scale.dtype(dtype), chunk=found.chunks[0] if found.chunks else 0)

    def values(self, found: Any, start: int, stop: int) -> Array:
        """The rows of a variable."""
        return self._scales[found.name].apply(super().values(found, start, stop))


def bounds_of(attributes: Mapping[str, Any]) -> set[str]:
    """Names of the variables that hold the limits of the cells of an axis."""
    found = (attributes.get(name) for name in ("bounds", "climatology"))
    return {
        value.decode() if isinstance(value, bytes) else str(value) for value in found if isinstance(value, bytes | str)
    }


def leave_out_bounds(store: ArrayStore, bounds: set[str]) -> None:
    """Leave out variables that hold the limits of the cells of an axis."""
    for key in [key for key in store.arrays if key.rpartition("/")[2] in bounds]:
        del store.arrays[key]
        store.left_out[key] = f"{store.where(key)} holds the limits of the cells of an axis, not examples."
