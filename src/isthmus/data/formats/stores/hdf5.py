"""HDF5 files: data sets in groups. Only the file itself is read: what lies in other files is left out."""

import math
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Any, ClassVar

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, reading
from isthmus.data.formats.stores.base import MOST_ARRAYS, ArrayStore, Info, missing_extra
from isthmus.data.formats.stores.inflating import check_inflated, may_burst
from isthmus.data.storage.base import File
from isthmus.errors import BadData

DEEPEST, MOST_OBJECTS = 32, 10 * MOST_ARRAYS
"""Levels of groups, and number of groups and data sets, that are searched."""
DEFLATE_FILTER = 1
LONGEST_TEXT, PIECE = 1000, 4096
"""Most characters of a text of variable length, and texts that are read at a time."""


class Hdf5Store(ArrayStore):
    """The data sets of an HDF5 file, by path such as ``/scans/raw``.

    Links that are not hard links, virtual data sets and external storage would open other files, and are left out.

    Raises:
        BadData: the file is damaged.
        MissingExtra: h5py is not installed.
    """

    kind = "an HDF5 file"
    streams = True
    packs = True
    row_axis: ClassVar[int] = 0

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self._handle: Any = None
        self._process = -1
        # whether chunks of a data set are large enough for a bomb, once that is known
        self._suspect: dict[str, bool] = {}
        with self._opened() as handle:
            for key, found in self._walk(handle):
                self._list(key, found)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        """The file, opened once in each process, as processes would share its position."""
        try:
            import h5py
        except ImportError as fault:
            raise missing_extra(self.name, "h5py", "arrays") from fault
        with reading(self.name, self.kind):
            if self._process != os.getpid():
                with ExitStack() as files:
                    stream = files.enter_context(self.file.open())
                    self._handle = files.enter_context(h5py.File(stream, "r"))
                    weakref.finalize(self, files.pop_all().close)
                self._process = os.getpid()
            yield self._handle

    def _walk(self, handle: Any) -> Iterator[tuple[str, Any]]:
        """All data sets by path, each once, without following links to other files or to a group above."""
        import h5py

        seen: set[Any] = set()
        groups = [("", handle, 0)]
        while groups:
            path, group, depth = groups.pop()
            for name in group:
                key = f"{path}/{name}"
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    self.left_out[_shown(key)] = (
                        f"{self.where(key)} is a link, which is not followed. Name the data set that it leads to."
                    )
                    continue
                found = group[name]
                address = h5py.h5o.get_info(found.id).addr
                if address in seen or len(seen) > MOST_OBJECTS:
                    continue
                seen.add(address)
                if isinstance(found, h5py.Dataset):
                    yield _shown(key), found
                elif isinstance(found, h5py.Group) and depth < DEEPEST and self.has_data(name, found):
                    groups.append((key, found, depth + 1))

    def has_data(self, name: str, group: Any) -> bool:
        """Whether the data sets of a group are searched."""
        return True

    def _list(self, key: str, found: Any) -> None:
        """List a data set, or why it cannot be used."""
        import h5py

        why = ""
        dtype, extra = found.dtype.subdtype or (found.dtype, ())
        text = h5py.check_string_dtype(dtype)
        if found.is_virtual or found.external:
            why = "takes its values from other files, which are not opened"
        elif found.shape is None or not found.shape:
            why = "is a single value"
        elif text is not None and text.length is None:
            dtype = np.dtype("U") if math.prod(found.shape) == max(found.shape) else dtype
        why = why or self.why_not(found)
        if not why and dtype.kind not in "buifUS":
            why = f"holds values of type {str(dtype)[:60]}, but real numbers are required"
        if why:
            self.left_out[key] = f"{self.where(key)} {why}. Copy the values into a data set of numbers."
            return
        self.add(key, self.info(found, (*found.shape, *extra), np.dtype(dtype.str)))

    def why_not(self, found: Any) -> str:
        """Why a data set is no array of numbers, if its attributes say so."""
        return ""

    def info(self, found: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Info:
        """What is known of a data set."""
        axes = tuple(_text(label) for label in found.attrs.get("DIMENSION_LABELS", ()))
        return Info(shape, dtype, axes if any(axes) else (), found.chunks[0] if found.chunks else 0)

    def read(self, key: str) -> Array:
        """One array."""
        info = self.arrays[key]
        if info.dtype.kind == "U":
            return self._texts(key)
        self.check_arrays(key)
        return self.rows(key, 0, info.shape[0])

    def rows(self, key: str, start: int, stop: int) -> Array:
        """The rows ``start`` to ``stop``."""
        with self._opened() as handle:
            found = handle[key]
            self._check_chunks(key, found, start, stop)
            return self.values(found, start, stop).astype(self.arrays[key].dtype, copy=False)

    def values(self, found: Any, start: int, stop: int) -> Array:
        """The rows of a data set."""
        return np.asarray(found[start:stop])

    def _check_chunks(self, key: str, found: Any, start: int, stop: int) -> None:
        """Refuse chunks that are larger than the file allows, or that expand to more than a chunk.

        Raises:
            BadData: a chunk is like a decompression bomb.
        """
        if not found.chunks:
            return
        whole = math.prod(found.chunks) * found.dtype.itemsize
        check_growth(whole, self.file.packed, f"A chunk of {self.where(key)}")
        plan = found.id.get_create_plist()
        deflated = [plan.get_filter(n)[0] for n in range(plan.get_nfilters())].count(DEFLATE_FILTER)
        if deflated > 1:
            raise BadData(f"{self.where(key)} is compressed twice. Save it with one gzip filter.")
        if key not in self._suspect:
            sizes = [0]
            if deflated:
                found.id.chunk_iter(lambda chunk: sizes.append(max(sizes.pop(), chunk.size)))
            self._suspect[key] = may_burst(sizes[-1])
        if self._suspect[key]:
            offsets: list[tuple[int, ...]] = []
            found.id.chunk_iter(lambda chunk: offsets.append(chunk.chunk_offset))
            for offset in offsets:
                first = offset[self.row_axis]
                if first < stop and first + found.chunks[self.row_axis] > start:
                    _, data = found.id.read_direct_chunk(offset)
                    # some bytes more, for the checksum that a filter may add
                    check_inflated(BytesIO(data), len(data), f"A chunk of {self.where(key)}", whole + PIECE)

    def _texts(self, key: str) -> Array:
        """Texts of variable length, a bounded number of bytes at a time.

        Raises:
            BadData: they are too long for labels.
        """
        count = math.prod(self.arrays[key].shape)
        texts: list[str] = []
        with self._opened() as handle:
            found = handle[key]
            self._check_chunks(key, found, 0, count)
            if count > self.file.size:
                raise BadData(f"{self.where(key)} declares {count:,} texts, more than the file has bytes.")
            flat = found.shape.index(max(found.shape))
            step = max(1, min(PIECE, 2**28 // max(1, self.file.size)))
            for start in range(0, count, step):
                where = tuple(slice(start, start + step) if axis == flat else 0 for axis in range(found.ndim))
                texts += [_text(value) for value in np.asarray(found[where]).reshape(-1).tolist()]
        longest = max(map(len, texts), default=1)
        if longest > LONGEST_TEXT:
            raise BadData(f"{self.where(key)} holds a text of {longest:,} characters, which is no label.")
        return np.array(texts, f"U{max(1, longest)}")


def _shown(key: str) -> str:
    """The path of a data set, or its name alone if it is in no group."""
    return key[1:] if key.count("/") == 1 else key


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
