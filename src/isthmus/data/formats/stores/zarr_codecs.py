"""Codecs of Zarr chunks, each bounded by the size that the chunk must have."""

import bz2
import lzma
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.errors import BadData, MissingExtra

SLACK = 2**16
"""Bytes that a compressed chunk may exceed its values by, between several compressions."""
FILTERS = {"shuffle", "delta", "fixedscaleoffset", "bitround", "quantize", "packbits"}
"""Filters of numcodecs that only rearrange or rescale values."""
ZSTD, BLOSC_HEADER = b"\x28\xb5\x2f\xfd", 16
Codec = Mapping[str, Any]


def unpacked(kind: str, data: bytes, limit: int) -> bytes:
    """The bytes of compressed ones; never more than ``limit``.

    Raises:
        BadData: they expand to more, or the compression is not known.
    """
    if kind == "gzip":
        return _bounded(zlib.decompressobj(31), data, limit)
    if kind == "zlib":
        return _bounded(zlib.decompressobj(), data, limit)
    if kind == "bz2":
        return _bounded(bz2.BZ2Decompressor(), data, limit)
    if kind == "lzma":
        return _bounded(lzma.LZMADecompressor(memlimit=2**28), data, limit)
    if kind == "crc32c":
        return data[:-4]
    if kind in ("blosc", "zstd", "lz4"):
        return _unpacked_by_numcodecs(kind, data, limit)
    raise BadData(f"it is compressed with {kind[:40]!r}, which is not supported. Save it with gzip, zstd or blosc")


def _bounded(decoder: Any, data: bytes, limit: int) -> bytes:
    result: bytes = decoder.decompress(data, limit + 1)
    _check(len(result), limit)
    return result


def _check(size: int, limit: int) -> None:
    if size > limit:
        raise BadData(
            f"it expands to more than the {limit:,} bytes of a chunk, as a decompression bomb does. Create it again"
        )


def _unpacked_by_numcodecs(kind: str, data: bytes, limit: int) -> bytes:
    """Decompression by numcodecs, after the size that it allocates was checked."""
    try:
        import numcodecs
    except ImportError as fault:
        raise MissingExtra(
            "Reading Zarr chunks requires numcodecs, which is not installed. Install it with "
            "pip install 'isthmus[arrays]'."
        ) from fault
    if kind == "zstd":
        size = _zstd_size(data)
        _check(size or 0, limit)
        target = np.empty(limit, np.uint8) if size is None else None
        return bytes(memoryview(numcodecs.zstd.decompress(data, target)))
    if kind == "lz4":
        _check(int.from_bytes(data[:4], "little"), limit)
        return bytes(memoryview(numcodecs.lz4.decompress(data)))
    size, packed = struct.unpack("<4xI4xI", data[:BLOSC_HEADER])
    _check(size, limit)
    if packed != len(data):
        raise BadData(f"it declares {packed:,} compressed bytes, but has {len(data):,}. Create it again")
    return bytes(memoryview(numcodecs.blosc.decompress(data)))


def _zstd_size(data: bytes) -> int | None:
    """The size that the first frame declares, or ``None`` if it does not.

    >>> _zstd_size(ZSTD + bytes([0x20, 7]))
    7
    """
    if data[:4] != ZSTD or len(data) < 6:
        raise BadData("it is not a frame of zstd. Create it again")
    flags = data[4]
    single = flags >> 5 & 1
    width = (single, 2, 4, 8)[flags >> 6]
    start = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    if not width:
        return None
    return int.from_bytes(data[start : start + width], "little") + (256 if width == 2 else 0)


def decoded(codecs: Sequence[Codec], data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The values of a chunk of Zarr version 3.

    Args:
        codecs: name and configuration of each, in the order of encoding.
        data: the stored bytes.
        shape: shape of the chunk.
        dtype: data type in the machine's byte order.

    Raises:
        BadData: the bytes do not fit the shape, or a codec is not known.
    """
    expected = int(np.prod(shape)) * dtype.itemsize
    order: tuple[int, ...] = tuple(range(len(shape)))
    first = next((n for n, codec in enumerate(codecs) if codec["name"] in ("bytes", "sharding_indexed")), None)
    if first is None or any(codec["name"] != "transpose" for codec in codecs[:first]):
        names = ", ".join(str(codec["name"])[:40] for codec in codecs)
        raise BadData(f"it has the codecs {names}, which are not supported. Save it with the default codecs of Zarr")
    for codec in codecs[:first]:
        turned = tuple(int(axis) for axis in codec["configuration"]["order"])
        order = tuple(order[axis] for axis in turned)
    stored_shape = tuple(shape[axis] for axis in order)
    sharded = codecs[first]["name"] == "sharding_indexed"
    packing = codecs[first + 1 :]
    for place, codec in reversed(list(enumerate(packing))):
        exact = place == 0 and not sharded
        data = unpacked(str(codec["name"]), data, expected if exact else 2 * expected + SLACK)
    configuration = codecs[first].get("configuration") or {}
    if sharded:
        values = _unsharded(configuration, data, stored_shape, dtype)
    else:
        values = from_bytes(data, stored_shape, dtype.newbyteorder(_order(configuration)))
    return values.transpose(np.argsort(order)) if order != tuple(range(len(shape))) else values


def _order(configuration: Codec) -> Any:
    return ">" if configuration.get("endian") == "big" else "<"


def from_bytes(data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any], order: str = "C") -> Array:
    """Bytes as an array.

    Raises:
        BadData: their number does not fit the shape.
    """
    expected = int(np.prod(shape)) * dtype.itemsize
    if len(data) != expected:
        raise BadData(f"it has {len(data):,} bytes, but its shape {shape} requires {expected:,}. Create it again")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _unsharded(configuration: Codec, data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The values of a shard: chunks one after another, with an index of where each lies."""
    inner = tuple(int(length) for length in configuration["chunk_shape"])
    if len(inner) != len(shape) or min(inner, default=1) < 1 or any(n % m for n, m in zip(shape, inner, strict=True)):
        raise BadData(f"its chunks of {inner} do not fit into shards of {shape}. Create it again")
    grid = tuple(n // m for n, m in zip(shape, inner, strict=True))
    size = 16 * int(np.prod(grid))
    codecs = configuration["index_codecs"]
    length = size + 4 * sum(codec["name"] == "crc32c" for codec in codecs)
    packed = data[:length] if configuration.get("index_location") == "start" else data[-length:]
    index = decoded(codecs, packed, (*grid, 2), np.dtype(np.uint64)).reshape(-1, 2)
    values = np.zeros(shape, dtype)
    for number, (start, count) in enumerate(index.tolist()):
        if start == count == 2**64 - 1:
            continue
        corner = np.unravel_index(number, grid)
        where = tuple(slice(int(i) * m, (int(i) + 1) * m) for i, m in zip(corner, inner, strict=True))
        values[where] = decoded(configuration["codecs"], data[start : start + count], inner, dtype)
    return values


def decoded_v2(meta: Mapping[str, Any], data: bytes, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """The values of a chunk of Zarr version 2, by the metadata of its array.

    Raises:
        BadData: the bytes do not fit the shape, or a codec is not known.
    """
    expected = int(np.prod(shape)) * dtype.itemsize
    filters = list(meta.get("filters") or ())
    unknown = [str(step.get("id"))[:40] for step in filters if step.get("id") not in FILTERS]
    if unknown:
        raise BadData(f"it has the filter {unknown[0]!r}, which is not supported. Save it without filters")
    if meta.get("compressor"):
        limit = 8 * expected if filters else expected
        data = unpacked(str(meta["compressor"]["id"]), data, limit)
    if filters:
        import numcodecs

        values: Any = data
        for step in reversed(filters):
            values = numcodecs.get_codec(dict(step)).decode(values)
        data = np.ascontiguousarray(values).tobytes()
    return from_bytes(data, shape, dtype, str(meta.get("order", "C")))
