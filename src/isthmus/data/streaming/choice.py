"""Opening of a path or an array as a source, and the choice between streaming and reading into memory."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from isthmus.data.base import Dataset
from isthmus.data.formats.arrays import is_8bit, make_dataset
from isthmus.data.formats.files import LARGEST, check_inside, check_size, reading
from isthmus.data.streaming.image_folder import Pictures
from isthmus.data.streaming.lazy import READ
from isthmus.data.streaming.parquet import ParquetFile
from isthmus.data.streaming.sources import ArraySource, Joined, NumpyFile, Source, row_bytes
from isthmus.errors import BadData, IsthmusError
from isthmus.options import DataOptions

MEMORY_DIVISOR = 4
"""Data larger than the machine's memory divided by this is streamed."""
STREAMABLE = "a .npy or .parquet file, a folder of either, or a folder of images"


def open_source(path: Path, options: DataOptions) -> Source | None:
    """The source of a path, or ``None`` if the path does not exist or its format cannot be streamed.

    Raises:
        BadData: the file is damaged, or its values are not supported.
    """
    with reading(path, "a file or folder"):
        folder, suffix = path.is_dir(), path.suffix.lower()
        if not folder and not path.is_file():
            return None
        names = sorted(entry.name for entry in os.scandir(path)) if folder else []
    if not folder:
        return _file(path, suffix, options)
    for extension in (".npy", ".parquet"):
        found = [path / name for name in names if name.lower().endswith(extension) and not name.startswith(".")]
        if found and (options.labels is None or extension == ".parquet"):
            for file in found:
                check_inside(file, path)
            return Joined(path.name, [source for file in found if (source := _file(file, extension, options))])
    idx = any(name.endswith(("-ubyte", "-ubyte.gz")) for name in names)
    return None if idx or options.labels is not None else Pictures(path)


def _file(path: Path, suffix: str, options: DataOptions) -> Source | None:
    if suffix == ".npy" and options.labels is None:
        return NumpyFile(path)
    return ParquetFile(path, options.labels) if suffix == ".parquet" else None


def source_if_streamed(data: object, options: DataOptions) -> Source | None:
    """The source of data that is to be streamed, or ``None`` if it is to be read into memory.

    Args:
        data: a path, or an array that is in memory or memory-mapped.
        options: options of the data; ``memory`` decides.

    Raises:
        BadData: ``data.memory=stream`` is set, and the format cannot be streamed.
    """
    if options.memory == "whole":
        return None
    source: Source | None = None
    if isinstance(data, Path):
        try:
            source = open_source(data, options)
        except IsthmusError:
            # with data.memory=auto the reader into memory raises its own error
            if options.memory == "stream":
                raise
    elif isinstance(data, np.ndarray | Tensor):
        array = data.numpy() if isinstance(data, Tensor) else data
        source = ArraySource(array) if array.ndim > 1 and array.size else None
    if options.memory == "stream":
        if source is None:
            name = data.name if isinstance(data, Path) else "this data"
            raise BadData(f"{name!r} cannot be streamed (data.memory=stream). Use {STREAMABLE}, or leave it out.")
        return source
    return source if source is not None and bytes_in_memory(source) > memory_limit() else None


def bytes_in_memory(source: Source) -> int:
    """Size of all examples as 32-bit numbers, in bytes."""
    return len(source) * (row_bytes(source) // source.dtype.itemsize) * 4


def memory_limit() -> int:
    """Size in bytes above which data is streamed: a quarter of this machine's memory, or 8 GiB if that is less."""
    return min(LARGEST, machine_memory() // MEMORY_DIVISOR)


def machine_memory() -> int:
    """Memory of this machine in bytes, or the limit of its container."""
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return MEMORY_DIVISOR * LARGEST
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return physical
    return min(physical, int(limit)) if limit.isdigit() else physical


def read_all(source: Source, path: Path, options: DataOptions) -> Dataset:
    """All of a source as a data set in memory; examples that cannot be decoded are left out and listed in it.

    Raises:
        BadData: it is too large, or no example can be decoded.
    """
    check_size(len(source) * row_bytes(source), repr(path.name))
    values, faults = source.read(0, len(source))
    rows = np.delete(np.arange(len(source)), list(faults))
    labels = source.labels(rows)
    known = {} if labels is None else {"train": labels}
    undecodable = tuple((source.locate(row), why) for row, why in faults.items())
    if not len(rows):
        location, why = undecodable[0]
        raise BadData(f"No example in {path.name!r} can be decoded; the first is {location}: {why}. Check the files.")
    dataset = make_dataset(path, {"train": values[rows]}, known, source.files(), shape=options.shape)
    return replace(dataset, train=replace(dataset.train, rows=rows), undecodable=undecodable)


def is_8bit_source(source: Source) -> bool:
    """Whether a source holds 8-bit brightness: unsigned bytes, some of them above 1."""
    if source.dtype != np.uint8:
        return False
    step = max(1, READ // row_bytes(source))
    starts = range(0, len(source), step)
    return any(is_8bit([source.read(start, min(start + step, len(source))).values]) for start in starts)
