"""Files of tables: their bounds, and Parquet in memory and by batches."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fuzz.formats import ABSURD_TABLES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from isthmus.data.storage.compressed import on_disk
from isthmus.data.tables.frames import to_frame
from isthmus.data.tables.parquet import columns_to_read, matrix_of_batch, schema_of_parquet
from isthmus.data.tables.reading import is_table_path, read_table
from isthmus.data.tables.schema import infer_schema
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
PLAIN = pd.DataFrame(X, columns=list("abc"))


def read(path: Path, **options: Any) -> np.ndarray:
    chosen = DataOptions(**options)
    frame, _ = read_table(on_disk(path), chosen)
    schema = infer_schema(frame, chosen, repr(path.name))
    schema.labels_of(frame, repr(path.name), training=True)
    return schema.matrix(frame, repr(path.name))


def table(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path, compression="gzip", store_schema=False)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *ABSURD_TABLES,
        (b"a,b,c\n1,x,2\n", "not numeric: 'b'. Set one as labels with data.labels=b"),
        (b"a\n1\n", "no numeric column"),
        (b"a,b\n", "has no rows"),
    ],
)
def test_a_text_of_absurd_shape_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(BadData) as caught:
        read(tmp_path / "a.csv", labels="label" if b"label" in text else "a" if text == b"a\n1\n" else None)
    assert message in str(caught.value)
    assert "'a.csv'" in str(caught.value)


def test_more_cells_than_fit_are_refused_before_they_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.data.formats.files.LARGEST", 2**20)
    (tmp_path / "a.csv").write_bytes(b"1\n" * 50_000)
    with pytest.raises(BadData, match=r"needs 0.0 GiB in memory"):
        read(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes(b"0.12345678901234567890\n" * 10_000)
    assert len(read(tmp_path / "a.csv")) == 10_000


def test_repeated_names_are_numbered(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,a,b,a.1\n1,2,3,4\n5,6,7,8\n")
    frame, notes = read_table(on_disk(tmp_path / "a.csv"), DataOptions())
    assert len(set(frame.columns)) == 4
    assert any("same name were numbered" in note for note in notes)


@pytest.mark.parametrize("name", ["pandas", "pyarrow"])
@pytest.mark.parametrize("file", ["a.csv", "a.parquet"])
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    (tmp_path / file).write_text("a\n1\n")
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[tabular\]'"):
        read_table(on_disk(tmp_path / file), DataOptions())


def test_paths_of_tables_are_known_by_their_names() -> None:
    for name in ("a.csv", "a.CSV.GZ", "a.tsv", "a.txt.zip", "a.parquet", "a.pq"):
        assert is_table_path(Path(name)), name
    for name in ("a.npy", "a.gz", "a.parquet.gz", "csv", "a.png"):
        assert not is_table_path(Path(name)), name


def test_parquet_gives_the_numbers_labels_and_names(tmp_path: Path) -> None:
    frame = PLAIN.assign(
        k=np.where(X[:, 0] > 0, "red", "blue"), t=X[:, 1] > 0, n=pd.array([1, None] * 30, dtype="Int64")
    )
    frame.index = pd.Index([f"row {n}" for n in range(60)], name="key")
    frame.to_parquet(tmp_path / "a.parquet")
    back, notes = read_table(on_disk(tmp_path / "a.parquet"), DataOptions())
    schema = infer_schema(back, DataOptions(), "")
    assert schema.names_of(back).tolist() == frame.index.tolist()
    assert schema.features == ("a", "b", "c", "k=blue", "k=red", "t", "n")
    direct = infer_schema(frame, DataOptions(), "").matrix(frame, "")
    np.testing.assert_array_equal(schema.matrix(back, ""), direct)
    assert notes == ()
    assert infer_schema(back, DataOptions(labels="k"), "").labels_of(back).tolist() == frame.k.tolist()


def test_a_long_word_that_a_table_repeats_is_not_written_out(tmp_path: Path) -> None:
    word = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["w" * 20_000])
    path = table(tmp_path / "a.parquet", a=np.ones(100_000), label=word)
    with pytest.raises(BadData, match="columns that are not numeric: 'label'"):
        read(path)
    with pytest.raises(BadData, match="holds strings of up to 20,000 characters, but at most 200"):
        read(path, labels="label")
    with pytest.raises(BadData, match="columns that are not numeric: 'label'"):
        schema_of_parquet(path, DataOptions())


def test_a_parquet_file_that_grows_without_bound_is_refused_by_its_footer(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", a=pa.array(np.zeros(40_000_000)))
    with pytest.raises(BadData, match="would expand from"):
        read(path)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    both = pa.Table.from_arrays([pa.array([1.0, 2.0])] * 2, names=["a", "a"])
    parquet.write_table(both, tmp_path / "a.parquet")
    for way in (read, lambda path: schema_of_parquet(path, DataOptions())):
        with pytest.raises(BadData, match="several columns called 'a'"):
            way(tmp_path / "a.parquet")


def test_columns_that_hold_no_single_values_are_refused_by_name(tmp_path: Path) -> None:
    path = table(tmp_path / "a.parquet", a=[1.0], l=[[1, 2]], s=[{"x": 1}], b=[b"x"])
    for way in (read, lambda path, **options: schema_of_parquet(path, DataOptions(**options))):
        with pytest.raises(
            BadData, match=r"'l' \(list\), 's' \(dict\), 'b' \(bytes\). Leave them out with data.exclude=l,s,b.$"
        ):
            way(path)
        way(path, exclude=("l", "s", "b"))


@pytest.mark.parametrize("data", [b"PAR1 and so on", b"", b"PAR1"])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(data)
    for way in (read, lambda path: schema_of_parquet(path, DataOptions())):
        with pytest.raises(BadData, match=r"'a.parquet' cannot be read as a .parquet table"):
            way(tmp_path / "a.parquet")


@pytest.mark.parametrize("extra", [{}, {"t": X[:, 1] > 0}, {"k": np.where(X[:, 0] > 0, "red", "blue")}])
def test_batches_give_the_matrix_of_the_whole(tmp_path: Path, extra: dict[str, Any]) -> None:
    frame = PLAIN.assign(n=pd.array([1, -9999, None] * 20, dtype="Int64"), y=1, **extra)[
        ["n", "c", "y", "a", "b", *extra]
    ]
    path = tmp_path / "a.parquet"
    frame.to_parquet(path, row_group_size=17)
    schema = schema_of_parquet(path, DataOptions(labels="y"))
    expected = schema.matrix(frame, "", missing=(-9999.0,))
    names = columns_to_read(path, schema)
    assert names == ["n", "c", "a", "b", *extra]
    for columns in (names, names[::-1]):
        with parquet.ParquetFile(path) as file:
            blocks = [matrix_of_batch(b, schema, "", (-9999.0,)) for b in file.iter_batches(7, columns=columns)]
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
    assert np.isnan(expected[1:3, 0]).all()


def test_a_batch_without_a_column_is_refused(tmp_path: Path) -> None:
    schema = infer_schema(PLAIN, DataOptions(), "")
    with pytest.raises(BadData, match="'new' has no column 'b'"):
        matrix_of_batch(pa.RecordBatch.from_pandas(PLAIN[["a", "c"]]), schema, "'new'")


def test_attributes_and_long_texts_of_a_file_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = PLAIN.assign(k=["a" * 50, "b" * 50] * 30)
    frame.attrs["isthmus.numerals"] = [",", "."]
    frame.to_parquet(tmp_path / "a.parquet")
    back, _ = read_table(on_disk(tmp_path / "a.parquet"), DataOptions())
    assert back.attrs == {}
    assert not isinstance(back.k.dtype, pd.CategoricalDtype)
    monkeypatch.setattr("isthmus.data.tables.parquet.MOST_TEXT", 2000)
    back, _ = read_table(on_disk(tmp_path / "a.parquet"), DataOptions())
    assert isinstance(back.k.dtype, pd.CategoricalDtype)


def test_a_number_missing_in_the_first_rows_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.data.tables.parquet.SAMPLE", 20)
    PLAIN.assign(late=[np.nan] * 59 + [1.0]).to_parquet(tmp_path / "a.parquet", row_group_size=10)
    assert schema_of_parquet(tmp_path / "a.parquet", DataOptions()).features == ("a", "b", "c", "late")


def test_the_sample_of_a_large_group_is_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.data.tables.parquet.SAMPLE", 20)
    PLAIN.assign(k=["a", "b"] * 10 + ["c"] * 40).to_parquet(tmp_path / "a.parquet")
    assert schema_of_parquet(tmp_path / "a.parquet", DataOptions()).features == ("a", "b", "c", "k=a", "k=b")


COLUMNS = {
    "a": st.floats(-1e6, 1e6),
    "n": st.integers(-(2**40), 2**40),
    "t": st.booleans(),
    "k": st.sampled_from("xyz"),
}
ROW = st.fixed_dictionaries(COLUMNS)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, min_size=1, max_size=8), st.permutations(list(COLUMNS)), st.sampled_from(",;\t|"))
def test_every_container_of_the_same_rows_gives_the_same_matrix(
    tmp_path: Path, rows: list[dict[str, Any]], order: list[str], sep: str
) -> None:
    training = pd.DataFrame({"a": X[:, 0], "n": range(60), "t": X[:, 1] > 0, "k": list("xyz") * 20})
    schema = infer_schema(training, DataOptions(), "")
    frame = pd.DataFrame(rows)
    expected = [[r["a"], r["n"], r["t"], *(r["k"] == value for value in "xyz")] for r in rows]
    other = frame[order]
    decimal = "," if sep == ";" else "."
    other.to_csv(tmp_path / "a.csv", index=False, sep=sep, decimal=decimal)
    other.to_parquet(tmp_path / "a.parquet")
    files = [read_table(on_disk(tmp_path / name), DataOptions())[0] for name in ("a.csv", "a.parquet")]
    tables = [other, other.convert_dtypes(), other.astype(object), to_frame(pa.table(other)), *files]
    tables.append(other.astype({"k": "category"}))
    for made in tables:
        np.testing.assert_array_equal(schema.matrix(made, ""), expected)
    one = [schema.matrix(made.iloc[[0]], "") for made in tables]
    np.testing.assert_array_equal(np.concatenate(one), [expected[0]] * len(tables))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 59), st.sampled_from([(";", ","), (",", "."), ("\t", ","), (" ", ".")]), st.booleans())
def test_a_row_alone_in_a_file_gives_the_numbers_that_it_gives_beside_others(
    tmp_path: Path, row: int, marks: tuple[str, str], units: bool
) -> None:
    sep, decimal = marks
    header, *lines = PLAIN.assign(n=range(60)).to_csv(index=False, sep=sep, decimal=decimal).splitlines()
    head = [header, sep.join(["mV", "mV", "s", "EUR"])] if units else [header]
    (tmp_path / "a.csv").write_text("\n".join([*head, lines[row]]))
    frame, _ = read_table(on_disk(tmp_path / "a.csv"), DataOptions(), prefer=decimal)
    np.testing.assert_array_equal(frame.to_numpy(), [[*X[row], row]])


@pytest.mark.parametrize(("prefer", "value"), [(".", 1234.0), (",", 1.234), ("", 1.234)])
def test_the_mark_of_the_training_table_decides_what_a_row_leaves_open(
    tmp_path: Path, prefer: str, value: float
) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1,234;5\n")
    frame, notes = read_table(on_disk(tmp_path / "a.csv"), DataOptions(), prefer=prefer)
    assert frame.to_numpy().tolist() == [[value, 5.0]]
    assert f"1,234 is {value:g} (data.decimal, data.thousands)" in notes[-1]


def test_a_column_with_a_word_keeps_the_marks_of_its_file(tmp_path: Path) -> None:
    schema = infer_schema(pd.DataFrame({"a": [0.5, 1.5], "b": [1, 2]}), DataOptions(), "")
    (tmp_path / "a.csv").write_text("a;b\n1.234;1,5\n1.5;2,5\n")
    frame, _ = read_table(on_disk(tmp_path / "a.csv"), DataOptions(decimal=","))
    with pytest.raises(BadData, match=r"row 1, column 'a': '1.5' is not a number"):
        schema.matrix(frame, "'a.csv'")
