"""Readers of binary arrays: ``.npy``, ``.npz`` and IDX.

Every size in a header is compared with the size of the file before memory is allocated, and nothing is unpickled.
Arrays are interpreted (images, tables, labels) in ``arrays.py``.
"""

import math
import struct
import warnings
import zipfile
from typing import IO, Any, NamedTuple

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth, check_size, reading
from isthmus.data.storage.base import File
from isthmus.errors import BadData

IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
PIECE = 2**24
"""Bytes that are read at a time."""
LONGEST_HEADER = 10_000
"""Largest header of a .npy array, in bytes: NumPy's own limit, which NumPy checks only after reading."""
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods that NumPy writes."""
AGAIN = "Save it again as a numeric array with numpy.save."


class NotNumbers(BadData):
    """An array of Python objects, dates or records, which is not damaged but cannot be used."""


def read_npy(file: File) -> Array:
    """The array of a ``.npy`` file.

    Raises:
        BadData: the file is damaged, holds a pickle, or is too large.
    """
    with reading(file.name, "a .npy array"), file.open() as stream:
        _check_header(stream, file.size, repr(file.name))
        stream.seek(0)
        return _values(stream)


def npy_layout(file: File) -> tuple[tuple[int, ...], np.dtype[Any], int, bool]:
    """Shape, data type, offset of the values in bytes, and whether the order is Fortran, of a ``.npy`` file.

    Raises:
        BadData: the file is damaged or holds a pickle.
    """
    with reading(file.name, "a .npy array"), file.open() as stream:
        shape, by_column, dtype = _header(stream, file.size, repr(file.name), bounded=False)
        return shape, dtype, stream.tell(), by_column


def read_npz(file: File) -> dict[str, Array]:
    """All arrays of a ``.npz`` file by key.

    Raises:
        BadData: the file is damaged, holds a pickle or a member that is not an array, or is too large.
    """
    with reading(file.name, "a .npz archive"), file.open() as raw, zipfile.ZipFile(raw) as archive:
        found, refused = npz_layout(archive, file.name)
        for why in refused.values():
            raise BadData(why)
        # compared with the whole file, because all members of a zip bomb may share the same few bytes
        total = sum(math.prod(shape) * dtype.itemsize for shape, dtype, _ in found.values())
        check_growth(total, file.packed, repr(file.name))
        return {key: read_npz_member(archive, key) for key in found}


class NpzMember(NamedTuple):
    """An array of a ``.npz`` file.

    Attributes:
        shape: its shape.
        dtype: its data type.
        start: position of its values in its member, if they can be read by rows: neither compressed nor by column.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int | None


def npz_layout(archive: zipfile.ZipFile, name: str) -> tuple[dict[str, NpzMember], dict[str, str]]:
    """The arrays of a ``.npz`` file by key, and why other members are no arrays of numbers or texts.

    Raises:
        BadData: the header of an array is damaged, or does not fit the size of its member.
    """
    found: dict[str, NpzMember] = {}
    refused = {}
    for item in archive.infolist():
        key = item.filename.removesuffix(".npy")
        if not item.filename.endswith(".npy") or item.compress_type not in PACKED:
            refused[key] = f"{name!r} holds {item.filename[:60]!r}, which is not an array. Save it with numpy.savez."
            continue
        try:
            with archive.open(item) as stream:
                shape, by_column, dtype = _header(stream, item.file_size, f"{key!r} in {name!r}", bounded=False)
                plain = item.compress_type == zipfile.ZIP_STORED and not by_column
                found[key] = NpzMember(shape, dtype, stream.tell() if plain else None)
        except NotNumbers as error:
            refused[key] = str(error)
    return found, refused


def read_npz_member(archive: zipfile.ZipFile, key: str) -> Array:
    """One array of a ``.npz`` file whose header was checked."""
    with archive.open(f"{key}.npy") as stream:
        return _values(stream)


def _values(stream: IO[bytes]) -> Array:
    with warnings.catch_warnings():
        # NumPy warns about headers written by Python 2, but reads them correctly
        warnings.simplefilter("ignore")
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _check_header(stream: IO[bytes], size: int, where: str) -> int:
    """Check the header of one array against the ``size`` of its file; return the size of the array in bytes."""
    shape, _, dtype = _header(stream, size, where, bounded=True)
    return math.prod(shape) * dtype.itemsize


def _header(stream: IO[bytes], size: int, where: str, *, bounded: bool) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and data type of one array, whose values must fill the rest of ``size`` bytes."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise BadData(f"{where} is a .npy file of version {version}, but only 1.0 and 2.0 are supported. {AGAIN}")
    start, width = stream.tell(), 2 if version == (1, 0) else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > LONGEST_HEADER:
        raise BadData(f"{where} has a header of {length:,} bytes, but at most {LONGEST_HEADER:,} are read. {AGAIN}")
    stream.seek(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape, by_column, dtype = readers[version](stream)
    if dtype.hasobject:
        raise NotNumbers(f"{where} holds a pickle (Python objects); Isthmus never loads pickled data. {AGAIN}")
    if dtype.kind not in "buifUS":
        raise NotNumbers(f"{where} holds values of type {dtype}, but real numbers are required. Convert them first.")
    if any(length < 0 for length in shape):
        raise BadData(f"{where} has a damaged header: its shape is {shape}. Create the file again.")
    needed = math.prod(shape) * dtype.itemsize
    if bounded:
        check_size(needed, where)
    available = size - stream.tell()
    if needed != available:
        declared = f"{needed:,}" if needed < 2**63 else "over 2^63"
        raise BadData(
            f"The header of {where} declares {declared} bytes of values (shape {str(shape)[:80]}, {dtype}), but the "
            f"file has {available:,}. The file is truncated or damaged; create it again."
        )
    return shape, by_column, dtype


def read_idx(file: File) -> Array:
    """The array of an IDX file.

    Format: two zero bytes, a type code, the number of axes, the length of each axis as a 32-bit integer, then the
    values, all big-endian.

    Raises:
        BadData: the magic number, type code or sizes are wrong, or bytes are missing or in excess.
    """
    with reading(file.name, "an IDX file"), file.open() as stream:
        return _idx_values(stream, file.name, file.packed if file.compression else None)


def _idx_values(stream: IO[bytes], name: str, packed: int | None) -> Array:
    """The array in a stream; ``packed`` is the size of its file in bytes if it is compressed."""
    magic = _exactly(stream, 4, name)
    if magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or magic[3] == 0:
        raise BadData(
            f"{name!r} does not start like an IDX file: its first bytes are {magic.hex(' ')}, but 00 00, a type code "
            "08 to 0e and the number of axes are required. Check that it is the right file."
        )
    shape = struct.unpack(f">{magic[3]}I", _exactly(stream, 4 * magic[3], name))
    dtype = np.dtype(IDX_TYPES[magic[2]])
    needed = math.prod(shape) * dtype.itemsize
    check_size(needed, repr(name))
    if packed is not None:
        check_growth(needed, packed, repr(name))
    values = np.frombuffer(_exactly(stream, needed, name), dtype)
    if stream.read(1):
        raise BadData(
            f"{name!r} has extra bytes after its {needed:,} bytes of values (shape {shape}). "
            "Its header or its contents are damaged; create it again."
        )
    return values.astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _exactly(stream: IO[bytes], count: int, name: str) -> bytearray:
    """``count`` bytes, read in chunks, so that a wrong header does not cause a large allocation."""
    data = bytearray()
    while len(data) < count:
        chunk = stream.read(min(PIECE, count - len(data)))
        if not chunk:
            raise BadData(
                f"{name!r} is truncated: {count:,} bytes are required, but {len(data):,} are left. "
                "Download or create the file again."
            )
        data += chunk
    return data
