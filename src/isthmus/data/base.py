"""The record of a data set: aligned arrays, their parts, and where they came from.

Nothing here reads a file or changes a value.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from isthmus.errors import BadData

Array = npt.NDArray[Any]


class Place(NamedTuple):
    """Where an example is: the file (empty where only memory holds it) and the row in it, counted from 0."""

    file: str
    row: int

    def __str__(self) -> str:
        """In words."""
        return f"{self.file!r}, row {self.row}" if self.file else f"row {self.row}"


@dataclass(frozen=True)
class Examples:
    """Examples with one row each: ``x`` (N, ...), and where known ``labels`` (N,) and ``groups`` (N,).

    ``labels`` say the class (digits, persons, anomaly 0/1); ``groups`` say which examples must stay in one part
    of a split (the same person or object). ``rows`` are their rows in the source, where some were left out or they
    stand in another order.

    Raises:
        BadData: the arrays differ in length, or ``x`` holds no example.
    """

    x: Array
    labels: Array | None = None
    groups: Array | None = None
    rows: Array | None = None

    def __post_init__(self) -> None:
        """Refuse arrays that are not aligned."""
        if self.x.ndim < 2:
            raise BadData(
                f"The data must be a table (N, D) or images (N, H, W[, C]), but has shape {self.x.shape}. "
                "Give one row to each example."
            )
        if len(self.x) == 0:
            raise BadData("The data holds no example (its first axis has length 0).")
        for name in ("labels", "groups", "rows"):
            values = getattr(self, name)
            if values is not None and values.shape != (len(self.x),):
                raise BadData(
                    f"There are {len(self.x)} examples but {name} of shape {values.shape}. "
                    f"Give exactly one of the {name} to each example."
                )

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.x)

    def take(self, rows: Array) -> "Examples":
        """The given rows, in the given order."""
        pick = [None if v is None else v[rows] for v in (self.labels, self.groups)]
        return Examples(self.x[rows], pick[0], pick[1], self.numbers[rows])

    @property
    def numbers(self) -> Array:
        """The row of each example in the source, counted from 0."""
        return np.arange(len(self)) if self.rows is None else self.rows


@dataclass(frozen=True)
class SourceFile:
    """A file that was read: its name (no folder), size in bytes and SHA-256.

    ``sampled`` says that the SHA-256 is of the size and of pieces spread over the file, which is too large to read
    through at every start.
    """

    name: str
    bytes: int
    sha256: str
    sampled: bool = False


@dataclass(frozen=True)
class Provenance:
    """Where data came from: the name asked for, the files with checksums, terms of use and credit."""

    name: str
    files: tuple[SourceFile, ...] = ()
    terms: str = ""
    credit: str = ""


@dataclass(frozen=True)
class Dataset:
    """Raw data in up to three parts, as the source gives them.

    ``images`` tells pixels (N, H, W) or (N, H, W, C) from a table (N, D). ``valid`` and ``test`` are ``None``
    where the source has no such part; ``splits.split`` then makes them. ``pixels`` says that 8-bit values are
    brightness, to be divided by 255. ``label_names`` are the words behind integer labels. ``lost`` are the examples
    that could not be decoded: where each was, and why.
    """

    name: str
    train: Examples
    valid: Examples | None = None
    test: Examples | None = None
    images: bool = False
    pixels: bool = False
    label_names: tuple[str, ...] = ()
    provenance: Provenance = field(default_factory=lambda: Provenance("array"))
    lost: tuple[tuple[Place, str], ...] = ()
