"""Missing cells: NaN, masked values, and numbers that mean missing; and the check for infinite values."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from isthmus.data.base import Array, Location
from isthmus.data.dataset import Dataset
from isthmus.data.sources.base import Source
from isthmus.data.transforms.bad_examples import find_nonfinite, too_many
from isthmus.data.transforms.contract import DataContract
from isthmus.errors import BadData

PIECE = 2**24
"""Values that are checked at a time."""


@dataclass(frozen=True)
class MissingCells:
    """Record of the missing cells of a data set.

    Args:
        cells: number of missing cells.
        examples: number of examples with missing cells.
        of: number of examples.
        first: location and column of the first missing cell.
    """

    cells: int = 0
    examples: int = 0
    of: int = 0
    first: str = ""

    def __add__(self, other: "MissingCells") -> "MissingCells":
        """The record of both."""
        first = self.first or other.first
        return MissingCells(self.cells + other.cells, self.examples + other.examples, self.of + other.of, first)

    def __bool__(self) -> bool:
        """Whether any cell is missing."""
        return self.cells > 0

    def __str__(self) -> str:
        """Number of missing cells and of examples with such cells."""
        return f"{self.cells:,} missing values in {self.examples:,} of {self.of:,} examples"


def survey(source: Source, contract: DataContract, what: str) -> MissingCells:
    """The missing cells of a source in memory, read once in order.

    Raises:
        BadData: infinite values, with their number and the 0-based row and, in a table, column of the first.
    """
    if source.dtype.kind != "f" and not contract.missing:
        return MissingCells(of=len(source))
    found, infinite, first_infinite = MissingCells(), 0, ""
    for start, chunk in source.pieces(PIECE):
        values = contract.without_sentinels(chunk.values)
        if np.isfinite(values).all():
            found += MissingCells(of=len(values))
            continue
        missing, infinities = np.isnan(values), np.isinf(values)
        examples = int(missing.reshape(len(values), -1).any(axis=1).sum())
        first = _place(missing, start, source, contract) if examples else ""
        found += MissingCells(int(missing.sum()), examples, len(values), first)
        infinite += int(infinities.sum())
        first_infinite = first_infinite or (_place(infinities, start, source, contract) if infinities.any() else "")
    if infinite:
        raise BadData(
            f"{what} holds {infinite:,} infinite values, the first in {first_infinite}. Replace them; set data.missing "
            "to the number that stands for missing values; or skip their rows with data.on_bad_data=skip."
        )
    return found


def check_few_invalid(dataset: Dataset) -> None:
    """Check that at most a tenth of the examples in memory hold NaN or infinity, if these are to be skipped.

    Raises:
        BadData: more do; the message says how many, and which are the first.
    """
    found: list[Location] = []
    total = sum(map(len, dataset.splits.values()))
    for source in dataset.splits.values():
        for start, chunk in source.pieces(PIECE) if source.dtype.kind == "f" else ():
            rows = sorted({*find_nonfinite(chunk.values), *chunk.faults})
            found += [source.locate(start + row) for row in rows]
    if too_many(len(found), total):
        few = ", ".join(map(str, found[:5]))
        raise BadData(
            f"{len(found):,} of {total:,} examples of {dataset.name!r} hold NaN or infinity, but at most a tenth may "
            f"be skipped: {few}{' ...' if len(found) > 5 else ''}. Repair them; or leave out data.on_bad_data=skip, "
            "and NaN counts as a missing value."
        )


def missing_in(values: Tensor, locate: Callable[[int], Location], start: int = 0) -> MissingCells:
    """The missing cells of examples (n, ...), of which ``locate`` locates the first by the index ``start``."""
    missing = values.isnan() if values.is_floating_point() else None
    if missing is None or not bool(missing.any()):
        return MissingCells(of=len(values))
    row, *where = missing.nonzero()[0].tolist()
    column = f", column {where[0]}" if values.ndim == 2 else ""
    examples = int(missing.flatten(1).any(1).sum())
    return MissingCells(int(missing.sum()), examples, len(values), f"{locate(start + row)}{column} (counted from 0)")


def _place(cells: Array, start: int, source: Source, contract: DataContract) -> str:
    """Location of the first marked cell of a chunk that starts at row ``start``, and its column in a table."""
    first = np.argwhere(cells)[0]
    where = source.locate(start + int(first[0]))
    text = str(Location("", where.row, where.name if where.name != where.file else ""))
    if cells.ndim == 2:
        features = contract.schema.features if contract.schema is not None else ()
        text += f", column {features[first[1]]!r}" if len(features) == cells.shape[1] else f", column {first[1]}"
    return f"{text} (counted from 0)"
