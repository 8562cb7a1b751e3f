"""Zarr arrays and groups of versions 2 and 3, in a folder or a zip file.

The metadata is JSON and every chunk a file of its own, so only the codecs come from a library (numcodecs).
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, check_size, reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.formats.stores.scaled import Scale
from isthmus.data.formats.stores.zarr_codecs import decoded, decoded_v2
from isthmus.data.formats.stores.zarr_files import ZarrFiles
from isthmus.data.storage.base import File
from isthmus.errors import BadData
from isthmus.files.untrusted import parse_json

LARGEST_METADATA = 2**24
"""Largest description of one array in bytes."""
MOST_CHUNKS = 2**20
"""Most chunks that are read at a time."""
MOST_AXES = 32


class ZarrStore(ArrayStore):
    """The arrays of a Zarr group, by path such as ``/scans/raw``, or a single array.

    Args:
        file: the folder or zip file.
        files: its files.

    Raises:
        BadData: the metadata is damaged.
    """

    kind = "a Zarr store"
    streams = True
    packs = True

    def __init__(self, file: File, files: ZarrFiles) -> None:
        super().__init__(file)
        self.files = files
        self._meta: dict[str, Mapping[str, Any]] = {}
        self._scales: dict[str, Scale] = {}
        with reading(self.name, self.kind):
            for folder, name in files.arrays():
                self._add(folder, name)
        if not self.arrays and not self.left_out:
            raise BadData(
                f"{self.name!r} holds no Zarr array: neither a zarr.json nor a .zarray. Check that it is one."
            )

    def _json(self, name: str) -> dict[str, Any]:
        data = self.files.get(name, LARGEST_METADATA)
        found = {} if data is None else parse_json(data.decode())
        if not isinstance(found, dict):
            raise BadData(f"{name!r} in {self.name!r} is not the description of an array. Create it again.")
        return found

    def _add(self, folder: str, name: str) -> None:
        """List the array of a folder by its description, the file ``name`` in it."""
        meta = self._json(f"{folder}{name}")
        path = folder.strip("/")
        key = (f"/{path}" if "/" in path else path) or "array"
        second = name == ".zarray"
        try:
            dtype = _dtype(meta["dtype"] if second else meta["data_type"])
        except (TypeError, ValueError, KeyError):
            self.left_out[key] = f"{self.where(key)} does not hold plain numbers, which are required. Convert them."
            return
        shape = tuple(map(int, meta["shape"]))
        grid = meta["chunks"] if second else meta["chunk_grid"]["configuration"]["chunk_shape"]
        chunks = tuple(map(int, grid))
        if len(chunks) != len(shape) or len(shape) > MOST_AXES or min(chunks, default=1) < 1:
            raise BadData(f"{self.where(key)} has chunks of {chunks} for the shape {shape}. Create it again.")
        attributes = self._json(f"{folder}.zattrs") if second else meta.get("attributes") or {}
        named = attributes.get("_ARRAY_DIMENSIONS") if second else meta.get("dimension_names")
        # the conventions of scaled values are those of programs that name the dimensions
        scale = Scale.of(attributes, dtype) if named else Scale()
        self._meta[key], self._scales[key] = {**meta, "folder": folder, "chunks": chunks, "second": second}, scale
        axes = tuple(str(axis) for axis in named or ())
        self.add(key, Info(shape, scale.dtype(dtype), axes, chunks[0] if chunks else 1))

    def read(self, key: str) -> Array:
        """One array."""
        check_size(self.arrays[key].nbytes, self.where(key))
        check_growth(self.arrays[key].nbytes, self.file.packed, self.where(key))
        shape = self.arrays[key].shape
        return self.rows(key, 0, shape[0]) if shape else self._gathered(key, (), ())

    def rows(self, key: str, start: int, stop: int) -> Array:
        """The rows ``start`` to ``stop``, from the chunks that they touch."""
        shape = self.arrays[key].shape
        return self._gathered(key, (start, *(0 for _ in shape[1:])), (stop, *shape[1:]))

    def _gathered(self, key: str, first: tuple[int, ...], last: tuple[int, ...]) -> Array:
        """The values from one corner to another."""
        meta = self._meta[key]
        dtype, chunks = _dtype(meta["dtype"] if meta["second"] else meta["data_type"]), meta["chunks"]
        extent = tuple(b - a for a, b in zip(first, last, strict=True))
        check_size(math.prod(extent) * dtype.itemsize, self.where(key))
        values = np.empty(extent, dtype)
        fill = _fill(meta.get("fill_value"), dtype)
        grid = [range(a // size, -(-b // size)) for a, b, size in zip(first, last, chunks, strict=True)]
        if math.prod(map(len, grid)) > MOST_CHUNKS:
            raise BadData(
                f"{self.where(key)} has {math.prod(map(len, grid)):,} chunks of {chunks}, but at most {MOST_CHUNKS:,} "
                "are read. Save it with larger chunks."
            )
        with reading(self.name, self.kind):
            for place in itertools.product(*grid):
                chunk = self._chunk(key, place, chunks, dtype)
                corner = [i * size for i, size in zip(place, chunks, strict=True)]
                into, of = [], []
                for a, b, c, size in zip(first, last, corner, chunks, strict=True):
                    low, high = max(a, c), min(b, c + size)
                    into.append(slice(low - a, high - a))
                    of.append(slice(low - c, high - c))
                values[tuple(into)] = fill if chunk is None else chunk[tuple(of)]
        return self._scales[key].apply(values)

    def _chunk(self, key: str, place: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """One chunk; ``None`` if all its values are the fill value.

        Raises:
            BadData: it is damaged, or expands like a decompression bomb.
        """
        meta = self._meta[key]
        name = meta["folder"] + _chunk_name(meta, place)
        needed = math.prod(shape) * dtype.itemsize
        data = self.files.get(name, 2 * needed + 2**20)
        if data is None:
            return None
        check_growth(needed, len(data), f"{name!r} in {self.name!r}")
        try:
            if meta["second"]:
                return decoded_v2(meta, data, shape, dtype)
            return decoded(meta["codecs"], data, shape, dtype)
        except BadData as why:
            raise BadData(f"{name[-60:]!r} in {self.name!r} cannot be read: {why}.") from why


def _chunk_name(meta: Mapping[str, Any], place: tuple[int, ...]) -> str:
    """The name of the file of a chunk in the folder of its array."""
    if meta["second"]:
        return str(meta.get("dimension_separator", "."))[:1].join(map(str, place)) or "0"
    encoding = meta.get("chunk_key_encoding") or {"name": "default"}
    plain = encoding["name"] == "v2"
    between = str((encoding.get("configuration") or {}).get("separator", "." if plain else "/"))[:1]
    return (between.join(map(str, place)) or "0") if plain else between.join(["c", *map(str, place)])


def _dtype(name: object) -> np.dtype[Any]:
    """The data type of numbers or texts.

    Raises:
        TypeError: it is of another kind.
    """
    if not isinstance(name, str):
        raise TypeError(name)
    dtype = np.dtype(name)
    if dtype.kind not in "buifUS" or dtype.itemsize == 0:
        raise TypeError(name)
    return dtype


def _fill(value: object, dtype: np.dtype[Any]) -> Any:
    """The value of missing chunks, which JSON may have as text."""
    if value is None:
        return np.zeros((), dtype)[()]
    if isinstance(value, str) and value.startswith("0x") and dtype.kind == "f":
        return np.frombuffer(bytes.fromhex(value[2:])[::-1], dtype.newbyteorder("<"))[0]
    if isinstance(value, str) and dtype.kind == "f":
        return dtype.type(value)
    if isinstance(value, str) and dtype.kind == "S":
        return b""
    return np.asarray(value).astype(dtype)[()]
