"""A column of a table as model inputs: numbers, truth values as 0 and 1, categories as one-hot vectors."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isthmus.data.base import Array
from isthmus.data.tables.cells import Numerals, as_numbers, as_text, as_truth
from isthmus.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "boolean", "category"]


@dataclass(frozen=True)
class Column:
    """A column of x.

    Args:
        name: its name.
        kind: {"number", "boolean", "category"}.
        categories: the values of a category, as text, in the order of the one-hot vector.
    """

    name: str
    kind: Kind = "number"
    categories: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the model inputs: the column's own, or ``color=red`` for each category."""
        if self.kind == "category":
            return tuple(f"{self.name}={value}" for value in self.categories)
        return (self.name,)

    def values(self, column: "pd.Series[float]", where: str, numerals: Numerals, missing: tuple[float, ...]) -> Array:
        """The inputs (N, 1) or (N, K) as float64; missing values are NaN, unknown categories rows of zeros.

        Raises:
            BadData: a value is not a number, or not a truth value; the message names its row and column.
        """
        if self.kind == "category":
            return self._one_hot(column)
        if self.kind == "number":
            values, bad = as_numbers(column, numerals)
            if missing:
                values = np.where(np.isin(values, missing), np.nan, values)
        else:
            values, bad = as_truth(column)
        if len(bad):
            what = "number" if self.kind == "number" else "truth value (0, 1, true, false)"
            raise BadData(
                f"{where}, {located(column, int(bad[0]))} is not a {what}; {len(bad)} such "
                f"{'value' if len(bad) == 1 else 'values'} in this column. Correct the data, or leave the cell empty."
            )
        return values[:, None]

    def _one_hot(self, column: "pd.Series[float]") -> Array:
        codes = self.codes(column)
        values: Array = np.asarray(codes[:, None] == np.arange(len(self.categories)), dtype=np.float64)
        values[codes == MISSING] = np.nan
        return values

    def codes(self, column: "pd.Series[float]") -> Array:
        """Number of the category of each row, (N,); ``MISSING`` and ``UNSEEN`` where there is none."""
        text, gaps = as_text(column)
        known = {value: number for number, value in enumerate(self.categories)}
        codes = np.array([known.get(value, UNSEEN) for value in text], dtype=np.int64)
        return np.where(gaps, MISSING, codes)


MISSING, UNSEEN = -1, -2
"""Codes of a missing value, and of a category that did not occur in the training set."""


def located(column: "pd.Series[float]", row: int) -> str:
    """A cell for messages, such as ``row 5, column 'V3': '?'``; rows are counted from 0 without the header."""
    return f"row {row}, column {str(column.name)[:60]!r}: {str(column.iloc[row])[:60]!r}"
