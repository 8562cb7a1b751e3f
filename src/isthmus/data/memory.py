"""Whether examples are held in memory or stay where they are."""

import math
import os
from pathlib import Path

import numpy as np

from isthmus.data.formats.files import LARGEST, check_size
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.base import Source, row_bytes
from isthmus.errors import BadData
from isthmus.options import DataOptions

MEMORY_DIVISOR = 4
"""Data larger than the machine's memory divided by this is streamed."""
STREAMABLE = (
    "a .npy or .parquet file, a folder of either, a folder of images, an HDF5, Zarr, NetCDF 4 or safetensors file, "
    "a .npz file that is not compressed, or an array"
)


def is_streamed(values: int, options: DataOptions) -> bool:
    """Whether ``values`` numbers stay where they are: by the option ``data.memory``, or by their size."""
    if options.memory == "auto":
        return 4 * values > memory_limit()
    return options.memory == "stream"


def refuse_streaming(name: str, options: DataOptions) -> None:
    """Refuse ``data.memory=stream`` for a format that is read as a whole.

    Raises:
        BadData: streaming is set.
    """
    if options.memory == "stream":
        raise BadData(f"{name!r} cannot be streamed (data.memory=stream). Use {STREAMABLE}, or leave it out.")


def held(source: Source, options: DataOptions) -> tuple[Source, bool]:
    """The source, read into memory unless it is to be streamed; and whether it is streamed."""
    streamed = is_streamed(len(source) * math.prod(source.shape), options)
    return (source if streamed else memorized(source)), streamed


def memorized(source: Source) -> Examples:
    """All examples of a source in memory, with their labels, names and faults.

    Raises:
        BadData: it is too large, or no example can be decoded.
    """
    if isinstance(source, Examples):
        return source
    check_size(len(source) * row_bytes(source), repr(source.name))
    values, faults = source.read(0, len(source))
    if len(faults) == len(source):
        where, why = source.locate(0), faults[0]
        raise BadData(f"No example in {source.name!r} can be decoded; the first is {where}: {why}. Check the files.")
    rows = np.arange(len(source))
    names = source.names_of(rows)
    return Examples(
        values,
        source.labels_of(rows),
        source.groups(),
        names,
        name=source.name,
        file=source.name,
        row_title=source.row_title,
        faults=dict(faults),
        located=source,
        brightest=source.brightest,
        axes=source.axes,
    )


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
