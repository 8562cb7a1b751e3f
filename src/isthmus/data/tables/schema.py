"""The schema of a table: which columns are x, in which order and as what, which one holds labels or names of rows.

It is decided once, by the training table, and applied to every later one by the names of the columns.
"""

import difflib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.tables.cells import FILE_NUMERALS, FRAME, GROUPS, Numerals, is_plain
from isthmus.data.tables.columns import MISSING, UNSEEN, Column
from isthmus.data.tables.guessing import decide
from isthmus.data.tables.labels import read_labels
from isthmus.data.tables.names import column_names, has_names, is_unnamed, quote_names
from isthmus.errors import BadData, BadRun, one_line
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

MOST_FEATURES, LONGEST_NAME = 2**20, 1000
"""Largest number of model inputs of a table, and largest length of a column's name."""


@dataclass(frozen=True)
class Schema:
    """What the columns of a table are, as decided by the training table.

    Args:
        columns: the columns of x, in order.
        labels: the column of labels, if any; it is never demanded of a later table.
        index: the column that names the rows, if any; likewise.
        left_out: further columns that are not in x, each with the reason.
        notes: what was guessed, one sentence each, with the option that overrides it.
        decimal, thousands: how texts write numbers.
    """

    columns: tuple[Column, ...]
    labels: str | None = None
    index: str | None = None
    left_out: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    decimal: str = FRAME.decimal
    thousands: str = FRAME.thousands

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the model inputs."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def width(self) -> int:
        """Number of model inputs."""
        return len(self.features)

    @property
    def numeric(self) -> bool:
        """Whether every column is one input, so that rows without names fit too."""
        return all(column.kind != "category" for column in self.columns)

    @property
    def unnamed(self) -> bool:
        """Whether the training table had no names: its columns are called 0, 1, 2, ..."""
        return all(column.name.isdecimal() for column in self.columns)

    def matrix(self, frame: "pd.DataFrame", where: str, missing: tuple[float, ...] = ()) -> Array:
        """The model inputs (N, width) as float64, by the names of the columns, in the order of the schema.

        Args:
            frame: a table with these columns in any order, and any others.
            where: the table, for messages, such as ``'new.csv'``.
            missing: numbers that mean a missing value.

        Returns:
            NaN for missing values, rows of zeros for categories that the training table did not have
            (:meth:`unseen`).

        Raises:
            BadData: columns are absent, or a value is not a number.
        """
        places = self._places(frame, where)
        if self.numeric and all(is_plain(kind) for kind in frame.dtypes.iloc[places]):
            return self._plain(frame, places, where, missing)
        x = np.empty((len(frame), self.width))
        # columns of texts that are left in a file are written as its other numbers are
        numerals, start = Numerals(*frame.attrs.get(FILE_NUMERALS, (self.decimal, self.thousands))), 0
        for place, column in zip(places, self.columns, strict=True):
            values = column.values(frame.iloc[:, place], where, numerals, missing)
            x[:, start : start + values.shape[1]] = values
            start += values.shape[1]
        return x

    def _plain(self, frame: "pd.DataFrame", places: list[int], where: str, missing: tuple[float, ...]) -> Array:
        """The matrix of a table whose columns all hold numbers or truth values as such, in one piece."""
        taken = frame if places == list(range(frame.shape[1])) else frame.iloc[:, places]
        x: Array = taken.to_numpy(dtype=np.float64, na_value=np.nan)
        numbers = np.array([column.kind == "number" for column in self.columns])
        for number in np.flatnonzero(~numbers):
            self.columns[number].values(frame.iloc[:, places[number]], where, FRAME, ())
        return np.where(np.isin(x, missing) & numbers, np.nan, x) if missing else x

    def _places(self, frame: "pd.DataFrame", where: str) -> list[int]:
        """Position of each column of the schema in a table.

        Raises:
            BadData: some are absent, or occur several times.
        """
        names = column_names(frame)
        places = {name: place for place, name in reversed(list(enumerate(names)))}
        wanted = [column.name for column in self.columns]
        absent = [name for name in wanted if name not in places]
        if not absent:
            twice = [name for name in set(wanted) if names.count(name) > 1] if len(places) < len(names) else []
            if twice:
                raise BadData(f"{where} has several columns called {quote_names(sorted(twice))}. Use unique names.")
            return [places[name] for name in wanted]
        if len(names) == len(wanted) and (self.unnamed or not has_names(frame)):
            return list(range(len(wanted)))
        raise BadData(self._absent(absent, [name for name in self._unused(names) if name not in wanted], where))

    def _absent(self, absent: list[str], others: list[str], where: str) -> str:
        """The message for columns that are absent, with those that are unexpected and near names."""
        near = [(name, difflib.get_close_matches(name, others, n=1, cutoff=0.6)) for name in absent[:8]]
        hints = [f"{found[0][:60]!r} instead of {name[:60]!r}" for name, found in near if found]
        text = (
            f"{where} has no {'column' if len(absent) == 1 else 'columns'} {quote_names(absent)}, of the training data"
        )
        if others:
            text += f"; unexpected are {quote_names(others)}"
        text += f" (perhaps {', '.join(hints)})" if hints else ""
        return f"{text}. Rename or add what is absent; columns are matched by name, in any order."

    def with_labels(self, labels: str) -> "Schema":
        """The same columns of x with another column of labels."""
        former = ((self.labels, "other labels"),) if self.labels is not None else ()
        return replace(self, labels=labels, left_out=(*self.left_out, *former))

    def unused(self, frame: "pd.DataFrame") -> tuple[str, ...]:
        """Columns of a table that the schema does not know, which :meth:`matrix` ignores."""
        return tuple(self._unused(column_names(frame)))

    def _unused(self, names: list[str]) -> list[str]:
        known = {column.name for column in self.columns} | {self.labels, self.index}
        known |= {name for name, _ in self.left_out}
        return [name for name in names if name not in known and not is_unnamed(name)]

    def unseen(self, frame: "pd.DataFrame", where: str = "The table") -> dict[str, int]:
        """Number of rows by column whose category did not occur in the training table."""
        if self.numeric:
            return {}
        found = zip(self._places(frame, where), self.columns, strict=True)
        counts = {
            column.name: int((column.codes(frame.iloc[:, place]) == UNSEEN).sum())
            for place, column in found
            if column.kind == "category"
        }
        return {name: count for name, count in counts.items() if count}

    def labels_of(self, frame: "pd.DataFrame", where: str = "The table", *, training: bool = False) -> Array | None:
        """The labels (N,) as integers or strings; ``None`` if the table has no such column.

        Raises:
            BadData: ``training``, and some are missing or too long; otherwise such labels are left out as a whole.
        """
        names = column_names(frame)
        if self.labels is None or self.labels not in names:
            return None
        try:
            return read_labels(frame.iloc[:, names.index(self.labels)], where)
        except BadData:
            if training:
                raise
            return None

    def names_of(self, frame: "pd.DataFrame") -> "pd.Index[Any] | None":
        """The names of the rows: the index column, else the table's own index unless it only counts from 0."""
        import pandas as pd

        names = column_names(frame)
        if self.index is not None and self.index in names:
            named: pd.Index[Any] = pd.Index(frame.iloc[:, names.index(self.index)], name=self.index)
            return named
        index = frame.index
        plain = isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1 and index.name is None
        return None if plain else index

    def frame(self, values: Array, index: "pd.Index[Any] | None" = None) -> "pd.DataFrame":
        """Model inputs (N, width) as a table: numbers and truth values as floats, the largest category of each."""
        import pandas as pd

        if values.ndim != 2 or values.shape[1] != self.width:
            raise BadData(f"The values have shape {values.shape}, but (N, {self.width}) is expected.")
        made, start = {}, 0
        for number, column in enumerate(self.columns):
            block = values[:, start : start + len(column.features)]
            start += block.shape[1]
            if column.kind != "category":
                made[number] = pd.Series(block[:, 0], index=index)
                continue
            codes: Array = np.where(
                np.isnan(block).any(axis=1), MISSING, np.nan_to_num(block, nan=-np.inf).argmax(axis=1)
            )
            made[number] = pd.Series(pd.Categorical.from_codes(codes, pd.Index(column.categories)), index=index)
        table = pd.DataFrame(made, index=index if index is not None else pd.RangeIndex(len(values)))
        counted = [column.name for column in self.columns] == [str(number) for number in range(len(self.columns))]
        if not counted:
            table.columns = pd.Index([column.name for column in self.columns])
        return table

    def to_dict(self) -> dict[str, Any]:
        """The schema as plain data for a JSON file."""
        return {
            "columns": [[column.name, column.kind, list(column.categories)] for column in self.columns],
            "labels": self.labels,
            "index": self.index,
            "left_out": [list(pair) for pair in self.left_out],
            "notes": list(self.notes),
            "decimal": self.decimal,
            "thousands": self.thousands,
        }

    @classmethod
    def from_dict(cls, data: object) -> "Schema":
        """The schema of :meth:`to_dict`.

        Raises:
            BadRun: the data is not that of a schema.
        """
        try:
            schema = cls(**_checked(data))
        except (TypeError, ValueError, KeyError) as fault:
            raise BadRun(
                f"The columns of the run's table are damaged: {one_line(fault)}. Train the run again."
            ) from fault
        return schema


def _checked(data: Any) -> dict[str, Any]:
    """The fields of a schema from plain data.

    Raises:
        TypeError, ValueError, KeyError: the data is not that of a schema.
    """
    columns = tuple(Column(_text(name), kind, _texts(values)) for name, kind, values in _rows(data["columns"], 3))
    names = [column.name for column in columns]
    for column in columns:
        expected = column.kind == "category"
        if column.kind not in ("number", "boolean", "category") or bool(column.categories) != expected:
            raise ValueError(f"a column of kind {column.kind!r:.60} with {len(column.categories)} categories")
        if len(set(column.categories)) < len(column.categories):
            raise ValueError(f"repeated categories of {column.name[:60]!r}")
    if not names or len(set(names)) < len(names) or sum(len(c.categories) or 1 for c in columns) > MOST_FEATURES:
        raise ValueError(f"{len(names):,} columns, {len(set(names)):,} names")
    marks = _text(data["decimal"]), _text(data["thousands"])
    if marks[0] not in (".", ",") or marks[1] == marks[0] or marks[1] not in ("", ".", ",", *GROUPS):
        raise ValueError(f"the marks {marks[0][:9]!r} and {marks[1][:9]!r} in numbers")
    left_out = tuple((_text(name), _text(why)) for name, why in _rows(data["left_out"], 2))
    one = {name: None if data[name] is None else _text(data[name]) for name in ("labels", "index")}
    notes = _texts(data["notes"])
    return {"columns": columns, "left_out": left_out, "notes": notes, "decimal": marks[0], "thousands": marks[1], **one}


def _rows(data: object, length: int) -> list[Any]:
    if not isinstance(data, list) or len(data) > MOST_FEATURES:
        raise TypeError("a list is expected")
    if not all(isinstance(row, list) and len(row) == length for row in data):
        raise ValueError(f"rows of {length} entries are expected")
    return data


def _texts(data: object) -> tuple[str, ...]:
    if not isinstance(data, list) or len(data) > MOST_FEATURES:
        raise TypeError("a list of texts is expected")
    return tuple(_text(value) for value in data)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NAME:
        raise TypeError(f"a text of at most {LONGEST_NAME:,} characters is expected")
    return value


def infer_schema(frame: "pd.DataFrame", options: DataOptions, where: str) -> Schema:
    """The schema of a training table.

    Args:
        frame: the table.
        options: ``labels``, ``index``, ``exclude`` and ``missing`` are used.
        where: the table, for messages, such as ``'new.csv'`` in quotes.

    Raises:
        BadData: it has no rows, repeated or absent columns, or columns that can be neither numbers nor categories; one
            message names all of these, and what to do.
    """
    marks = frame.attrs.get(FILE_NUMERALS)
    if marks is None:
        decimal = FRAME.decimal if options.decimal == "auto" else options.decimal
        marks = (decimal, "." if decimal == "," else ",")
    found = decide(frame, options, where, Numerals(*marks))
    return Schema(found.columns, options.labels, found.index, found.left_out, found.notes, *marks)
