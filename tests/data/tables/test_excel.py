"""Workbooks of Excel: the same table as in a text, and what only a workbook has."""

import datetime
import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pytest
import xlsxwriter
from fuzz.judge import judge
from read_tables import features, said, values

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.sources.arrays import Examples
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
# the writers of workbooks write 16 digits
X = RNG.normal(size=(30, 3)).round(12)
NA = None


def book(path: Path, rows: Iterable[Iterable[Any]], *, merged: str = "", title: str = "Sheet1") -> Path:
    """A workbook by openpyxl."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    for area in merged.split():
        sheet.merge_cells(area)
    workbook.save(path)
    return path


def opened(path: Path, **options: Any) -> Dataset:
    found = open_data(path, DataOptions(**options))
    assert isinstance(found, Dataset)
    return found


@pytest.mark.parametrize("engine", ["openpyxl", "xlsxwriter"])
def test_a_workbook_gives_what_its_data_frame_gives(tmp_path: Path, engine: Any) -> None:
    frame = pd.DataFrame(X, columns=list("abc"), index=[f"row {n}" for n in range(30)])
    frame = frame.assign(kind=["red", "blue", "red"] * 10, on=X[:, 0] > 0, y=np.arange(30) % 4)
    frame.iloc[3, 1] = np.nan
    frame.to_excel(tmp_path / "t.xlsx", engine=engine)
    found, direct = opened(tmp_path / "t.xlsx", labels="y"), open_data(frame, DataOptions(labels="y"))
    assert isinstance(direct, Dataset)
    assert isinstance(direct.train, Examples)
    assert isinstance(found.train, Examples)
    assert features(found) == ("a", "b", "c", "kind=blue", "kind=red", "on")
    np.testing.assert_array_equal(values(found), values(direct))
    np.testing.assert_array_equal(found.train.labels, np.arange(30) % 4)
    assert found.train.names is not None
    assert found.train.names.tolist() == list(frame.index)


def test_a_sheet_is_read_like_the_text_with_its_cells(tmp_path: Path) -> None:
    rows = [
        ["Measured by A. N. Other", NA, NA],
        [NA, NA, NA],
        ["t", "p", "n"],
        ["degC", "bar", "mol"],
        ["1,5", "1.234,5", 7],
        ["2,25", "9,75", 8],
        ["n/a", "3,125", 9],
    ]
    text = "\n".join(";".join("" if cell is NA else str(cell) for cell in row) for row in rows)
    (tmp_path / "t.csv").write_text(text)
    found, plain = opened(book(tmp_path / "t.xlsx", rows)), opened(tmp_path / "t.csv")
    np.testing.assert_array_equal(values(found), [[1.5, 1234.5, 7], [2.25, 9.75, 8], [np.nan, 3.125, 9]])
    np.testing.assert_array_equal(values(found), values(plain))
    assert features(found) == features(plain) == ("t", "p", "n")
    for text in ("before the table is left out", "holds units ('degC', 'bar', 'mol', ...)", "decimal mark is a comma"):
        assert said(found, text), text
    assert said(found, "1 empty row inside the sheet left out")


def test_numbers_are_exact_beside_texts_with_a_decimal_comma(tmp_path: Path) -> None:
    rows = [["a", "b"], *([number, "0,5"] for number in [*X[:, 0].tolist(), 1e-300, 1.5e300, 2**53, 1234.567])]
    found = values(opened(book(tmp_path / "t.xlsx", rows)))
    np.testing.assert_array_equal(found[:, 0], [*X[:, 0], 1e-300, 1.5e300, 2**53, 1234.567])
    assert set(found[:, 1]) == {0.5}
    found = opened(book(tmp_path / "t.xlsx", [["a", "b"], [1.234, 1], [2.345, 2]]))
    assert values(found).tolist() == [[1.234, 1], [2.345, 2]]
    assert found.notes == ()


def test_an_empty_border_and_empty_columns_are_no_part_of_the_table(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for row, cells in enumerate([["a", NA, "b"], [1, NA, 2], [3, NA, 4]]):
        for column, value in enumerate(cells):
            workbook.active.cell(row + 5, column + 4, value)
    workbook.active.cell(60, 20).font = openpyxl.styles.Font(bold=True)
    workbook.save(tmp_path / "t.xlsx")
    found = opened(tmp_path / "t.xlsx")
    assert features(found) == ("a", "b")
    assert values(found).tolist() == [[1, 2], [3, 4]]


def test_the_sheet_is_the_first_that_is_shown_unless_named(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for name, value in (("notes", 1), ("data", 2), ("more", 3)):
        sheet = workbook.create_sheet(name)
        for cells in (["a"], [value], [value + 10]):
            sheet.append(cells)
    del workbook["Sheet"]
    workbook["notes"].sheet_state = "hidden"
    workbook.save(tmp_path / "t.xlsx")
    found = opened(tmp_path / "t.xlsx")
    assert values(found).tolist() == [[2], [12]]
    assert said(found, "The sheet 'data' is read (data.key); others are 'notes', 'more'.")
    named = opened(tmp_path / "t.xlsx", key="notes")
    assert values(named).tolist() == [[1], [11]]
    assert named.notes == ()
    with pytest.raises(BadData, match=r"no sheet 'x' \(data.key\). Its sheets are 'notes', 'data', 'more'"):
        opened(tmp_path / "t.xlsx", key="x")


def test_an_empty_first_sheet_is_refused_with_the_names_of_the_others(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    workbook.create_sheet("data").append([1])
    workbook.save(tmp_path / "t.xlsx")
    with pytest.raises(BadData, match=r"sheet 'Sheet' of 't.xlsx' is empty. Set data.key to another: 'data'"):
        opened(tmp_path / "t.xlsx")


def test_dates_name_the_rows_and_errors_are_missing(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(str(tmp_path / "t.xlsx")) as workbook:
        sheet, day = workbook.add_worksheet(), workbook.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["when", "a", "b"])
        for row in range(4):
            sheet.write_datetime(row + 1, 0, datetime.datetime(2024, 2, 27 + row if row < 3 else 1), day)
            sheet.write_number(row + 1, 1, row / 4)
            sheet.write_formula(row + 1, 2, "=1/0", None, "#DIV/0!" if row == 2 else 2.5)
    found = opened(tmp_path / "t.xlsx")
    assert features(found) == ("a", "b")
    np.testing.assert_array_equal(values(found), [[0, 2.5], [0.25, 2.5], [0.5, np.nan], [0.75, 2.5]])
    assert isinstance(found.train, Examples)
    assert found.train.names is not None
    assert found.train.names.tolist() == ["2024-02-27", "2024-02-28", "2024-02-29", "2024-02-01"]
    assert said(found, "1 cell with an error such as #N/A is missing")


def test_times_and_truth_values(tmp_path: Path) -> None:
    rows = [["t", "a", "on"], *([datetime.datetime(2024, 1, 1, 12, n), n, n > 1] for n in range(3))]
    found = opened(book(tmp_path / "t.xlsx", rows))
    assert values(found).tolist() == [[0, 0], [1, 0], [2, 1]]
    assert isinstance(found.train, Examples)
    assert found.train.names is not None
    assert found.train.names[1] == "2024-01-01 12:01:00"


def formulas(path: Path, engine: str, value: object = None) -> Path:
    """A column of numbers and one of formulas, all or all but the first of which have no value."""
    if engine == "openpyxl":
        return book(path, [["a", "twice"], [1, "=2*A2"], [2, "=2*A3"]])
    with xlsxwriter.Workbook(str(path)) as workbook:
        sheet = workbook.add_worksheet()
        sheet.write_row(0, 0, ["a", "twice"])
        for row in (1, 2):
            sheet.write_number(row, 0, row)
            sheet.write_formula(row, 1, f"=2*A{row + 1}", None, value or 0)
    return path


@pytest.mark.parametrize("engine", ["openpyxl", "xlsxwriter"])
def test_formulas_that_nothing_has_calculated_are_refused_and_not_zero(tmp_path: Path, engine: str) -> None:
    path = formulas(tmp_path / "t.xlsx", engine)
    with pytest.raises(BadData, match=r"formulas without their values, .* columns 'twice'. Open it in Excel"):
        opened(path)
    found = opened(path, exclude="twice")
    assert values(found).tolist() == [[1], [2]]
    assert said(found, "2 formulas have no stored value and are missing")


def test_formulas_give_their_values(tmp_path: Path) -> None:
    assert values(opened(formulas(tmp_path / "t.xlsx", "xlsxwriter", 8))).tolist() == [[1, 8], [2, 8]]


def test_merged_cells_hold_their_value_in_each_row(tmp_path: Path) -> None:
    rows = [["group", "a"], ["x", 1], [NA, 2], ["y", 3], [NA, 4]]
    found = opened(book(tmp_path / "t.xlsx", rows, merged="A2:A3 A4:A5"), labels="group")
    assert values(found).tolist() == [[1], [2], [3], [4]]
    assert isinstance(found.train, Examples)
    assert found.train.labels is not None
    assert found.train.labels.tolist() == [0, 0, 1, 1]


def test_names_in_two_rows_are_joined_where_cells_are_merged(tmp_path: Path) -> None:
    rows = [["id", "wall", NA, "roof", NA], [NA, "t", "p", "t", "p"], [1, 2, 3, 4, 5], [2, 6, 7, 8, 9]]
    found = opened(book(tmp_path / "t.xlsx", rows, merged="A1:A2 B1:C1 D1:E1"))
    assert features(found) == ("wall t", "wall p", "roof t", "roof p")
    assert values(found).tolist() == [[2, 3, 4, 5], [6, 7, 8, 9]]
    assert said(found, "names in merged cells were put before")


def test_a_title_over_all_columns_is_left_out(tmp_path: Path) -> None:
    rows = [["All of it", NA], ["a", "b"], [1, 2], [3, 4]]
    found = opened(book(tmp_path / "t.xlsx", rows, merged="A1:B1"))
    assert features(found) == ("a", "b")
    assert values(found).tolist() == [[1, 2], [3, 4]]


def test_new_rows_need_only_the_columns_of_the_training_table(tmp_path: Path) -> None:
    found = opened(book(tmp_path / "a.xlsx", [["a", "b"], [1, 2], [3, 4]]))
    new = open_data(book(tmp_path / "b.xlsx", [["b", "a"], [5, 6]]), DataOptions(), schema=found.schema)
    assert isinstance(new, Dataset)
    assert values(new).tolist() == [[6, 5]]


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = book(tmp_path / "t.xlsx", [["a"], [1]])
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    with pytest.raises(MissingExtra, match=r"openpyxl.* pip install 'isthmus\[tabular\]'"):
        opened(path)


@pytest.mark.parametrize("name", ["t.xls", "t.ods", "t.xlsb"])
def test_other_workbooks_are_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with pytest.raises(BadData, match=rf"'{name}' .*Save it as .xlsx, or its sheet as .csv"):
        opened(tmp_path / name)
    (tmp_path / "t.xlsx").write_bytes(b"\xd0\xcf\x11\xe0" + bytes(600))
    with pytest.raises(BadData, match=r"protected by a password, or has the old format .xls"):
        opened(tmp_path / "t.xlsx")


def replaced(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The workbook with another content of one part."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new:
        for member in old.namelist():
            data = old.read(member)
            new.writestr(member, change(data) if member == name else data)
    path.write_bytes(out.getvalue())
    return path


SHEET, BOOK, STYLES = "xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"
LAUGHS = (
    b'<!DOCTYPE x [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]>"
)
NS = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def sheet(rows: bytes, after: bytes = b"") -> bytes:
    return b"<worksheet %s><sheetData>%s</sheetData>%s</worksheet>" % (NS, rows, after)


ATTACKS: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "entities in the sheet": (SHEET, lambda data: LAUGHS + data, "has XML with a DTD"),
    "entities in the styles": (STYLES, lambda data: LAUGHS + data, "has XML with a DTD"),
    "entities in UTF-16": (SHEET, lambda data: (LAUGHS + data).decode().encode("utf-16"), "has XML with a DTD"),
    "a sheet of blanks": (SHEET, lambda data: data + b" " * 100_000_000, "would expand from"),
    "very many elements": (SHEET, lambda data: sheet(b"", b"<a/>" * 3_000_000), "as Excel writes it"),
    "very many in a row": (SHEET, lambda data: sheet(b"<row>" + b"<c/>" * 3_000_000), "as Excel writes it"),
    "very many attributes": (
        SHEET,
        lambda data: sheet(b"<row %s/>" % b" ".join(b'a%d=""' % n for n in range(10**6))),
        "cell of over 1,048,576",
    ),
    "very deep elements": (SHEET, lambda data: sheet(b"<a>" * 10**6), "as Excel writes it"),
    "very many styles": (STYLES, lambda data: data.replace(b"</fonts>", b"<font/>" * 300_000 + b"</fonts>"), "styles"),
    "a row beyond the last": (
        SHEET,
        lambda data: sheet(b'<row r="99999999999999"><c r="A1"><v>1</v></c></row>'),
        "row",
    ),
    "a column beyond the last": (
        SHEET,
        lambda data: sheet(b'<row r="1"><c r="ZZZZZZ1"><v>1</v></c></row>'),
        "as a work",
    ),
    "cells far apart": (
        SHEET,
        lambda data: sheet(b"".join(b"<row><c r='%s1'><v>1</v></c></row>" % LETTERS[n % 16000] for n in range(32_000))),
        "GiB in memory",
    ),
    "many merged cells": (SHEET, lambda data: sheet(b"<row/>", b'<mergeCell ref="A1:A1048576"/>' * 9), "merged cells"),
    "no such text": (SHEET, lambda data: sheet(b'<row><c t="s"><v>99</v></c></row>'), "cannot be read as a workbook"),
    "a number of many digits": (
        SHEET,
        lambda data: sheet(b"<row><c><v>" + b"9" * 10_000 + b"</v></c></row>"),
        "as a work",
    ),
}
LETTERS = [openpyxl.utils.get_column_letter(n + 1).encode() for n in range(16_000)]


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_are_refused_in_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    part, change, message = ATTACKS[name]
    path = replaced(book(tmp_path / "t.xlsx", [["a"], [1]]), part, change)
    assert path.stat().st_size < 2**22
    refusal = judge(lambda: opened(path), tmp_path)
    assert "'t.xlsx'" in (refusal or "")
    assert message in (refusal or "")


def test_a_truncated_workbook_is_refused(tmp_path: Path) -> None:
    path = book(tmp_path / "t.xlsx", [["a"], [1]])
    data = path.read_bytes()
    for size in (0, 3, 100, len(data) // 2, len(data) - 5):
        path.write_bytes(data[:size])
        assert "'t.xlsx'" in (judge(lambda: opened(path), tmp_path) or "")
