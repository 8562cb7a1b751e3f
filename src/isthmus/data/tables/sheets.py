"""The sheet of a workbook as a table: read as the text table with these cells would be.

So a title above the names, a row of units or numbers stored as text mean the same in a workbook as in a text.
"""

import csv
import datetime
import io
from typing import TYPE_CHECKING, Any, BinaryIO

from isthmus.data.base import SourceFile
from isthmus.data.formats.files import check_growth, reading
from isthmus.data.formats.workbook import Merged, Sheet, read_sheet
from isthmus.data.storage.base import File
from isthmus.data.tables.cells import Numerals
from isthmus.data.tables.content import Content
from isthmus.data.tables.delimited import SAMPLE_LINES, Dialect, split
from isthmus.data.tables.heading import find_heading
from isthmus.data.tables.names import quote_names
from isthmus.data.tables.numerals import Evidence, decide
from isthmus.data.tables.reading import NOTES, read_delimited
from isthmus.errors import BadData
from isthmus.options import DataOptions

if TYPE_CHECKING:
    import pandas as pd

MOST_FILLED = 2**22
"""Cells that ranges of merged ones may fill."""
CELL = 24
"""Bytes that a cell takes while it is read, if it is empty in most rows."""
DELIMITER = "\t"


def read_excel(file: File, options: DataOptions, prefer: str = "") -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """The table in a sheet of a workbook, and what was decided about it, one sentence each.

    Args:
        file: the workbook.
        options: ``key`` is the name of the sheet; ``decimal``, ``thousands`` and ``header`` take precedence.
        prefer: decimal mark of the training table, for texts that could be numbers with either.

    Raises:
        BadData: it is damaged or too large, or has no such sheet.
    """
    with reading(file.name, "a workbook of Excel"):
        sheet = read_sheet(file, options.key)
        notes = _notes(sheet, options)
        _fill_merged(sheet, file.name)
        notes += _join_names(sheet)
        frame, more = _frame(sheet, file, options, prefer)
        _check_formulas(sheet, frame, file.name, options)
        return frame, (*notes, *more)


def _notes(sheet: Sheet, options: DataOptions) -> list[str]:
    """What was found that a reader might not expect."""
    notes = []
    if sheet.others and options.key is None:
        notes.append(f"The sheet {sheet.title!r} is read (data.key); others are {quote_names(list(sheet.others))}.")
    if sheet.errors:
        cells = f"{sheet.errors:,} cell{'' if sheet.errors == 1 else 's'}"
        notes.append(f"{cells} with an error such as #N/A {'is' if sheet.errors == 1 else 'are'} missing.")
    if sheet.uncalculated:
        notes.append(
            f"{len(sheet.uncalculated):,} formulas have no stored value and are missing: open the file in Excel or "
            "LibreOffice and save it, which calculates them."
        )
    return notes


def _fill_merged(sheet: Sheet, name: str) -> None:
    """Give all rows of a merged cell the value of the first.

    Raises:
        BadData: merged cells are too many.
    """
    tall = [area for area in sheet.merged if area.bottom > area.top]
    if sum(area.bottom - area.top for area in tall) > MOST_FILLED:
        raise BadData(f"{name!r} has over {MOST_FILLED:,} merged cells. Unmerge them.")
    for area in tall:
        value = _value(sheet, area.top, area.left)
        for number in range(area.top + 1, area.bottom + 1) if value is not None else ():
            if number in sheet.rows and area.left not in sheet.rows[number][0]:
                columns, values = sheet.rows[number]
                columns.append(area.left)
                values.append(value)


def _value(sheet: Sheet, number: int, column: int) -> Any:
    columns, values = sheet.rows.get(number, ((), ()))
    return next((value for other, value in zip(columns, values, strict=True) if other == column), None)


def _join_names(sheet: Sheet) -> list[str]:
    """Join names in two rows to one, where a merged cell stands above several names.

    Returns:
        A note if there are such names.
    """
    wide: dict[int, list[Merged]] = {}
    for area in sheet.merged:
        if area.top == area.bottom and area.right > area.left:
            wide.setdefault(area.top, []).append(area)
    for top in sorted(wide)[:8]:
        below = dict(zip(*sheet.rows.get(top + 1, ((), ())), strict=True))
        above = dict(zip(*sheet.rows.get(top, ((), ())), strict=True))
        groups = {column: above.get(area.left) for area in wide[top] for column in range(area.left, area.right + 1)}
        named = all(isinstance(below.get(column), str) for column in groups)
        # a title stands above all names
        if not named or (len(wide[top]) == 1 and groups.keys() >= below.keys()):
            continue
        outer = above | groups
        for place, column in enumerate(sheet.rows[top + 1][0]):
            text, before = sheet.rows[top + 1][1][place], outer.get(column)
            if before is not None and before != text:
                sheet.rows[top + 1][1][place] = f"{before} {text}"
        del sheet.rows[top]
        return ["The names in merged cells were put before those below them."]
    return []


def _check_formulas(sheet: Sheet, frame: "pd.DataFrame", name: str, options: DataOptions) -> None:
    """Refuse columns of formulas that no program has calculated.

    Raises:
        BadData: there are some that are not excluded.
    """
    if not sheet.uncalculated:
        return
    empty = [str(column) for column in frame.columns if frame[column].isna().all()]
    without = [column for column in empty if column not in options.exclude]
    if without:
        raise BadData(
            f"{name!r} has formulas without their values, which the program that wrote it did not calculate: columns "
            f"{quote_names(without)}. Open it in Excel or LibreOffice and save it, or leave them out with "
            f"data.exclude={','.join(column[:60] for column in without[:8])}."
        )


class _Text(File):
    """The cells of a workbook as a text file."""

    def __init__(self, file: File, data: bytes) -> None:
        self._file, self._data, self.name = file, data, file.name
        self.size = self.packed = len(data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self._data)

    def record(self) -> SourceFile:
        return self._file.record()


def _frame(sheet: Sheet, file: File, options: DataOptions, prefer: str) -> "tuple[pd.DataFrame, tuple[str, ...]]":
    """The table of the cells, read as a text."""
    numbers = sorted(sheet.rows)
    places = {column: place for place, column in enumerate(sorted({c for row in sheet.rows.values() for c in row[0]}))}
    if not places:
        others = f" Set data.key to another: {quote_names(list(sheet.others))}." if sheet.others else ""
        raise BadData(f"The sheet {sheet.title[:60]!r} of {file.name!r} is empty.{others or ' Pass one with a table.'}")
    check_growth(CELL * len(places) * len(numbers), file.packed, repr(file.name))
    numerals, note = _numerals(sheet, options, prefer)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=DELIMITER, lineterminator="\n")
    for number in numbers:
        cells = [""] * len(places)
        for column, value in zip(*sheet.rows[number], strict=True):
            cells[places[column]] = _written(value, numerals.decimal)
        writer.writerow(cells)
    content = Content(_Text(file, text.getvalue().encode("utf-8", "replace")), "utf-8")
    with content.open() as stream:
        lines = [(n + 1, line) for n, line in zip(range(SAMPLE_LINES), stream, strict=False)]
    heading = find_heading(split(lines, DELIMITER), [], numerals, options.header, repr(file.name))
    told = DataOptions(decimal="," if numerals.decimal == "," else ".", thousands=numerals.thousands or "none")
    dialect = Dialect(content, DELIMITER, numerals, "", '"', heading, told=told)
    frame = read_delimited(dialect)
    empty = numbers[-1] - numbers[0] + 1 - len(numbers)
    gaps = [f"{empty:,} empty row{'' if empty == 1 else 's'} inside the sheet left out."] if empty else []
    return frame, (*gaps, *([note] if note else []), *heading.notes, *frame.attrs.pop(NOTES, ()))


def _numerals(sheet: Sheet, options: DataOptions, prefer: str) -> tuple[Numerals, str]:
    """How texts in the sheet write numbers, by these only, and a note."""
    texts: dict[int, list[str]] = {}
    for columns, values in sheet.rows.values():
        for column, value in zip(columns, values, strict=True):
            if isinstance(value, str) and any(mark.isdecimal() for mark in value[:40]):
                texts.setdefault(column, []).append(value)
    evidence = Evidence()
    for cells in texts.values():
        evidence.add(cells)
    return decide(evidence, ",", options, prefer)


def _written(value: Any, decimal: str) -> str:
    """A cell as text."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    if isinstance(value, int | float):
        return repr(value).replace(".", decimal)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return " ".join(str(value).split()) if any(mark in str(value) for mark in "\r\n\t") else str(value)
