"""A data set as arrays with their splits and provenance.

Nothing here reads a file or changes a value.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from isthmus.errors import BadData

Array = npt.NDArray[Any]


class Location(NamedTuple):
    """Location of an example: its file (empty for data in memory) and its 0-based row in that file."""

    file: str
    row: int

    def __str__(self) -> str:
        """Text for messages."""
        return f"{self.file!r}, row {self.row}" if self.file else f"row {self.row}"


@dataclass(frozen=True)
class Examples:
    """Examples as aligned arrays.

    Args:
        x: raw values, (N, ...).
        labels: class of each example (digit, person, anomaly 0/1), (N,).
        groups: group of each example (person, object), (N,); a split keeps each group in one set.
        rows: row of each example in the source, (N,), where some were left out or reordered.

    Raises:
        BadData: the arrays differ in length, or ``x`` holds no example.
    """

    x: Array
    labels: Array | None = None
    groups: Array | None = None
    rows: Array | None = None

    def __post_init__(self) -> None:
        """Check that the arrays are aligned."""
        if self.x.ndim < 2:
            raise BadData(
                f"The data must be a table (N, D) or images (N, H, W[, C]), but has shape {self.x.shape}. "
                "Pass one row per example."
            )
        if len(self.x) == 0:
            raise BadData("The data holds no example (its first axis has length 0). Pass at least one.")
        for name in ("labels", "groups", "rows"):
            values = getattr(self, name)
            if values is not None and values.shape != (len(self.x),):
                raise BadData(
                    f"There are {len(self.x)} examples but {name} of shape {values.shape}. "
                    f"Pass one entry of {name} per example."
                )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    def take(self, rows: Array) -> "Examples":
        """The examples at ``rows``, in that order."""
        pick = [None if v is None else v[rows] for v in (self.labels, self.groups)]
        return Examples(self.x[rows], pick[0], pick[1], self.source_rows[rows])

    @property
    def source_rows(self) -> Array:
        """0-based row of each example in the source, (N,)."""
        return np.arange(len(self)) if self.rows is None else self.rows


@dataclass(frozen=True)
class SourceFile:
    """A file that was read: its name without folder, size in bytes and SHA-256.

    If ``sampled``, the SHA-256 is that of the size and of chunks spread over the file, which is too large to be read
    completely at every start.
    """

    name: str
    bytes: int
    sha256: str
    sampled: bool = False


@dataclass(frozen=True)
class Provenance:
    """Provenance of data: the requested name, the files with checksums, terms of use and credit."""

    name: str
    files: tuple[SourceFile, ...] = ()
    terms: str = ""
    credit: str = ""


@dataclass(frozen=True)
class Dataset:
    """Raw data in up to three splits, as provided by the source.

    Args:
        name: name of the data set.
        train: training set.
        valid: validation set; ``None`` where the source has none, and ``splits.split`` makes one.
        test: test set; likewise.
        images: whether ``x`` holds images (N, H, W) or (N, H, W, C), not a table (N, D).
        pixels: whether 8-bit values are brightness, to be divided by 255.
        label_names: names of the integer labels.
        provenance: origin, terms and credit.
        undecodable: location of each example that could not be decoded, and the reason.
    """

    name: str
    train: Examples
    valid: Examples | None = None
    test: Examples | None = None
    images: bool = False
    pixels: bool = False
    label_names: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance("array"))
    undecodable: tuple[tuple[Location, str], ...] = ()
