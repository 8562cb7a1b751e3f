"""MATLAB files of versions 4 to 7, read by their specification.

SciPy, which reads them too, ends the process on some damaged files, and inflates whatever an element declares.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import reading
from isthmus.data.formats.stores.base import ArrayStore, Info
from isthmus.data.storage.base import File
from isthmus.errors import BadData

Order = Literal["<", ">"]
MATRIX, COMPRESSED, UTF8, UTF16 = 14, 15, 16, 17
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Data type of the values of an element, by its type code."""
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""Data type of a class, which decides it, and not the smaller type in which MATLAB stores whole numbers."""
OTHERS = {1: "cell", 2: "struct", 3: "object", 5: "sparse", 16: "function", 17: "object"}
CHAR, OPAQUE = 4, 17
OLD_NUMBERS = ("f8", "f4", "i4", "i2", "u2", "u1")
"""Data types of version 4."""
LONGEST_NAME, MOST_AXES, LONGEST_TEXT, PIECE = 4096, 32, 1000, 2**20


@dataclass(frozen=True)
class _Matrix:
    """Where an array lies, and what its header says."""

    offset: int
    order: Order
    kind: int = 0
    packed: int = 0
    stored: str = ""


class _Inflated:
    """The bytes of a compressed element, inflated as far as they are read."""

    def __init__(self, stream: IO[bytes], packed: int) -> None:
        self.stream, self.left, self.decoder, self.ready = stream, packed, zlib.decompressobj(), b""

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes."""
        parts, missing = [], count
        while missing > 0 and not self.decoder.eof:
            if not self.ready:
                self.ready = self.stream.read(min(PIECE, self.left))
                self.left -= len(self.ready)
                if not self.ready:
                    break
            parts.append(self.decoder.decompress(self.ready, min(missing, PIECE)))
            self.ready = self.decoder.unconsumed_tail
            missing -= len(parts[-1])
        return b"".join(parts)


class MatlabStore(ArrayStore):
    """The arrays of a ``.mat`` file of version 4 to 7; cells, structures, sparse matrices and objects are left out.

    Raises:
        BadData: the file is damaged.
    """

    kind = "a MATLAB file"
    packs = True

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self._matrices: dict[str, _Matrix] = {}
        with reading(self.name, self.kind), file.open() as stream:
            head = stream.read(128)
            if len(head) < 20:
                raise BadData(f"{self.name!r} has {len(head)} bytes, which is no MATLAB file. Create it again.")
            if 0 in head[:4]:
                self._list_old(stream)
            elif len(head) == 128 and head[126:] in (b"IM", b"MI"):
                self._list(stream, "<" if head[126:] == b"IM" else ">")
            else:
                raise BadData(f"{self.name!r} does not start like a MATLAB file. Check that it is one.")

    def _list(self, stream: IO[bytes], order: Order) -> None:
        """List the elements of a file of version 5 to 7."""
        position = 128
        while position < self.file.size:
            stream.seek(position)
            kind, size = struct.unpack(f"{order}II", _exactly(stream, 8))
            if position + 8 + size > self.file.size:
                raise BadData(
                    f"{self.name!r} is truncated: an element of {size:,} bytes ends behind it. Create it again."
                )
            source: Any = _Inflated(stream, size) if kind == COMPRESSED else stream
            inner = struct.unpack(f"{order}II", _exactly(source, 8))[0] if kind == COMPRESSED else kind
            if inner == MATRIX:
                self._list_matrix(source, _Matrix(position, order, packed=size if kind == COMPRESSED else 0))
            position += 8 + size

    def _list_matrix(self, source: Any, found: _Matrix) -> None:
        kind, is_complex, shape, name = _header(source, found.order)
        if not name:
            # what objects refer to
            return
        if kind == CHAR and shape[-1] <= LONGEST_TEXT and len(shape) == 2:
            self.add(name, Info(shape[:1], np.dtype(f"U{max(1, shape[-1])}")))
        elif kind in CLASSES and not is_complex:
            self.add(name, Info(shape, np.dtype(CLASSES[kind])))
        else:
            what = "complex" if is_complex else OTHERS.get(kind, f"number {kind}")
            self.left_out[name] = (
                f"{self.where(name)} is of the class {what}, but an array of real numbers is required. Save it as a "
                "full matrix."
            )
            return
        self._matrices[name] = _Matrix(found.offset, found.order, kind, found.packed)

    def _list_old(self, stream: IO[bytes]) -> None:
        """List the matrices of a file of version 4."""
        position = 0
        while position < self.file.size:
            stream.seek(position)
            head = _exactly(stream, 20)
            order: Order = "<" if 0 <= struct.unpack("<i", head[:4])[0] < 5000 else ">"
            code, rows, columns, imaginary, length = struct.unpack(f"{order}5i", head)
            stored = code // 10 % 10
            if (
                not 0 <= code < 5000
                or stored >= len(OLD_NUMBERS)
                or not 0 < length < LONGEST_NAME
                or min(rows, columns) < 0
            ):
                raise BadData(f"{self.name!r} has a damaged header at byte {position:,}. Create it again.")
            name = _exactly(stream, length).rstrip(b"\0").decode("latin-1")
            size = rows * columns * np.dtype(OLD_NUMBERS[stored]).itemsize * (2 if imaginary else 1)
            start = position + 20 + length
            position = start + size
            if position > self.file.size:
                raise BadData(
                    f"{self.name!r} is truncated: a matrix of {size:,} bytes ends behind it. Create it again."
                )
            if code % 10 == 0 and not imaginary:
                self.add(name, Info((rows, columns), np.dtype(np.float64)))
                self._matrices[name] = _Matrix(start, order, stored=OLD_NUMBERS[stored])
            else:
                self.left_out[name] = f"{self.where(name)} is a text, sparse or complex. Save it as a full matrix."

    def read(self, key: str) -> Array:
        """One array."""
        self.check_arrays(key)
        found, info = self._matrices[key], self.arrays[key]
        with reading(self.name, self.kind), self.file.open() as stream:
            stream.seek(found.offset)
            if found.stored:
                return _numbers(stream, found.order + found.stored, info.shape, math.prod(info.shape)).astype(
                    info.dtype
                )
            stream.seek(found.offset + 8)
            source: Any = _Inflated(stream, found.packed) if found.packed else stream
            if found.packed:
                _exactly(source, 8)
            shape = _header(source, found.order)[2]
            kind, size, data = _tag(source, found.order)
            source = _Small(data) if data is not None else source
            if found.kind == CHAR:
                return self._texts(source, kind, size, shape, found.order)
            if kind not in NUMBERS or size != math.prod(shape) * np.dtype(NUMBERS[kind]).itemsize:
                raise BadData(
                    f"{self.where(key)} has {size:,} bytes of type {kind} for the shape {shape}. Create it again."
                )
            return _numbers(source, found.order + NUMBERS[kind], shape, math.prod(shape)).astype(info.dtype, copy=False)

    def _texts(self, source: Any, kind: int, size: int, shape: tuple[int, ...], order: Order) -> Array:
        """The rows of a matrix of characters."""
        count = math.prod(shape)
        if kind not in (UTF8, UTF16, *NUMBERS) or size > 4 * count:
            raise BadData(f"{self.name!r} has {size:,} bytes for {count:,} characters. Create it again.")
        data = _exactly(source, size)
        if kind in (UTF8, UTF16):
            text = data.decode("utf-8" if kind == UTF8 else "utf-16-le" if order == "<" else "utf-16-be", "replace")
        else:
            text = "".join(map(chr, np.frombuffer(data, order + NUMBERS[kind]).tolist()))
        rows = np.array(list(text.ljust(count)[:count]), "U1").reshape(shape, order="F")
        return np.array(["".join(row).rstrip() for row in rows.tolist()], f"U{max(1, shape[-1])}")


class _Small:
    """The bytes of an element that lie in its own header."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, count: int) -> bytes:
        """The first bytes."""
        return self.data[:count]


def _header(source: Any, order: Order) -> tuple[int, bool, tuple[int, ...], str]:
    """Class, whether it is complex, shape and name of a matrix.

    Raises:
        ValueError: one of them is absurd.
    """
    flags = struct.unpack(f"{order}II", _element(source, order, 8))[0]
    kind = flags & 255
    shape: tuple[int, ...] = ()
    if kind != OPAQUE:
        data = _element(source, order, 4 * MOST_AXES)
        shape = struct.unpack(f"{order}{len(data) // 4}i", data[: len(data) // 4 * 4])
        if len(shape) < 2 or min(shape) < 0:
            raise ValueError(f"a matrix has the shape {shape}")
    return kind, bool(flags >> 11 & 1), shape, _element(source, order, LONGEST_NAME).decode("utf-8", "replace")


def _tag(source: Any, order: Order) -> tuple[int, int, bytes | None]:
    """Type code and size of an element; and its bytes if there are at most four, which lie in the tag."""
    data = _exactly(source, 8)
    first, size = struct.unpack(f"{order}II", data)
    if first >> 16:
        return first & 0xFFFF, first >> 16, data[4:]
    return first, size, None


def _element(source: Any, order: Order, most: int) -> bytes:
    """The bytes of an element of at most ``most`` bytes, which are filled up to multiples of eight.

    Raises:
        ValueError: it is longer.
    """
    _, size, data = _tag(source, order)
    if size > most:
        raise ValueError(f"an element of a matrix has {size:,} bytes, but at most {most:,} are allowed")
    if data is not None:
        return data[:size]
    return _exactly(source, size + -size % 8)[:size]


def _numbers(source: Any, dtype: str, shape: tuple[int, ...], count: int) -> Array:
    data = _exactly(source, count * np.dtype(dtype).itemsize)
    return np.frombuffer(data, dtype).reshape(shape, order="F")


def _exactly(source: Any, count: int) -> bytes:
    """``count`` bytes.

    Raises:
        ValueError: there are fewer.
    """
    data: bytes = source.read(count)
    if len(data) != count:
        raise ValueError(f"a matrix is truncated: {count:,} bytes are required, but {len(data):,} are left")
    return data
