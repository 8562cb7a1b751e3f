"""Text tables as people write them give exactly the numbers of the plain file, or a refusal that says the cause."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.data.readers.archives import data_file
from isthmus.data.readers.paths import read_path
from isthmus.data.storage.base import File
from isthmus.data.storage.compressed import on_disk
from isthmus.data.storage.disk import DiskFile
from isthmus.data.tables.reading import read_table
from isthmus.data.tables.schema import infer_schema
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
ROWS = 60
TABLE = pd.DataFrame(RNG.normal(size=(ROWS, 4)), columns=["V1", "V2", "V3", "Time"]).assign(
    Time=np.sort(RNG.integers(0, 172_792, ROWS)), Amount=np.round(RNG.lognormal(3, 1.5, ROWS), 2)
)
VALUES = TABLE.to_numpy()
PLAIN = TABLE.to_csv(index=False)


def table_in(path: Path) -> File:
    file = data_file(DiskFile(path), DataOptions())
    if file is None:
        read_path(path, DataOptions())
    assert file is not None
    return file


def read(path: Path, data: str | bytes, **options: Any) -> tuple[np.ndarray, tuple[str, ...]]:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    chosen = DataOptions(**options)
    frame, notes = read_table(table_in(path), chosen)
    schema = infer_schema(frame, chosen, repr(path.name))
    return schema.matrix(frame, repr(path.name)), (*notes, *schema.notes)


def written(frame: pd.DataFrame, **options: Any) -> str:
    return frame.to_csv(index=False, **options)


def zipped(data: bytes, name: str = "t.csv") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__MACOSX/x", "")
        archive.writestr(name, data)
    return out.getvalue()


HEAD, BODY = PLAIN.split("\n", 1)
UNITS = ["mV", "mV", "mV", "s", "EUR"]
SPREAD = "\n".join(line + ";;;" for line in written(TABLE, sep=";").splitlines())
GERMAN = TABLE.assign(Amount=[f"{v * 100:,.2f}".translate(str.maketrans(",.", ".,")) for v in TABLE.Amount])
ORDINARY: dict[str, tuple[str | bytes, str]] = {
    "plain": (PLAIN, ""),
    "crlf": (PLAIN.replace("\n", "\r\n"), ""),
    "cr": (PLAIN.replace("\n", "\r"), ""),
    "no end of line": (PLAIN.rstrip("\n"), ""),
    "blank lines": ("\n\n" + PLAIN.replace("\n", "\n\n"), ""),
    "semicolons": (written(TABLE, sep=";"), "separated by semicolons .data.delimiter"),
    "decimal comma": (written(TABLE, sep=";", decimal=","), "decimal mark is a comma .*data.decimal"),
    "decimal comma and tabs": (written(TABLE, sep="\t", decimal=","), "decimal mark is a comma"),
    "decimal comma in quotes": (written(TABLE.map(lambda v: repr(float(v)).replace(".", ","))), "is a comma"),
    "tabs": (written(TABLE, sep="\t"), "separated by tabs"),
    "bars": (written(TABLE, sep="|"), "vertical bars"),
    "spaces": (TABLE.to_string(index=False, float_format=lambda v: repr(float(v))), "white space"),
    "spaces around": (PLAIN.replace(",", " ,  "), ""),
    "quoted": (written(TABLE, quoting=csv.QUOTE_ALL), ""),
    "single quotes": (written(TABLE, quoting=csv.QUOTE_ALL, quotechar="'"), ""),
    "comment": ("# exported by logger 3\n" + PLAIN, "Lines that start with '#' .*data.comment"),
    "comments": ("% a\n% b, c\n\n" + PLAIN.replace("\n", "\n% d\n"), "start with '%'"),
    "slashes": ("// a\n" + PLAIN, "'//'"),
    "names in a comment": (f"# logger\n# {HEAD.replace(',', ' ')}\n{BODY.replace(',', ' ')}", "last comment holds the"),
    "excel": ("sep=;\n" + written(TABLE, sep=";"), "semicolons"),
    "title": ("Report of the logger\n\n" + PLAIN, "first line before the table is left out .data.header"),
    "titles": ("Report;;;;\nof;;;;\n;;;;\n" + written(TABLE, sep=";"), "lines before the table are"),
    "units": (f"{HEAD}\n{','.join(UNITS)}\n{BODY}", "holds units .*data.header"),
    "units in brackets": (f"{HEAD}\n[mV],[mV],[mV],[s],-\n{BODY}", "holds units"),
    "trailing delimiters": (PLAIN.replace("\n", ",\n"), ""),
    "trailing in rows": (f"{HEAD}\n" + BODY.replace("\n", ",\n"), ""),
    "empty columns": (SPREAD, "semicolons"),
    "bom": (b"\xef\xbb\xbf" + PLAIN.encode(), ""),
    "utf-16": (PLAIN.encode("utf-16"), "encoding is utf-16 .data.encoding"),
    "utf-16 without a mark": (PLAIN.encode("utf-16-le"), "utf-16-le"),
    "utf-16 with crlf": (PLAIN.replace("\n", "\r\n").encode("utf-16-be"), "utf-16-be"),
    "utf-32": (PLAIN.encode("utf-32"), "utf-32"),
    "cp1252": (PLAIN.replace("Time", "t \u00b5s").encode("cp1252"), "encoding is cp1252"),
    "latin-1": (PLAIN.replace("Time", "t \u0081").encode("latin-1"), "encoding is latin-1"),
    "gzip": (gzip.compress(PLAIN.encode()), "compressed with gzip"),
    "bzip2": (bz2.compress(PLAIN.encode()), "bzip2"),
    "xz": (lzma.compress(PLAIN.encode()), "xz"),
    "xz of two streams": (lzma.compress(PLAIN.encode()[:500]) + lzma.compress(PLAIN.encode()[500:]), "xz"),
    "zip": (zipped(PLAIN.encode()), "zip"),
    "index": (TABLE.to_csv(), "has no name .*data.index=none"),
    "number sign above the index": (TABLE.to_csv(index_label="#"), "'#' counts the rows"),
    "shuffled index": (TABLE.set_index(RNG.permutation(ROWS)).to_csv(), "data.index=none"),
    "names of rows": (TABLE.set_index(pd.Index([f"car {n}" for n in range(ROWS)])).to_csv(), "names the rows"),
    "rows of R": ("\n".join([HEAD, *(f"{n},{row}" for n, row in enumerate(BODY.splitlines(), 1))]), "name of the row"),
    "rows of R in spaces": (
        "\n".join(
            [HEAD.replace(",", " "), *(f'"car {n}" {r}'.replace(",", " ") for n, r in enumerate(BODY.splitlines()))]
        ),
        "name of the row",
    ),
    "dates": (TABLE.assign(d=pd.date_range("2024", periods=ROWS, freq="h"))[["d", *TABLE]].to_csv(index=False), "'d'"),
    "european dates": (
        written(
            TABLE.assign(d=pd.date_range("2024", periods=ROWS).strftime("%d.%m.%Y"))[["d", *TABLE]],
            sep=";",
            decimal=",",
        ),
        "'d' holds dates",
    ),
    "minus sign": (PLAIN.replace("-", "\u2212"), ""),
}


@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_variants_give_exactly_the_same_numbers(tmp_path: Path, case: str) -> None:
    data, note = ORDINARY[case]
    x, notes = read(tmp_path / "a.csv", data)
    np.testing.assert_array_equal(x, VALUES)
    if note:
        assert any(pd.Series([n]).str.contains(note)[0] for n in notes), notes
    else:
        assert notes == ()


@pytest.mark.parametrize("sep", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("top", ["", "# comment\n", "title\n"])
def test_a_table_without_names_keeps_its_first_row(tmp_path: Path, sep: str, top: str) -> None:
    decimal = "," if sep == ";" else "."
    x, _ = read(tmp_path / "a.csv", top + written(TABLE, sep=sep, decimal=decimal, header=False))
    np.testing.assert_array_equal(x, VALUES)


def test_thousands_of_every_country(tmp_path: Path) -> None:
    expected = VALUES.copy()
    expected[:, 4] = [float(f"{v * 100:.2f}") for v in TABLE.Amount]
    american = TABLE.assign(Amount=[f"{v * 100:,.2f}" for v in TABLE.Amount])
    for sep in ",;\t":
        x, notes = read(tmp_path / "a.csv", written(american, sep=sep))
        np.testing.assert_array_equal(x, expected)
        assert any("comma separates thousands" in note for note in notes)
    x, notes = read(tmp_path / "a.csv", written(GERMAN, sep=";", decimal=","))
    np.testing.assert_array_equal(x, expected)
    assert any("is a comma, and a point separates thousands" in note for note in notes)
    for mark in (" ", "'", "\u00a0", "\u202f", "\u2019"):
        other = american.assign(Amount=[v.replace(",", mark) for v in american.Amount])
        x, _ = read(tmp_path / "a.csv", written(other, sep=";"))
        np.testing.assert_array_equal(x, expected)


WHOLE = RNG.integers(0, 5_000_000, (40, 3))
WHOLE[:6, 0] = [1, 22, 333, 1000, 22_000, 999_999]
SMALL = RNG.integers(0, 9000, (80, 3))


@pytest.mark.parametrize("whole", [WHOLE, SMALL], ids=["millions", "thousands"])
@pytest.mark.parametrize(("mark", "sep"), [(",", ","), (",", ";"), (".", ";"), (",", "\t"), (".", ","), ("'", ",")])
def test_whole_numbers_with_thousands(tmp_path: Path, mark: str, sep: str, whole: np.ndarray) -> None:
    if (mark, sep) == (".", ",") and whole is SMALL:
        # a point between commas is a decimal mark unless there is evidence
        whole = whole / np.where(whole < 1000, 1, 1000)
        frame = pd.DataFrame(whole, columns=list("abc")).map(lambda v: f"{v:.3f}".replace(".000", ""))
        np.testing.assert_array_equal(read(tmp_path / "a.csv", written(frame))[0], whole)
        return
    frame = pd.DataFrame(whole, columns=list("abc")).map(lambda v: f"{v:,}".replace(",", mark))
    x, notes = read(tmp_path / "a.csv", written(frame, sep=sep))
    np.testing.assert_array_equal(x, whole)
    assert any("data.thousands" in note for note in notes)


@pytest.mark.parametrize(
    ("cells", "sep", "expected", "options"),
    [
        (["1,234", "5,678"], ",", [1234, 5678], {}),
        (["1,234", "5,678"], ";", [1.234, 5.678], {}),
        (["1,234", "5,678"], ";", [1234, 5678], {"decimal": "."}),
        (["1,234", "5,678"], ";", [1234, 5678], {"thousands": ","}),
        (["1,234", "0,678"], ";", [1.234, 0.678], {}),
        (["1,234", "0,678"], "\t", [1.234, 0.678], {}),
        (["1.234", "5.678"], ",", [1.234, 5.678], {}),
        (["1.234", "5.678"], ";", [1.234, 5.678], {}),
        (["1.234", "5.678"], ";", [1234, 5678], {"decimal": ","}),
        (["1.234", "5,678"], ";", [1.234, 5678], {}),
        (["1.234", "1.234.567"], ";", [1234, 1234567], {}),
        (["1,5E+03", "2,25e-1"], ";", [1500, 0.225], {}),
        (["1.5E+03", "2"], ",", [1500, 2], {}),
        (["+1", "-.5"], ",", [1, -0.5], {}),
        (["1 234,5", "12"], ";", [1234.5, 12], {}),
        (["1'234.5", "12"], ",", [1234.5, 12], {}),
    ],
)
def test_marks_are_decided_by_evidence(
    tmp_path: Path, cells: list[str], sep: str, expected: list[float], options: dict[str, str]
) -> None:
    frame = pd.DataFrame({"a": cells, "b": [7, 8]})
    x, notes = read(tmp_path / "a.csv", written(frame, sep=sep), **options)
    np.testing.assert_array_equal(x, np.column_stack([expected, [7, 8]]))
    if any("," in cell for cell in cells):
        assert any("data.decimal" in note for note in notes)


def test_thousands_that_begin_after_the_sample_are_found(tmp_path: Path) -> None:
    values = np.r_[np.arange(1500), 1234.5]
    cells = [f"{value:,}".replace(".0", "") for value in values]
    x, _ = read(tmp_path / "a.csv", written(pd.DataFrame({"a": cells, "b": 0.5})))
    np.testing.assert_array_equal(x[:, 0], values)
    cells = [f"{value:.1f}".replace(".0", "").replace(".", ",") for value in values]
    x, _ = read(tmp_path / "a.csv", written(pd.DataFrame({"a": cells, "b": 7}), sep=";"))
    np.testing.assert_array_equal(x[:, 0], values)


@pytest.mark.parametrize("word", ["", "?", "-", "NA", "n/a", "N/A", "null", "None", ".", "#N/A", "NaN", "nan", "--"])
def test_words_for_missing_values(tmp_path: Path, word: str) -> None:
    frame = TABLE.astype(object)
    frame.loc[5, "V3"] = word
    expected = VALUES.copy()
    expected[5, 2] = np.nan
    x, _ = read(tmp_path / "a.csv", written(frame))
    np.testing.assert_array_equal(x, expected)


def test_a_word_in_a_column_of_numbers_is_named(tmp_path: Path) -> None:
    frame = TABLE.astype(object)
    frame.loc[5, "V3"] = "broken"
    with pytest.raises(BadData, match=r"'V3' \(row 5: 'broken'\).*data.exclude=V3"):
        read(tmp_path / "a.csv", written(frame))
    frame = TABLE.astype(object)
    frame.loc[0, "V3"] = "broken"
    with pytest.raises(BadData, match=r"'V3' \(row 0: 'broken'\)"):
        read(tmp_path / "a.csv", written(frame))
    for sign in ("12%", "\u20ac 5", "5 $"):
        with pytest.raises(BadData, match=r"'V3' \(row 0: '"):
            read(tmp_path / "a.csv", written(TABLE.assign(V3=sign)))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("1,2\n3,4\n", None),
        ("0,1,2\n3,4,5\n", "0 1 2"),
        (",0,1\n0,3.5,4\n1,5,6\n", "0 1"),
        ("5.1,3.5,iris\n4.9,3.0,iris\n4.7,3.2,iris\n", None),
        ("1,2,cat\n3,4,cat\n5,6,dog\n", None),
        ("country,1990,1991,1992\n" + "a,1,2,3\nb,5,3,4\n" * 20, "country 1990 1991 1992"),
        ("sample,400.1,400.6,401.1\n" + "a,1,2,3\nb,5,3,4\n" * 20, "sample 400.1 400.6 401.1"),
        ("400,402,404,406,408\n0.1,0.3,0.2,0.5,0.1\n0.3,0.2,0.3,0.1,0.9\n", "400 402 404 406 408"),
        ("1,2,3,4,5\n2,3,4,5,6\n", None),
        ("1,?,3\n4,5,6\n", None),
    ],
)
def test_a_first_row_of_numbers_is_data_unless_it_counts(tmp_path: Path, text: str, names: str | None) -> None:
    (tmp_path / "a.csv").write_text(text)
    frame, _ = read_table(on_disk(tmp_path / "a.csv"), DataOptions())
    found = [name for name in map(str, frame.columns) if not name.startswith("Unnamed")]
    assert found == (names.split() if names else [str(n) for n in range(frame.shape[1])])
    lines = len(text.splitlines())
    assert len(frame) == lines - (names is not None)
    headed, _ = read_table(on_disk(tmp_path / "a.csv"), DataOptions(header="first"))
    assert len(headed) == lines - 1
    bare, _ = read_table(on_disk(tmp_path / "a.csv"), DataOptions(header="none"))
    assert len(bare) == lines


REFUSED: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "long row": ("a,b\n1,2\n3,4,5\n", {}, r"cannot be read as a .csv table: row 1 \(line 3\) has 3 cells, but 2"),
    "short row": (HEAD + "\n" + BODY + "1,2\n", {}, rf"row {ROWS} \(line {ROWS + 2}\) has 2 cells, but 5"),
    "long rows": ("a,b\n1,2,3\n3,4,5\n", {}, r"header has 2 names, but line 2 has 3 cells"),
    "semicolons by force": (
        written(TABLE, sep=";", decimal=","),
        {"delimiter": ","},
        "data.delimiter=;",
    ),
    "empty": ("", {}, "cannot be read as a .csv table: it is empty"),
    "blank": ("\n \n", {}, "it is empty"),
    "comments only": ("# a\n# b\n", {}, "it is empty"),
    "zero bytes": (b"a\n\xff\xfe\x00\n", {}, "cannot be read as a .csv table: it holds zero bytes"),
    "excel": (b"\xd0\xcf\x11\xe0" + bytes(50), {}, "it is a file of Excel"),
    "html": ("<!DOCTYPE html>\n<p>not found, sorry", {}, "it is a file of HTML"),
    "json": ('{"a": [1, 2]}', {}, "it is a file of JSON"),
    "pointer": ("version https://git-lfs.github.com/spec/v1\noid 3\n", {}, "it is a file of Git LFS"),
    "workbook": (zipped(b"x", "[Content_Types].xml"), {}, "is a workbook of Excel"),
    "open quote": ('a,b\n1,"2\n' + "3,4\n" * 50_000, {}, "cannot be read as a .csv table"),
    "two files": (zipped(b"x") + b"", {"two": True}, "holds no file of a known format, but 'a', 'b'"),
    "gzip cut short": (gzip.compress(PLAIN.encode())[:-9], {}, "cannot be read as a file of gzip"),
    "xz cut short": (lzma.compress(PLAIN.encode())[:-9], {}, "cannot be read as a file of xz"),
    "wrong encoding": ("a\n\u00e9\n".encode("cp1252"), {"encoding": "utf-8"}, "cannot be read as a .csv table"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_cause(tmp_path: Path, case: str) -> None:
    data, options, message = REFUSED[case]
    if options == {"two": True}:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a", "1")
            archive.writestr("b", "1")
        data, options = out.getvalue(), {}
    with pytest.raises(BadData, match=message) as caught:
        read(tmp_path / "a.csv", data, **options)
    assert "\n" not in str(caught.value)


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    for name in ("klingon", "rot13", "hex"):
        with pytest.raises(BadOption, match=f"data.encoding cannot be '{name}'"):
            read(tmp_path / "a.csv", PLAIN, encoding=name)


def test_compressed_tables_expand_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.data.formats.files.FREE", 2**20)
    zeros = b"a,b\n" + b"0,0\n" * 2_000_000
    for data in (gzip.compress(zeros), bz2.compress(zeros), lzma.compress(zeros), zipped(zeros)):
        with pytest.raises(BadData, match="would expand from"):
            read(tmp_path / "a.csv", data)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (written(TABLE, sep=";", decimal=","), {"delimiter": ";", "decimal": ","}),
        (written(TABLE, sep="\t"), {"delimiter": "tab"}),
        (written(TABLE, sep="~"), {"delimiter": "~"}),
        ("@ comment\n" + PLAIN, {"comment": "@"}),
        (written(TABLE.rename(columns={"V1": "#"})), {"comment": "none"}),
        (PLAIN.encode("cp500"), {"encoding": "cp500"}),
    ],
)
def test_every_decision_can_be_overridden(tmp_path: Path, text: str | bytes, options: dict[str, Any]) -> None:
    x, notes = read(tmp_path / "a.csv", text, **options)
    np.testing.assert_array_equal(x, VALUES)
    assert notes == ()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("a;b\n" + "1,5;2\n" * 9, {"decimal": "."}),
        ("a;b\n" + "7;2\n" * 1500 + "1,5;2\n", {"decimal": "."}),
        ("a;b\n" + "7;2\n" * 1500 + "1,500;2,5\n", {"decimal": ".", "thousands": "none"}),
    ],
)
def test_what_the_options_say_is_not_guessed_otherwise(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    with pytest.raises(BadData, match="not numeric: 'a'"):
        read(tmp_path / "a.csv", text, **options)


def test_a_cell_beyond_the_last_column_is_found_after_the_sample(tmp_path: Path) -> None:
    text = "a,b\n" + "1,2,\n" * 1500
    assert read(tmp_path / "a.csv", text)[0].shape == (1500, 2)
    with pytest.raises(BadData, match=r"row 1500 \(line 1502\) has 3 cells, but 2 are expected: '1,2,3'"):
        read(tmp_path / "a.csv", text + "1,2,3\n")


def test_the_memory_of_a_decoder_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.data.storage.compressed.DECODER_MEMORY", 2**16)
    with pytest.raises(BadData, match=r"cannot be read as a file of xz: Memory usage limit"):
        read(tmp_path / "a.csv", lzma.compress(PLAIN.encode()))


def test_the_four_lines_of_a_logger_are_left_out(tmp_path: Path) -> None:
    text = '"TOA5","CR1000","x","1","2","3"\n"TIMESTAMP","n","T","RH"\n"TS","RN","C","%"\n"","","Avg","Smp"\n'
    x, notes = read(tmp_path / "a.csv", text + '"2024-01-01 00:00:00",7,3.5,80\n"2024-01-01 00:10:00",9,3.6,"NAN"\n')
    np.testing.assert_array_equal(x, [[7, 3.5, 80], [9, 3.6, np.nan]])
    assert [note.split(" is ")[0][:24] for note in notes] == [
        "The first line before th",
        "The 2 rows below the nam",
        "In column 'RH', 'NAN' (1",
        "Column 'TIMESTAMP' holds",
    ]


def test_a_short_table_of_r_is_read(tmp_path: Path) -> None:
    x, _ = read(tmp_path / "a.txt", '"mpg" "cyl"\n"Mazda RX4" 21 6\n"Datsun" 22.8 4\n')
    np.testing.assert_array_equal(x, [[21, 6], [22.8, 4]])


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**52), 2**52).map(float),
    st.floats(-1e4, 1e4).map(lambda v: round(v, 2)),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 6).flatmap(
        lambda width: st.lists(st.lists(NUMBERS, min_size=width, max_size=width), min_size=1, max_size=12)
    ),
    st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), ("|", "."), (" ", ".")]),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    st.booleans(),
    st.sampled_from([lambda data: data, gzip.compress, lzma.compress, zipped]),
)
def test_floats_survive_any_dialect(
    tmp_path: Path, rows: list[list[float]], marks: tuple[str, str], end: str, encoding: str, quoted: bool, pack: Any
) -> None:
    delimiter, decimal = marks
    cells = [[repr(value).replace(".", decimal) for value in row] for row in rows]
    lines = [delimiter.join(f'"{cell}"' if quoted else cell for cell in row) for row in cells]
    header = delimiter.join(f"\u00b5{n}x" for n in range(len(rows[0])))
    x, _ = read(tmp_path / "a.csv", pack(end.join([header, *lines, ""]).encode(encoding)), index="none")
    np.testing.assert_array_equal(x, rows)
