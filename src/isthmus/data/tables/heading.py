"""The lines of a text table before its first row: a title, the names of the columns, their units."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from isthmus.data.tables.cells import MARKERS, Numerals
from isthmus.errors import BadData

MOST_NAMESAKES = 1000
"""Largest number of repeated names."""
MOST_UNITS, UNITS_SAMPLE = 3, 60
"""Largest number of rows of units, and number of rows by which they are found."""


class Row(NamedTuple):
    """A row of the sample: its first and last line, counted from 1, and its cells."""

    first: int
    last: int
    cells: list[str]


@dataclass(frozen=True)
class Heading:
    """What precedes the first row.

    Args:
        skip: number of lines.
        width: number of cells in each row.
        names: names of the columns, or ``None`` if the table has none.
        trailing: whether every row ends in a delimiter: its last cell is empty and not a column.
        notes: what was decided.
    """

    skip: int
    width: int
    names: tuple[str, ...] | None
    trailing: bool = False
    notes: tuple[str, ...] = ()


def find_heading(rows: Sequence[Row], comment: Sequence[str], numerals: Numerals, header: str, where: str) -> Heading:
    """What precedes the first row of a table.

    Args:
        rows: its first rows.
        comment: the cells of the last comment before it, which may be the names.
        numerals: how it writes numbers.
        header: {"auto", "first", "none"}.
        where: the table, for messages.

    Raises:
        BadData: the rows have more cells than there are names, or too many names are repeated.
    """
    width, notes = _width(rows), []
    start = _title(rows, width, numerals) if header == "auto" else 0
    if start:
        what = "line before the table is" if start == 1 else "lines before the table are"
        notes.append(f"The first {'' if start == 1 else f'{start} '}{what} left out (data.header=first keeps it).")
    first, body = rows[start], rows[start + 1 :]
    named = header == "first" or (header == "auto" and _is_header(first, body, numerals, notes))
    names: Sequence[str] | None = first.cells if named else None
    skip, data = (first.last, body) if named else (first.first - 1, rows[start:])
    if not named and header == "auto" and len(comment) == width and not any(map(_number(numerals), comment)):
        names = comment
        notes.append("The last comment holds the names of the columns (data.header=none).")
    units = _units(data, width, numerals) if named and header == "auto" else 0
    if units:
        cells = ", ".join(repr(cell[:20]) for cell in data[0].cells[:3])
        what = "row below the names holds" if units == 1 else f"{units} rows below the names hold"
        notes.append(f"The {what} units ({cells}, ...), left out (data.header=first keeps them).")
        skip, data = data[units - 1].last, data[units:]
    trailing = width > 1 and bool(data) and all(len(r.cells) < width or not r.cells[-1] for r in data)
    trailing = trailing and (names is None or len(names) < width or not names[-1])
    if names is None:
        return Heading(skip, width, None, trailing, tuple(notes))
    width = max(width, len(names)) if not data else width
    return Heading(skip, width, _names(names, width, data, trailing, where, notes), trailing, tuple(notes))


def is_filled(cells: Sequence[str]) -> bool:
    """Whether any cell is not empty."""
    return any(cells)


def _width(rows: Sequence[Row]) -> int:
    """The number of cells that most rows have; the first ones count less, and of two equal counts the larger."""
    body = rows[len(rows) // 4 :] if len(rows) > 3 else rows[-max(1, len(rows) - 1) :]
    counts = Counter(len(row.cells) for row in body)
    best = max(counts.values())
    first = len(rows[0].cells)
    tied = [width for width, count in counts.items() if count == best]
    return first if first in tied else max(tied)


def _number(numerals: Numerals) -> Callable[[str], bool]:
    """Whether a cell writes a number, which no word for a missing value does."""
    return lambda cell: numerals.number(cell) is not None and cell.strip().lower() not in MARKERS


def _title(rows: Sequence[Row], width: int, numerals: Numerals) -> int:
    """Number of rows before the names: shorter ones, or ones with a single cell that is not empty."""
    is_number = _number(numerals)
    start = next((n for n, row in enumerate(rows) if len(row.cells) == width and sum(map(bool, row.cells)) > 1), 0)
    if not 0 < start <= 100 or width < 2 or start == len(rows) - 1:
        return 0
    first = rows[start]
    single = all(sum(map(bool, row.cells)) == 1 for row in rows[:start])
    # a first row with one name too few is no title
    if any(map(is_number, first.cells)) and not (single and width > 2):
        return 0
    below = [cell for row in rows[start + 1 : start + MOST_UNITS + 2] for cell in row.cells]
    return start if single or any(map(is_number, below)) else 0


def _is_header(first: Row, body: Sequence[Row], numerals: Numerals, notes: list[str]) -> bool:
    """Whether a row holds names: words, or numbers that count or are evenly spaced as in no other row."""
    is_number = _number(numerals)
    values = [numerals.number(cell) for cell in first.cells if is_number(cell)]
    numbers = [value for value in values if value is not None]
    if len(numbers) == len(first.cells):
        # pandas writes unnamed columns as 0, 1, 2, ...
        if len(numbers) > 2 and first.cells == [str(column) for column in range(len(numbers))]:
            return True
        if _evenly_spaced(first, numerals) and body and not any(_evenly_spaced(row, numerals) for row in body):
            notes.append("The first row, of evenly spaced numbers, holds the names of the columns (data.header=none).")
            return True
        return False
    if not numbers or not body:
        return True
    words = [(column, cell) for column, cell in enumerate(first.cells) if cell.lower() not in MARKERS]
    words = [(column, cell) for column, cell in words if not is_number(cell)]
    if not words:
        # the names of a table whose first column, that of the index, has none
        return not first.cells[0] and all(row.cells[0] for row in body)
    again = any(len(row.cells) > column and row.cells[column] == cell for row in body for column, cell in words)
    steps = {b > a for a, b in pairwise(numbers)}
    whole = all(value.is_integer() for value in numbers)
    if again or (not whole and (len(numbers) < 3 or len(steps) > 1)) or (len(numbers) > 2 and len(steps) > 1):
        notes.append("The table has no names of columns: its first row is data (data.header=first).")
        return False
    return True


def _evenly_spaced(row: Row, numerals: Numerals) -> bool:
    """Whether at least four cells are numbers that increase or decrease by the same step."""
    numbers = [numerals.number(cell) for cell in row.cells]
    if len(numbers) < 4 or any(number is None for number in numbers):
        return False
    values = [number for number in numbers if number is not None]
    step = values[1] - values[0]
    return step != 0 and all(abs(b - a - step) <= 1e-6 * abs(step) for a, b in pairwise(values))


def _units(rows: Sequence[Row], width: int, numerals: Numerals) -> int:
    """Number of rows of units: without any number in the columns that hold numbers below."""
    is_number, rows = _number(numerals), rows[:UNITS_SAMPLE]
    most, best = 0, 0
    for count in range(1, min(MOST_UNITS, len(rows) - 1) + 1):
        above, below = rows[:count], [row.cells for row in rows[count:] if len(row.cells) == width]
        numeric = [
            column
            for column in range(width)
            if any(is_number(cells[column]) for cells in below)
            and all(numerals.number(cells[column]) is not None for cells in below)
        ]
        upper = [row.cells[column] for row in above for column in numeric if column < len(row.cells)]
        words = [cell for cell in upper if numerals.number(cell) is None]
        if len(numeric) > most and words and not any(map(is_number, upper)):
            most, best = len(numeric), count
    return best


def _names(
    cells: Sequence[str], width: int, data: Sequence[Row], trailing: bool, where: str, notes: list[str]
) -> tuple[str, ...]:
    """The names of the columns, all different.

    Raises:
        BadData: there are fewer than columns, or many are the same.
    """
    names = list(cells)[:width] if not any(cells[width:]) else list(cells)
    if len(names) == width - 1 and trailing:
        names.append("")
    elif len(names) == width - 1 and _row_names([row.cells[0] for row in data if row.cells]):
        names = ["", *names]
        notes.append("The first cell of each row, above which there is no name, is the name of the row.")
    elif len(names) < width or len(names) > width:
        row = next((row for row in data if len(row.cells) == width), None)
        raise BadData(
            f"{where} cannot be read as a .csv table: its header has {len(names)} names, but "
            f"{'line ' + str(row.first) if row else 'a row'} has {width} cells. Correct the header, or set "
            "data.delimiter or data.header=none."
        )
    counts = Counter(name for name in names if name)
    if counts.total() - len(counts) > MOST_NAMESAKES:
        raise BadData(f"{where} has many columns called {counts.most_common(1)[0][0][:60]!r}. Use unique names.")
    return tuple(_unique(names, notes))


def _row_names(cells: Sequence[str]) -> bool:
    """Whether the first cells of the rows, above which there is no name, are names: texts, or counted from 1."""
    words = all(cell and not cell[0].isdigit() and cell[0] not in "+-.," for cell in cells)
    return len(set(cells)) == len(cells) and (words or list(cells) == [str(n + 1) for n in range(len(cells))])


def _unique(names: Sequence[str], notes: list[str]) -> list[str]:
    """The names, repeated ones numbered and absent ones as pandas calls them."""
    out: list[str] = []
    taken, counts = set(names), Counter[str]()
    for column, name in enumerate(names):
        new = name or f"Unnamed: {column}"
        while name and counts[name] and new in taken:
            new = f"{name}.{counts[name]}"
            counts[name] += new in taken
        counts[name] += 1
        taken.add(new)
        out.append(new)
    if len(set(filter(None, names))) < len([name for name in names if name]):
        notes.append("Columns with the same name were numbered, such as 'a.1'.")
    return out
