"""JSON lines and JSON: rows, columns, nested values, and what is not a table."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fuzz.judge import judge
from read_tables import features, values

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.data.sources.arrays import Examples
from isthmus.errors import BadData
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
FRAME = pd.DataFrame(X, columns=list("abc")).assign(kind=np.where(X[:, 0] > 0, "red", "blue"), on=X[:, 1] > 0)


def opened(tmp_path: Path, text: str | bytes, name: str = "t.jsonl", **options: Any) -> Dataset:
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    found = open_data(tmp_path / name, DataOptions(**options))
    assert isinstance(found, Dataset)
    return found


def names(found: Dataset) -> list[object] | None:
    assert isinstance(found.train, Examples)
    return None if found.train.names is None else found.train.names.tolist()


@pytest.mark.parametrize("orient", ["records", "list", "columns", "split", "table"])
def test_all_that_pandas_writes_gives_what_its_data_frame_gives(tmp_path: Path, orient: Any) -> None:
    direct = open_data(FRAME, DataOptions())
    assert isinstance(direct, Dataset)
    texts = {"t.json": json.dumps(FRAME.to_dict("list")) if orient == "list" else None}
    texts["t.json"] = texts["t.json"] or FRAME.to_json(orient=orient, double_precision=15)
    if orient == "records":
        texts["t.jsonl"] = FRAME.to_json(orient="records", lines=True, double_precision=15)
        texts["u.json"] = texts["t.jsonl"]
        texts["t.ndjson"] = texts["t.json"]
    for name, text in texts.items():
        assert text is not None
        found = opened(tmp_path, text, name)
        assert features(found) == ("a", "b", "c", "kind=blue", "kind=red", "on")
        np.testing.assert_allclose(values(found), values(direct), rtol=0, atol=1e-14)


def test_numbers_are_exactly_those_that_are_written(tmp_path: Path) -> None:
    text = "".join(json.dumps(dict(zip("abc", row, strict=True))) + "\n" for row in X.tolist())
    np.testing.assert_array_equal(values(opened(tmp_path, text)), X)
    np.testing.assert_array_equal(values(opened(tmp_path, gzip.compress(text.encode()), "t.jsonl.gz")), X)
    np.testing.assert_array_equal(values(opened(tmp_path, text.encode("utf-16"))), X)


def test_rows_of_numbers_need_no_names(tmp_path: Path) -> None:
    text = "".join(json.dumps(row) + "\n\n" for row in X.tolist())
    np.testing.assert_array_equal(values(opened(tmp_path, text)), X)
    np.testing.assert_array_equal(values(opened(tmp_path, json.dumps(X.tolist()), "t.json")), X)
    images = RNG.normal(size=(5, 4, 6))
    found = values(opened(tmp_path, "".join(json.dumps(image) + "\n" for image in images.tolist())))
    np.testing.assert_array_equal(found, images)


def test_a_first_row_of_texts_names_the_columns(tmp_path: Path) -> None:
    found = opened(tmp_path, '["a", "b"]\n[1, 2.5]\n[3, null]\n')
    assert features(found) == ("a", "b")
    np.testing.assert_array_equal(values(found), [[1, 2.5], [3, np.nan]])


def test_missing_fields_null_and_nan_are_missing_values(tmp_path: Path) -> None:
    found = opened(tmp_path, '{"a": 1, "b": null}\n{"a": NaN, "c": 3}\n{"c": -Infinity, "b": 2, "a": 5}\n')
    np.testing.assert_array_equal(values(found), [[1, np.nan, np.nan], [np.nan, np.nan, 3], [5, 2, -np.inf]])
    assert any("lack a field have a missing value there: 'b', 'c'" in note for note in found.notes)


def test_nested_values_have_the_path_as_their_name(tmp_path: Path) -> None:
    rows = [
        {"m": {"t": 1, "deep": {"p": 2}}, "v": [0.5, 1.5], "g": [[1, 2], [3, 4]]},
        {"m": None, "v": None, "g": [[5, 6], [7, 8]]},
    ]
    found = opened(tmp_path, "\n".join(map(json.dumps, rows)))
    assert features(found) == ("m.t", "m.deep.p", "v.0", "v.1", "g.0.0", "g.0.1", "g.1.0", "g.1.1")
    np.testing.assert_array_equal(values(found), [[1, 2, 0.5, 1.5, 1, 2, 3, 4], [*[np.nan] * 4, 5, 6, 7, 8]])


def test_what_has_no_name_is_refused_by_that_of_its_field_unless_excluded(tmp_path: Path) -> None:
    rows = [{"a": 1, "l": [1, 2], "w": ["x"], "o": {"z": [1]}}, {"a": 2, "l": [1], "w": ["y"], "o": {"z": 3}}]
    text = "\n".join(map(json.dumps, rows))
    with pytest.raises(BadData, match=r"'l' \(list\), 'w' \(list\), 'o.z' \(list\). Leave them out with data.exclude"):
        opened(tmp_path, text)
    assert values(opened(tmp_path, text, exclude="l,w,o")).tolist() == [[1], [2]]


def test_whole_numbers_beyond_floats_keep_their_digits_as_names_and_labels(tmp_path: Path) -> None:
    big = [2**53 + 1, 2**53 + 2, 2**53 + 5]
    rows = [{"id": n, "a": n % 7, "y": n} for n in big]
    found = opened(tmp_path, "\n".join(map(json.dumps, rows)), index="id", labels="y")
    assert isinstance(found.train, Examples)
    assert names(found) == big
    assert found.train.labels is not None
    assert found.train.labels.tolist() == big
    rows[1]["id"] = None  # type: ignore[typeddict-item]
    found = opened(tmp_path, "\n".join(map(json.dumps, rows)), index="id", labels="y")
    assert (names(found) or [])[::2] == big[::2]
    assert values(opened(tmp_path, f'{{"a": {10**30}}}\n{{"a": null}}\n'))[0, 0] == 1e30


def test_names_of_rows_of_pandas_are_kept(tmp_path: Path) -> None:
    frame = FRAME.set_axis([f"row {n}" for n in range(40)])
    for orient in ("columns", "split"):
        assert names(opened(tmp_path, frame.to_json(orient=orient), "t.json")) == list(frame.index)


def test_the_entry_with_the_rows_can_be_named(tmp_path: Path) -> None:
    text = json.dumps({"version": 2, "rows": [{"a": 1}, {"a": 2}]})
    found = opened(tmp_path, text, "t.json")
    assert values(found).tolist() == [[1], [2]]
    assert any("The entry 'rows' holds the rows (data.key)" in note for note in found.notes)
    text = json.dumps({"x": [{"a": 1}, {"a": 2}], "y": [{"b": 3}]})
    with pytest.raises(BadData, match=r"an object with the entries 'x', 'y'. Set data.key"):
        opened(tmp_path, text, "t.json")
    assert values(opened(tmp_path, text, "t.json", key="y")).tolist() == [[3]]
    with pytest.raises(BadData, match=r"no entry 'z' \(data.key\). It has: 'x', 'y'"):
        opened(tmp_path, text, "t.json", key="z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a": 2\n', r"line 2 is not JSON: Expecting ',' delimiter at character 9: '{\"a\": 2'"),
        ('{"a": 1}\n\n[1]\n', "line 3 is a list, but an object with named fields is expected in every line"),
        ('[1, 2]\n{"a": 1}\n', "line 2 is an object, but a list of numbers is expected"),
        ("[1, 2]\n[1]\n", r"line 2 has 1 numbers, but the first line has 2"),
        ("[1, 2]\n[1, [2]]\n", "line 2 is a list, but a list of numbers, or of lists of one length,"),
        ('[1, 2]\n[1, "x"]\n', "line 2 is a list, but a list of numbers"),
        ('["a", "b"]\n[1]\n', "line 2 is a list, but a list of 2 cells"),
        ('"text"\n', "line 1 is a text, but an object with named fields"),
        ("", "'t.jsonl' has no rows"),
        ('{"a": {"b": 1}, "a.b": 2}\n', "line 1 has the field 'a.b' twice"),
        ("[" * 100_000 + "\n", "line 1 is not JSON"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested over 32 levels deep"),
        ('{"a": ' + "9" * 5000 + "}\n", "line 1 is not JSON"),
        ('{"note": "some text"}\n{"note": "other text"}\n', "columns that are not numeric: 'note'"),
    ],
)
def test_what_is_not_a_table_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadData, match=message):
        opened(tmp_path, text)


def test_the_rows_of_a_list_are_counted_from_0(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"'t\.json', row 1 is a list, but an object"):
        opened(tmp_path, '[{"a": 1}, [2]]', "t.json")


def test_many_rows_each_with_a_field_of_its_own_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("".join(f'{{"{n}":1}}\n' for n in range(60_000)))
    assert "would expand from" in (judge(lambda: open_data(tmp_path / "t.jsonl", DataOptions()), tmp_path) or "")


def test_many_rows_without_any_of_many_fields_are_refused(tmp_path: Path) -> None:
    fields = ",".join(f'"{n}":1' for n in range(5000))
    (tmp_path / "t.jsonl").write_text("{" + fields + "}\n" + "{}\n" * 60_000)
    assert "would expand from" in (judge(lambda: open_data(tmp_path / "t.jsonl", DataOptions()), tmp_path) or "")


def test_a_column_of_mostly_missing_long_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a":[' + "1," * 60_000 + "1]}\n" + '{"a":null}\n' * 60_000)
    assert "needs 80.5 GiB" in (judge(lambda: open_data(tmp_path / "t.jsonl", DataOptions()), tmp_path) or "")


def test_halves_of_characters_become_the_replacement_character(tmp_path: Path) -> None:
    found = opened(tmp_path, '{"a\\ud800": 1, "k": "\\ud83d\\ude00"}\n{"a\\ud800": 2, "k": "\\udc00"}\n', labels="k")
    assert features(found) == ("a\ufffd",)
    assert found.label_names == ("\ufffd", "\U0001f600")
