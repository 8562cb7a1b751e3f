"""From a path or an array to a source, and whether it is streamed or read into memory."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from isthmus.data.arrays import assembled, bright
from isthmus.data.base import Dataset
from isthmus.data.files import LARGEST, check_inside, check_size, reading
from isthmus.data.parquet import ParquetFile
from isthmus.data.pictures import Pictures
from isthmus.data.sources import ArraySource, Joined, NumpyFile, Source, row_bytes
from isthmus.data.stored import READ
from isthmus.errors import BadData, IsthmusError
from isthmus.options import DataOptions

SHARE = 4
"""Data that takes more than the machine's memory divided by this is streamed."""
STREAMABLE = "a .npy or .parquet file, a folder of either, or a folder of images"


def opened(path: Path, options: DataOptions) -> Source | None:
    """The source behind a path, or ``None`` where there is no such path or its format can only be read whole.

    Raises:
        BadData: the file is damaged, or holds what no model can take.
    """
    with reading(path, "a file or folder"):
        folder, suffix = path.is_dir(), path.suffix.lower()
        if not folder and not path.is_file():
            return None
        names = sorted(entry.name for entry in os.scandir(path)) if folder else []
    if not folder:
        return _file(path, suffix, options)
    for ending in (".npy", ".parquet"):
        found = [path / name for name in names if name.lower().endswith(ending) and not name.startswith(".")]
        if found and (options.labels is None or ending == ".parquet"):
            for file in found:
                check_inside(file, path)
            return Joined(path.name, [source for file in found if (source := _file(file, ending, options))])
    plain = any(name.endswith(("-ubyte", "-ubyte.gz")) for name in names)
    return None if plain or options.labels is not None else Pictures(path)


def _file(path: Path, suffix: str, options: DataOptions) -> Source | None:
    if suffix == ".npy" and options.labels is None:
        return NumpyFile(path)
    return ParquetFile(path, options.labels) if suffix == ".parquet" else None


def streamed(data: object, options: DataOptions) -> Source | None:
    """The source of data that is to be streamed, or ``None`` where it is to be read whole.

    Args:
        data: a path, or an array that is in memory or mapped into it.
        options: of the data; ``memory`` decides.

    Raises:
        BadData: streaming is asked for, and the format cannot be streamed.
    """
    if options.memory == "whole":
        return None
    source: Source | None = None
    if isinstance(data, Path):
        try:
            source = opened(data, options)
        except IsthmusError:
            # where streaming was not asked for, the reader of the whole refuses in its own words
            if options.memory == "stream":
                raise
    elif isinstance(data, np.ndarray | Tensor):
        array = data.numpy() if isinstance(data, Tensor) else data
        source = ArraySource(array) if array.ndim > 1 and array.size else None
    if options.memory == "stream":
        if source is None:
            name = data.name if isinstance(data, Path) else "this data"
            raise BadData(f"{name!r} cannot be streamed (data.memory=stream). Give {STREAMABLE}, or leave it out.")
        return source
    return source if source is not None and in_memory(source) > bound() else None


def in_memory(source: Source) -> int:
    """Bytes of all examples as 32-bit numbers."""
    return len(source) * (row_bytes(source) // source.dtype.itemsize) * 4


def bound() -> int:
    """Bytes above which data is streamed: a quarter of the memory of this machine, or 8 GiB."""
    return min(LARGEST, machine_memory() // SHARE)


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container that confines the process."""
    try:
        here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return SHARE * LARGEST
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return here
    return min(here, int(limit)) if limit.isdigit() else here


def whole(source: Source, path: Path, options: DataOptions) -> Dataset:
    """All of a source as a data set in memory; what cannot be decoded is left out, with its place, or refused.

    Raises:
        BadData: it is too large, or holds no example that can be decoded.
    """
    check_size(len(source) * row_bytes(source), repr(path.name))
    values, faults = source.read(0, len(source))
    rows = np.delete(np.arange(len(source)), list(faults))
    labels = source.labels(rows)
    known = {} if labels is None else {"train": labels}
    lost = tuple((source.place(row), why) for row, why in faults.items())
    if not len(rows):
        raise BadData(f"No example in {path.name!r} can be decoded; the first is {lost[0][0]}: {lost[0][1]}.")
    made = assembled(path, {"train": values[rows]}, known, source.files(), shape=options.shape)
    return replace(made, train=replace(made.train, rows=rows), lost=lost)


def is_bright(source: Source) -> bool:
    """Whether values are 8-bit brightness: unsigned bytes of which some exceed 1."""
    if source.dtype != np.uint8:
        return False
    step = max(1, READ // row_bytes(source))
    return any(bright([source.read(at, min(at + step, len(source))).values]) for at in range(0, len(source), step))
