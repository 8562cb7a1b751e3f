"""The values of one column as numbers, truth values or text, whatever type holds them.

A text is a number only as a whole, with the decimal mark and the separator of thousands of its table; nothing is
guessed from a part of it. Words such as ``?`` or ``NA`` mean a missing value.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array

if TYPE_CHECKING:
    import pandas as pd

MARKERS = {"", "?", "-", "--", "---", ".", "..", "na", "n/a", "n.a.", "#n/a", "#na", "<na>", "nan", "-nan", "nat"}
MARKERS |= {"null", "none", "nil", "missing", "1.#qnan", "-1.#ind", "1.#ind", "#value!", "#div/0!", "#null!", "#num!"}
"""Words that mean a missing value, in lower case."""
TRUTH = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}
GROUPS = " '\u00a0\u202f\u2019_"
"""Characters, besides marks, that separate groups of three digits."""
WHOLE = re.compile(r"[+-]?(?:inf|infinity)", re.IGNORECASE)


@dataclass(frozen=True)
class Numerals:
    """How a table writes numbers.

    Args:
        decimal: decimal mark, ``.`` or ``,``.
        thousands: separator of groups of three digits, or an empty string for none.
    """

    decimal: str = "."
    thousands: str = ""
    pattern: "re.Pattern[str]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile the pattern of a number."""
        object.__setattr__(self, "pattern", _pattern(self.decimal, self.thousands))

    def number(self, text: str) -> float | None:
        """The number that a text writes, NaN for a word that means a missing value, or ``None``.

        >>> Numerals(",", ".").number("1.234,5"), Numerals().number("1,234"), Numerals().number(" -3e2 ")
        (1234.5, None, -300.0)
        """
        text = text.strip().replace("\u2212", "-")
        if self.pattern.fullmatch(text):
            if self.thousands:
                text = text.replace(self.thousands, "")
            return float(text.replace(self.decimal, "."))
        if text.lower() in MARKERS:
            return np.nan
        return float(text) if WHOLE.fullmatch(text) else None


@lru_cache(maxsize=64)
def _pattern(decimal: str, thousands: str) -> "re.Pattern[str]":
    mark, digits = re.escape(decimal), r"\d+"
    if thousands:
        digits = rf"(?:[1-9]\d{{0,2}}(?:{re.escape(thousands)}\d{{3}})+|\d+)"
    return re.compile(rf"[+-]?(?:{digits}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


FRAME = Numerals(".", ",")
"""How texts in a data frame write numbers."""
FILE_NUMERALS = "isthmus.numerals"
"""Attribute of a data frame that was read from a text: the marks of its numbers."""
Bad = Array


def is_plain(kind: Any) -> bool:
    """Whether a column of this dtype holds real numbers or truth values as such, besides missing ones."""
    from pandas.api import types

    return bool(types.is_numeric_dtype(kind)) and not types.is_complex_dtype(kind)


def as_numbers(column: "pd.Series[Any]", numerals: Numerals = FRAME) -> tuple[Array, Bad]:
    """The values (N,) as float64 with NaN for missing ones, and the rows of those that are not numbers."""
    if is_plain(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), np.empty(0, np.int64)
    return parsed(objects(column), column, numerals)


def objects(column: "pd.Series[Any]") -> Array:
    """The values as Python objects (N,), missing ones as None."""
    values = column.to_numpy(dtype=object, copy=True)
    values[column.isna().to_numpy()] = None
    return values


def parsed(values: Iterable[Any], like: "pd.Series[Any]", numerals: Numerals) -> tuple[Array, Bad]:
    """Objects as numbers: texts by ``numerals``, real numbers (decimals and fractions too) as they are."""
    out, bad = np.full(len(like), np.nan), []
    known: dict[str, float | None] = {}
    for row, value in enumerate(values):
        if value is None:
            continue
        if isinstance(value, str):
            number = known[value] if value in known else numerals.number(value)
            if len(known) < 100_000:
                known[value] = number
        else:
            number = real(value)
        if number is None:
            bad.append(row)
        else:
            out[row] = number
    return out, np.array(bad, dtype=np.int64)


def real(value: object) -> float | None:
    """A real number as a float, or ``None``: the numbers of Python and NumPy, decimals and fractions."""
    from decimal import Decimal

    if not isinstance(value, Real | Decimal | np.bool_):
        return None
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def as_truth(column: "pd.Series[Any]") -> tuple[Array, Bad]:
    """Truth values (N,) as 0.0 and 1.0 with NaN for missing ones, and the rows of those that are none."""
    if is_plain(column.dtype):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return values, np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))
    values, bad = np.full(len(column), np.nan), []
    for row, value in enumerate(objects(column)):
        word = str(value).strip().lower()
        if value is not None and word not in MARKERS:
            if word in TRUTH:
                values[row] = TRUTH[word]
            else:
                bad.append(row)
    return values, np.array(bad, dtype=np.int64)


def as_text(column: "pd.Series[Any]") -> tuple[list[str], Array]:
    """The values (N,) as text, the same for 1, 1.0 and "1", and which of them are missing."""
    classes = column.astype("category").cat
    names = [cell_text(value) for value in classes.categories]
    codes = classes.codes.to_numpy()
    return [names[code] if code >= 0 else "" for code in codes.tolist()], codes < 0


def cell_text(value: object) -> str:
    """One value as text; whole numbers without a decimal point.

    >>> cell_text(3.0), cell_text(" red ")
    ('3', 'red')
    """
    number = None if isinstance(value, bool | np.bool_) else real(value)
    return str(int(number)) if number is not None and number.is_integer() else str(value).strip()
