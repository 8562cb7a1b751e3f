"""JSON and JSON lines: from the characters of a file to rows."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from isthmus.data.base import Array
from isthmus.data.formats import files
from isthmus.data.formats.files import check_growth, check_size, reading
from isthmus.data.tables.content import LONGEST_LINE, Content
from isthmus.data.tables.json_rows import MOST_COLUMNS, RowsReader
from isthmus.data.tables.names import quote_names
from isthmus.errors import BadData, one_line, printable
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

CELL, GROUP = 40, 200
"""Bytes that a value, and an object or list, take in memory at most, besides their texts."""
LONE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape of a character of two parts, one of which may be absent."""


def read_json(content: Content, options: DataOptions, *, lines: bool) -> "tuple[pd.DataFrame | Array, tuple[str, ...]]":
    """The table of a JSON file; or an array (N, ...), if its rows are lists of lists of numbers.

    Args:
        content: its characters.
        options: ``key`` names the entry of an object that holds the rows.
        lines: whether each line is a row; otherwise the file may be either.

    Returns:
        The table, and what was decided about it, one sentence each.

    Raises:
        BadData: it is damaged, too large, or not a table; the message names the line.
    """
    name = content.file.name
    with reading(name, "a table of JSON"):
        _check_values(content, name)
        whole = None if lines else _whole(content)
        row = "line" if whole is None else "row"
        reader = RowsReader(name, content.size, row, options.exclude)
        table = reader.table(_lines(content, name)) if whole is None else _of_whole(whole, reader, options)
        return table, tuple(reader.notes)


def _check_values(content: Content, name: str) -> None:
    """Refuse a file whose values would not fit into memory.

    Raises:
        BadData: they would not.
    """
    needed = 4 * content.size
    if content.size * GROUP > files.LARGEST:
        needed += CELL * content.count(",\n") + GROUP * content.count("{[")
    check_size(needed, repr(name))


def _whole(content: Content) -> Any:
    """The only value of a file, or ``None`` if it has several, one on each line."""
    with content.open() as stream:
        text = stream.read()
    try:
        return _decoded(text)
    except json.JSONDecodeError as fault:
        if fault.msg != "Extra data":
            raise
        return None


def _lines(content: Content, name: str) -> Iterator[tuple[int, Any]]:
    """The values of the lines that are not blank, with their numbers from 1.

    Raises:
        BadData: one is not JSON; the message names it.
    """
    with content.open() as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), ""), 1):
            if not line.strip():
                continue
            try:
                yield number, _decoded(line)
            except (ValueError, RecursionError) as fault:
                why = f"{fault.msg} at character {fault.pos + 1}" if isinstance(fault, json.JSONDecodeError) else ""
                raise BadData(
                    f"{name!r}, line {number} is not JSON: {why or one_line(fault)}: {line.strip()[:40]!r}. Correct "
                    "that line."
                ) from fault


def _decoded(text: str) -> Any:
    """The value of a text; ``NaN`` and ``Infinity`` are numbers, as Python and pandas write them."""
    value = json.loads(text)
    return _cleaned(value) if LONE.search(text) else value


def _cleaned(value: Any) -> Any:
    """A value without halves of characters in its texts, which nothing could write."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return {printable(key): _cleaned(item) for key, item in value.items()} if isinstance(value, dict) else value


def _of_whole(whole: Any, reader: RowsReader, options: DataOptions) -> "pd.DataFrame | Array":
    """The table of a file of one value: a list of rows, or an object of columns.

    Raises:
        BadData: it is neither.
    """
    if options.key is not None:
        if not isinstance(whole, dict) or options.key not in whole:
            known = quote_names(list(whole)) if isinstance(whole, dict) else "none, but a list of rows"
            raise BadData(f"{reader.name!r} has no entry {options.key[:60]!r} (data.key). It has: {known}.")
        whole = whole[options.key]
    if isinstance(whole, list):
        return reader.table(enumerate(whole))
    if not isinstance(whole, dict) or not whole:
        raise BadData(f"{reader.name!r} holds one value, but a list of rows, or an object of columns, is expected.")
    if isinstance(whole.get("columns"), list) and isinstance(whole.get("data"), list):
        return _split(whole, reader)
    if all(isinstance(column, dict) for column in whole.values()):
        return _by_index(whole, reader)
    lists = {key: value for key, value in whole.items() if isinstance(value, list)}
    if len(lists) == len(whole) and len({len(column) for column in lists.values()}) == 1:
        reader.notes.append("Each entry of the object is a column.")
        return reader.table(
            enumerate(dict(zip(whole, cells, strict=True)) for cells in zip(*whole.values(), strict=True))
        )
    rows = [key for key, value in lists.items() if value and isinstance(value[0], dict | list)]
    if len(rows) == 1:
        reader.notes.append(f"The entry {rows[0][:60]!r} holds the rows (data.key).")
        return reader.table(enumerate(lists[rows[0]]))
    if not lists:
        return reader.table([(0, whole)])
    raise BadData(
        f"{reader.name!r} holds an object with the entries {quote_names(list(whole))}. Set data.key to the one that "
        "holds the rows."
    )


def _split(whole: dict[str, Any], reader: RowsReader) -> "pd.DataFrame | Array":
    """The table of an object of names, rows and an index, as pandas writes it with ``orient="split"``."""
    names = [str(name) for name in whole["columns"]]
    if len(set(names)) < len(names):
        raise BadData(f"{reader.name!r} has several columns of one name. Use unique names.")
    table = reader.table(chain([(-1, names)], enumerate(whole["data"])))
    index = whole.get("index")
    return table if isinstance(table, np.ndarray) else _indexed(table, index if isinstance(index, list) else [])


def _by_index(whole: dict[str, dict[str, Any]], reader: RowsReader) -> "pd.DataFrame | Array":
    """The table of an object of columns, each an object of cells by the name of their row, as pandas writes it."""
    reader.notes.append("The outer names are columns, the inner ones those of rows, as pandas writes them.")
    index = list(dict.fromkeys(key for column in whole.values() for key in column))
    if len(whole) > MOST_COLUMNS:
        raise BadData(f"{reader.name!r} has over {MOST_COLUMNS:,} columns. Pass its numbers as an array (.npy).")
    check_growth(CELL * len(index) * len(whole), reader.size, repr(reader.name))
    rows = ({name: column[key] for name, column in whole.items() if key in column} for key in index)
    table = reader.table(enumerate(rows))
    return table if isinstance(table, np.ndarray) else _indexed(table, index)


def _indexed(table: "pd.DataFrame", index: list[Any]) -> "pd.DataFrame":
    """A table with the names of its rows, unless these only count from 0."""
    names = [str(name) for name in index]
    if len(names) == len(table) and names != [str(row) for row in range(len(table))]:
        table = table.set_axis(names)
    return table
