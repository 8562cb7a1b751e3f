"""Workbooks of Excel (.xlsx, .xlsm): the cells of one sheet, read row by row in bounded memory.

A workbook is a zip archive of XML. openpyxl interprets its parts and cells; the XML is streamed to it, so that one row
is in memory at a time, and the size of all that is read as a whole is checked first.
"""

import warnings
import zipfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import Element, iterparse

from isthmus.data.formats import files
from isthmus.data.formats.files import check_growth, check_size
from isthmus.data.storage.base import File
from isthmus.errors import BadData

MOST_ROWS, MOST_COLUMNS = 2**20, 2**14
"""Rows and columns of a sheet of Excel."""
MOST_PART, MOST_ELEMENTS = 2**24, 2**17
"""Bytes and elements of a part that openpyxl reads as a whole: each becomes an object of a kilobyte."""
MOST_IN_ROW, MOST_OTHERS, DEEPEST, LONGEST_TAG = 16 * MOST_COLUMNS, 2**18, 64, 2**20
"""Elements and attributes of a row, other elements, levels of them, and bytes from one end of a tag to the next."""
MOST_MERGED = 2**17
CELL = 64
"""Bytes that a cell takes in memory."""
ENCRYPTED = b"\xd0\xcf\x11\xe0"
"""First bytes of a protected or an old workbook."""
EMPTY = {"value": None, "column": 0, "data_type": "n", "formula": False}
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


class Merged(NamedTuple):
    """A range of merged cells: its first and last row and column, from 1."""

    top: int
    bottom: int
    left: int
    right: int


@dataclass
class Sheet:
    """The cells of a sheet that hold anything.

    Args:
        title: its name.
        others: names of the other sheets.
        rows: by the number of the row, from 1: the columns of its cells, from 1, and their values.
        merged: ranges of merged cells.
        errors: number of cells with an error such as ``#N/A``, which are left out.
        uncalculated: columns of formulas whose values are not stored, once for each.
    """

    title: str
    others: tuple[str, ...] = ()
    rows: dict[int, tuple["array[int]", list[Any]]] = field(default_factory=dict)
    merged: list[Merged] = field(default_factory=list)
    errors: int = 0
    uncalculated: "array[int]" = field(default_factory=lambda: array("H"))


def read_sheet(file: File, title: str | None) -> Sheet:
    """The cells of a sheet: the one of that name, or the first that is not hidden.

    Raises:
        BadData: the workbook is damaged, protected or too large, or has no such sheet.
    """
    from openpyxl.reader.excel import ExcelReader

    check_growth(file.size, file.packed, repr(file.name))
    with file.open() as stream, warnings.catch_warnings():
        # openpyxl warns of what it leaves out, such as styles
        warnings.simplefilter("ignore")
        _check_start(stream, file)
        reader = ExcelReader(stream, read_only=True, data_only=True, keep_links=False)
        with reader.archive as archive:
            _check_archive(archive, file)
            parts = _sheets(reader, archive, file)
            chosen = _chosen(parts, title, file.name)
            found = Sheet(chosen, tuple(name for name in parts if name != chosen))
            texts = _texts(reader, archive, file)
            with archive.open(parts[chosen].path) as source:
                _fill(found, source, texts, reader.wb, file)
    return found


class _Part(NamedTuple):
    path: str
    hidden: bool


def _check_start(stream: BinaryIO, file: File) -> None:
    head = stream.read(4)
    stream.seek(0)
    if head == ENCRYPTED:
        raise BadData(
            f"{file.name!r} is protected by a password, or has the old format .xls. Save it as .xlsx without a "
            "password, or its sheet as .csv."
        )


def _check_archive(archive: zipfile.ZipFile, file: File) -> None:
    """Refuse an archive that expands too far, or is compressed in another way than a workbook is.

    Raises:
        BadData: it does.
    """
    members = archive.infolist()
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise BadData(f"{file.name!r} is not compressed as a workbook is. Save it again in Excel or LibreOffice.")
    unpacked = sum(member.file_size for member in members)
    # a byte of XML takes longer to read than one of a text
    if unpacked > max(files.FREE // 4, files.GROWTH // 2 * file.packed):
        raise BadData(
            f"{file.name!r} would expand from {file.packed:,} bytes to {unpacked:,}, more than {files.GROWTH // 2} "
            "times, as a decompression bomb does. If it is genuine, save its sheet as .csv."
        )


def _sheets(reader: Any, archive: zipfile.ZipFile, file: File) -> dict[str, _Part]:
    """The sheets by name, in their order; the workbook of the reader has their formats of dates then."""
    from openpyxl.packaging.relationship import get_rels_path
    from openpyxl.reader.excel import _find_workbook_part
    from openpyxl.styles.stylesheet import apply_stylesheet

    _check_part(archive, "[Content_Types].xml", file)
    reader.read_manifest()
    workbook = _find_workbook_part(reader.package).PartName[1:]
    for name in (workbook, get_rels_path(workbook), "xl/styles.xml"):
        _check_part(archive, name, file)
    reader.read_workbook()
    apply_stylesheet(archive, reader.wb)
    sheets = [(sheet, rel) for sheet, rel in reader.parser.find_sheets() if rel.Type.endswith("/worksheet")]
    return {sheet.name: _Part(rel.target, sheet.state != "visible") for sheet, rel in sheets}


def _check_part(archive: zipfile.ZipFile, name: str, file: File) -> None:
    """Refuse a part that is too large to be read as a whole.

    Raises:
        BadData: it is.
    """
    if name not in archive.NameToInfo:
        return
    size = archive.NameToInfo[name].file_size
    data = archive.read(name) if size <= MOST_PART else b""
    _check_entities(data, file.name)
    if size > MOST_PART or data.count(b"<") > MOST_ELEMENTS or data.count(b"=") > 8 * MOST_ELEMENTS:
        raise BadData(
            f"{file.name!r} has a part {name[:60]!r} of {size:,} bytes, more than is read: perhaps it has very many "
            "styles. Save its sheet as .csv."
        )


def _chosen(parts: dict[str, _Part], title: str | None, name: str) -> str:
    """The name of the sheet to be read.

    Raises:
        BadData: there is none.
    """
    from isthmus.data.tables.names import quote_names

    if title is not None:
        if title not in parts:
            raise BadData(
                f"{name!r} has no sheet {title[:60]!r} (data.key). Its sheets are {quote_names(list(parts))}."
            )
        return title
    shown = [sheet for sheet, part in parts.items() if not part.hidden] or list(parts)
    if not shown:
        raise BadData(f"{name!r} has no sheet. Pass a workbook with a table.")
    return shown[0]


def _check_entities(data: bytes, name: str) -> None:
    """Refuse XML that defines entities, which may expand without bound, whatever its encoding.

    Raises:
        BadData: it does.
    """
    if b"<!DOCTYPE" in (data.replace(b"\0", b"") if b"\0" in data else data):
        raise BadData(f"{name!r} has XML with a DTD, which no workbook has. Save it again in Excel or LibreOffice.")


class _Guarded:
    """A stream of XML whose tags and texts are short, without entities of its own.

    Raises:
        BadData: a tag or text is longer than ``LONGEST_TAG``, or there is a DTD.
    """

    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name, self._far, self._last = source, name, 0, b""

    def read(self, size: int = -1, /) -> bytes:
        data: bytes = self._source.read(size)
        _check_entities(self._last + data, self._name)
        self._last = data[-20:]
        place = data.rfind(b">")
        self._far = len(data) - place - 1 if place >= 0 else self._far + len(data)
        if self._far > LONGEST_TAG:
            raise BadData(f"{self._name!r} has a cell of over {LONGEST_TAG:,} characters. Leave it out.")
        return data


def _elements(source: Any, wanted: set[str], file: File) -> Iterator[Element]:
    """The elements of some names, each with all that is in it; all others are dropped when they end.

    Raises:
        BadData: elements are nested too deep, or one of those wanted has too many in it.
    """
    path: list[Element] = []
    inner = count = others = 0
    for event, element in iterparse(_Guarded(source, file.name), ("start", "end")):  # noqa: S314
        if event == "start":
            if not element.tag.startswith(MAIN):
                # the strict variant of the format has another namespace
                element.tag = MAIN + element.tag.rpartition("}")[2]
            if inner or element.tag in wanted:
                inner, count = inner + 1, count + 1 + len(element.attrib)
            else:
                path.append(element)
                others += 1
            if count > MOST_IN_ROW or others > MOST_OTHERS or inner + len(path) > DEEPEST:
                raise BadData(
                    f"{file.name!r} is not a workbook as Excel writes it. Save it again, or pass a .csv file."
                )
        elif inner > 1:
            inner -= 1
        else:
            if inner:
                yield element
                inner = count = 0
            else:
                path.pop()
            if path:
                path[-1].remove(element)


def _texts(reader: Any, archive: zipfile.ZipFile, file: File) -> list[str]:
    """The texts that cells share."""
    from openpyxl.cell.text import Text
    from openpyxl.xml.constants import SHARED_STRINGS

    part = reader.package.find(SHARED_STRINGS)
    if part is None:
        return []
    with archive.open(part.PartName[1:]) as source:
        return [Text.from_tree(element).content for element in _elements(source, {f"{MAIN}si"}, file)]


@cache
def _parser() -> Any:
    """The parser of cells of openpyxl, which also says whether a cell has a formula."""
    from openpyxl.worksheet._reader import WorkSheetParser

    class Cells(WorkSheetParser):  # type: ignore[misc]
        def parse_cell(self, element: Element) -> dict[str, Any]:
            if not len(element) and "r" in element.attrib:
                # sheets are full of cells that only have a style
                return EMPTY
            cell: dict[str, Any] = super().parse_cell(element)
            return {**cell, "formula": element.find(f"{MAIN}f") is not None}

    return Cells


def _fill(found: Sheet, source: Any, texts: list[str], workbook: Any, file: File) -> None:
    """Read the cells of a sheet."""
    parser = _parser()(source, texts, True, workbook.epoch, workbook._date_formats, workbook._timedelta_formats)
    zeros: list[tuple[int, int]] = []
    formulas = cells = 0
    for element in _elements(source, {f"{MAIN}row", f"{MAIN}mergeCell"}, file):
        if element.tag == f"{MAIN}mergeCell":
            found.merged.append(_range(element.get("ref", "")))
            if len(found.merged) > MOST_MERGED:
                raise BadData(f"{file.name!r} has over {MOST_MERGED:,} ranges of merged cells. Unmerge them.")
            continue
        number, row = parser.parse_row(element)
        parser.row_dimensions.clear()
        if not 1 <= number <= MOST_ROWS or number in found.rows:
            raise BadData(f"{file.name!r} has a row {number:,} twice, or beyond the last of a sheet. Save it again.")
        formulas += sum(cell["formula"] for cell in row)
        zeros += _add_row(found, number, row)
        cells += len(found.rows[number][1]) if number in found.rows else 0
        check_size(CELL * cells, repr(file.name))
    # where the values of formulas are to be calculated when the file is opened, those in it may be anything
    if workbook.calculation.fullCalcOnLoad and zeros and len(zeros) + len(found.uncalculated) == formulas:
        for number, place in zeros:
            columns, values = found.rows[number]
            values[place] = None
            found.uncalculated.append(columns[place])


def _add_row(found: Sheet, number: int, row: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Add the cells of a row that hold anything.

    Returns:
        Row and place there of each formula whose value is 0.
    """
    columns, known = array("H"), False
    values: list[Any] = []
    zeros: list[tuple[int, int]] = []
    for cell in row:
        value, column = cell["value"], cell["column"]
        error = cell["data_type"] == "e" and value is not None
        known = known or cell["formula"] or error
        found.errors += error
        if cell["formula"] and value is None:
            found.uncalculated.append(column)
        elif value is not None and value != "" and not error:
            if cell["formula"] and value == 0 and not isinstance(value, bool):
                zeros.append((number, len(values)))
            columns.append(column)
            values.append(value)
    # cells of which only the look is set are no row
    if values or known:
        found.rows[number] = columns, values
    return zeros


def _range(text: str) -> Merged:
    from openpyxl.utils.cell import range_boundaries

    left, top, right, bottom = range_boundaries(text)
    return Merged(top, bottom, left, right)
