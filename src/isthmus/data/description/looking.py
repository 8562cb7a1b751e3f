"""A bounded look at a data set of any size: large files are not read as a whole."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.formats.pictures import EXTENSIONS
from isthmus.data.formats.stores.zarr_files import is_zarr
from isthmus.data.memory import is_streamed
from isthmus.data.opening import Data, open_data
from isthmus.data.readers.known import format_of
from isthmus.data.samplers.streams import Stream
from isthmus.data.sources.arrays import Examples
from isthmus.data.sources.backward import Backward
from isthmus.data.sources.base import Source, row_bytes
from isthmus.data.sources.unrolled import Unrolled
from isthmus.data.sources.windows import Windows
from isthmus.data.storage.base import plain_name
from isthmus.data.storage.remote import is_address
from isthmus.errors import BadData
from isthmus.options import DataOptions

LARGE_BYTES, MANY_FILES = 2**26, 2000
"""Size and number of files above which only a part of a file or a folder is read."""
MOST_BYTES, MOST_STORED, MOST_ROWS = 2**27, 2**22, 10_000
"""Most bytes that are looked at in memory; and most values and examples on disk."""
READABLE_IN_PARTS = (".npy", ".parquet", ".h5", ".hdf5", ".hdf", ".he5", ".mat", ".nc", ".nc4", ".safetensors", ".pt")
KINDS = {"CSV": "text table", "NumPy": "NumPy array", "NumPy archive": "NumPy archive"}
"""What files of some formats are called."""


@dataclass(frozen=True)
class Sample:
    """Some examples of a source.

    Args:
        rows: their rows, ascending.
        values: raw values (n, ...), with those of examples that cannot be decoded.
        faults: indices of these, with the reason.
        of: number of examples in the source.
        spread: whether they are spread evenly over the source, or are its first ones.
    """

    rows: Array
    values: Array
    faults: Mapping[int, str]
    of: int
    spread: bool

    @property
    def whole(self) -> bool:
        """Whether all examples were looked at."""
        return len(self.rows) == self.of

    def __str__(self) -> str:
        """Which examples were looked at."""
        if self.whole:
            return f"all {self.of:,} examples"
        return f"{len(self.rows):,} of {self.of:,} examples, " + ("spread evenly" if self.spread else "the first ones")

    @property
    def decoded(self) -> Array:
        """The values of the examples that can be decoded."""
        return np.delete(self.values, list(self.faults), axis=0) if self.faults else self.values


def open_briefly(data: Data, options: DataOptions, seed: int) -> tuple[Dataset, bool]:
    """A data set that is not read as a whole if it is large; and whether training would stream it.

    Raises:
        BadData: data that cannot be read, or a stream.
    """
    on_disk = isinstance(data, str | Path) and not is_address(data)
    if on_disk and options.memory != "stream" and _is_large(Path(data).expanduser()):
        try:
            opened = open_data(data, options.model_copy(update={"memory": "stream"}), seed=seed)
            assert isinstance(opened, Dataset)
        except BadData:
            opened = open_data(data, options, seed=seed)
        else:
            return opened, is_streamed(len(opened.train) * math.prod(opened.train.shape), options)
    else:
        opened = open_data(data, options, seed=seed)
    if isinstance(opened, Stream):
        raise BadData("A stream cannot be described before it is read. Pass its first chunk as an array.")
    return opened, opened.streamed


def _is_large(path: Path) -> bool:
    """Whether a path is too large to be read for a description, and can be read in parts."""
    if path.is_file():
        return path.suffix.lower() in READABLE_IN_PARTS and path.stat().st_size > LARGE_BYTES
    if not path.is_dir():
        return False
    size = count = 0
    for folder, _, names in os.walk(path):
        for name in names:
            size += Path(folder, name).lstat().st_size
            count += 1
            if size > LARGE_BYTES or count > MANY_FILES:
                return True
    return False


def looked_at(source: Source) -> Sample:
    """All examples of a small source; of a large one a bounded number, spread evenly where rows can be read singly."""
    n, memory = len(source), isinstance(source, Examples)
    on_disk = min(MOST_ROWS, MOST_STORED // max(1, math.prod(source.shape)))
    most = max(1, MOST_BYTES // row_bytes(source) if memory else on_disk)
    if n <= most:
        rows = np.arange(n)
    elif source.scattered:
        rows = np.unique(np.linspace(0, n - 1, most).astype(np.int64))
    else:
        rows = np.arange(most)
    chunk = source.read(0, n) if n <= most else source.at(rows)
    return Sample(rows, chunk.values, chunk.faults, n, source.scattered)


def kind_of_source(data: Any, dataset: Dataset, named: bool) -> str:
    """What was opened, in words, such as ``folder of images``."""
    if named:
        return "named data set"
    if not isinstance(data, str | Path):
        return type(data).__name__
    source = dataset.train
    while isinstance(source, Windows | Unrolled | Backward):
        source = source.source
    located = type(getattr(source, "located", None) or source).__name__
    if not is_address(data) and Path(data).expanduser().is_dir():
        kinds = {"ImageFolder": "folder of images", "Joined": "folder of files"}
        return "Zarr store" if is_zarr(Path(data).expanduser()) else kinds.get(located, "folder of IDX files")
    name = re.split("[?#]", str(data))[0] if is_address(data) else str(data)
    known, archive = format_of(name), plain_name(name).lower().endswith((".zip", ".tar"))
    kind = "archive" if archive else "text table" if known is not None and known.name == "CSV" else ""
    kind = "picture" if name.lower().endswith(EXTENSIONS) else kind
    kind = "video" if known is not None and known.holds == "frames" else kind
    kind = kind or ("file" if known is None else f"{known.name} {'table' if known.holds == 'table' else 'file'}")
    kind = f"{kind if archive else 'folder'} of images" if located == "ImageFolder" else kind
    return f"remote {kind}" if is_address(data) else kind
