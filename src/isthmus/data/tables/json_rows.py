"""Rows of JSON as a table: objects of named fields, or lists of numbers.

A nested value is a column called ``outer.inner``; the numbers of lists of one length are columns ``list.0``, ``list.1``
and so on. What has no such name, as lists of different lengths, stays one column, which is refused by its name unless
it is excluded.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats.files import check_growth
from isthmus.data.tables.names import quote_names
from isthmus.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

MOST_COLUMNS, DEEPEST = 2**16, 32
"""Largest number of columns, each a separate list while they are read; and of levels of nesting."""
CELL = 24
"""Bytes that a cell takes while it is read, if it is missing in most rows."""
EXACT = 2**53
"""The whole numbers up to this one are exact as 64-bit floats."""

Rows = Iterable[tuple[int, Any]]
"""Values with the number of their line or row."""


class RowsReader:
    """Makes a table of the rows of one file.

    Args:
        name: the file, for messages.
        size: its size in bytes, decompressed.
        row: what a row is called, such as ``line``.
        exclude: columns that are left out, which are not taken apart.
    """

    def __init__(self, name: str, size: int, row: str, exclude: Iterable[str] = ()) -> None:
        self.name, self.size, self.row = name, size, row
        self._whole = {part for given in exclude for part in (given, *map(str.strip, given.split(",")))}
        self._outer: set[str] = set()
        self.notes: list[str] = []

    def table(self, rows: Rows) -> "pd.DataFrame | Array":
        """The table of rows that are all objects, or all lists; or an array (N, ...), if they are lists of lists.

        Raises:
            BadData: there are none, or one is not like the first; the message names it.
        """
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            raise BadData(f"{self.name!r} has no rows. Pass one row per example.")
        number, value = first
        if isinstance(value, dict):
            return self._records(chain([first], rows))
        if not isinstance(value, list):
            raise self._odd(number, value, "an object with named fields, or a list of numbers,")
        if value and isinstance(value[0], dict) and next(rows, None) is None:
            return self._records(enumerate(value))
        if any(isinstance(cell, str) for cell in value):
            names = all(isinstance(cell, str) for cell in value) and len(set(value)) == len(value)
            titles = value if names else [str(place) for place in range(len(value))]
            below = rows if names else chain([first], rows)
            return self._records((n, self._named(n, cells, titles)) for n, cells in below)
        return self._numbers(chain([first], rows))

    def _odd(self, number: int, value: object, wanted: str) -> BadData:
        """The error for a row that is not what is expected."""
        kinds = {dict: "an object", list: "a list", str: "a text", bool: "a truth value", type(None): "null"}
        return BadData(
            f"{self.name!r}, {self.row} {number} is {kinds.get(type(value), 'a number')}, but {wanted} is expected in "
            f"every {self.row}. Correct it."
        )

    def _named(self, number: int, cells: object, names: list[str]) -> dict[str, Any]:
        """A list of cells as an object."""
        if not isinstance(cells, list) or len(cells) != len(names):
            raise self._odd(number, cells, f"a list of {len(names)} cells")
        return dict(zip(names, cells, strict=True))

    def _numbers(self, rows: Rows) -> "pd.DataFrame | Array":
        """Lists of numbers, or of lists of them, of one shape."""
        import pandas as pd

        found: list[Array] = []
        for number, value in rows:
            if not isinstance(value, list) or any(isinstance(cell, str) for cell in value):
                raise self._odd(number, value, "a list of numbers")
            try:
                numbers = np.array(value, np.float64)
            except (ValueError, TypeError, OverflowError) as fault:
                raise self._odd(number, value, "a list of numbers, or of lists of one length,") from fault
            if found and numbers.shape != found[0].shape:
                raise BadData(
                    f"{self.name!r}, {self.row} {number} has {' x '.join(map(str, numbers.shape))} numbers, but the "
                    f"first {self.row} has {' x '.join(map(str, found[0].shape))}. Pass rows of one length."
                )
            found.append(numbers)
        stacked = np.stack(found)
        return pd.DataFrame(stacked) if stacked.ndim == 2 else stacked

    def _records(self, rows: Rows) -> "pd.DataFrame":
        """Objects with named fields."""
        columns: dict[str, list[Any]] = {}
        absent: set[str] = set()
        count = 0
        for number, value in rows:
            if not isinstance(value, dict):
                raise self._odd(number, value, "an object with named fields")
            for name, cell in self._fields(value, ""):
                column = columns.get(name)
                if column is None:
                    column = columns[name] = []
                    self._check_size(len(columns), count)
                if len(column) > count:
                    raise BadData(f"{self.name!r}, {self.row} {number} has the field {name[:60]!r} twice. Rename one.")
                if len(column) < count:
                    absent.add(name)
                    column += [None] * (count - len(column))
                column.append(cell)
            count += 1
        self._check_size(len(columns), count)
        for name, column in columns.items():
            if len(column) < count:
                absent.add(name)
                column += [None] * (count - len(column))
        lacking = [name for name in columns if name in absent and name not in self._outer]
        if lacking:
            self.notes.append(f"Rows that lack a field have a missing value there: {quote_names(lacking)}.")
        return self._frame(columns, count)

    def _check_size(self, columns: int, rows: int) -> None:
        if columns > MOST_COLUMNS:
            raise BadData(f"{self.name!r} has over {MOST_COLUMNS:,} columns. Pass its numbers as an array (.npy).")
        check_growth(CELL * columns * rows, self.size, repr(self.name))

    def _fields(self, value: dict[str, Any], before: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
        """The fields of an object, nested ones by the path to them."""
        if depth > DEEPEST:
            raise BadData(f"{self.name!r} has objects nested over {DEEPEST} levels deep. Flatten them.")
        for key, cell in value.items():
            name = before + key
            if isinstance(cell, dict) and cell and name not in self._whole:
                self._outer.add(name)
                yield from self._fields(cell, f"{name}.", depth + 1)
            else:
                yield name, None if isinstance(cell, dict) and not cell else cell

    def _frame(self, columns: dict[str, list[Any]], count: int) -> "pd.DataFrame":
        """The columns as a data frame, those of lists of numbers taken apart."""
        import pandas as pd

        made: dict[str, Any] = {}
        while columns:
            name = next(iter(columns))
            cells = columns.pop(name)
            if name in self._outer and all(cell is None for cell in cells):
                # where other rows have an object, some have nothing
                continue
            parts = None if name in self._whole else self._parts(name, cells, len(made) + len(columns))
            for part, values in (parts or {name: _column(cells)}).items():
                if part in made:
                    raise BadData(f"{self.name!r} has several columns called {part[:60]!r}. Rename one.")
                made[part] = values
        return pd.DataFrame(made, index=pd.RangeIndex(count))

    def _parts(self, name: str, cells: list[Any], others: int) -> dict[str, Array] | None:
        """The columns of a column of lists of numbers of one shape; else ``None``."""
        lists = [cell for cell in cells if isinstance(cell, list)]
        if not lists or len(lists) + cells.count(None) < len(cells):
            return None
        length = len(lists[0])
        if not length or any(len(cell) != length or any(isinstance(v, str) for v in cell) for cell in lists):
            return None
        try:
            numbers = np.array(lists, np.float64)
        except (ValueError, TypeError, OverflowError):
            return None
        flat = numbers.reshape(len(lists), -1)
        self._check_size(others + flat.shape[1], len(cells))
        full = np.full((len(cells), flat.shape[1]), np.nan)
        full[[place for place, cell in enumerate(cells) if cell is not None]] = flat
        names = (".".join(map(str, (name, *place))) for place in np.ndindex(numbers.shape[1:]))
        return dict(zip(names, full.T, strict=True))


def _column(cells: list[Any]) -> Any:
    """The cells of a column; whole numbers that would not be exact as floats stay whole beside missing ones."""
    import pandas as pd

    if set(map(type, cells)) == {int, type(None)}:
        largest = max(abs(cell) for cell in cells if cell is not None)
        if largest > EXACT:
            return pd.Series(cells, dtype=object)
    return pd.Series(cells, dtype=object) if any(isinstance(cell, list | dict) for cell in cells) else pd.Series(cells)
