"""The schema of a table: decided by the training table, applied by name to any other."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.data.tables.schema import Schema, infer_schema
from isthmus.errors import BadData, BadRun
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
PLAIN = pd.DataFrame(X, columns=list("abc"))
RED = np.where(X[:, 0] > 0, "red", "blue")


def inferred(frame: pd.DataFrame, **options: Any) -> Schema:
    return infer_schema(frame, DataOptions(**options), "'t.csv'")


def matrix(frame: pd.DataFrame, **options: Any) -> np.ndarray:
    return inferred(frame, **options).matrix(frame, "'t.csv'")


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(60)), st.permutations([*"abcktf"]), st.booleans())
def test_order_of_rows_and_columns_does_not_matter(rows: list[int], names: list[str], more: bool) -> None:
    frame = PLAIN.assign(k=RED, t=X[:, 1] > 0, f=pd.array(RNG.integers(0, 9, 60), dtype="Int64"))
    schema = inferred(frame)
    expected = schema.matrix(frame, "")
    assert schema.features == ("a", "b", "c", "k=blue", "k=red", "t", "f")
    other = frame.iloc[rows][names].assign(**({"extra": "x"} if more else {}))
    np.testing.assert_array_equal(schema.matrix(other, ""), expected[rows])
    assert schema.unused(other) == (("extra",) if more else ())
    assert schema.names_of(other).tolist() == rows if rows != list(range(60)) else True


def test_absent_columns_are_one_error_with_near_names() -> None:
    frame = PLAIN.rename(columns={"a": "temperature"})
    schema = inferred(frame)
    with pytest.raises(BadData, match=r"has no columns 'temperature', 'b'.*unexpected are 'temperatur', 'q'") as caught:
        schema.matrix(frame.rename(columns={"temperature": "temperatur", "b": "q"}), "'new.csv'")
    assert "'temperatur' instead of 'temperature'" in str(caught.value)


@pytest.mark.parametrize(
    "column",
    [
        pd.array(X[:, 0].round(), dtype="Int64"),
        pd.array(X[:, 0].round(), dtype="Float64"),
        X[:, 0].round().astype(object),
        [Decimal(int(value)) for value in X[:, 0].round()],
        [str(int(value)) for value in X[:, 0].round()],
        X[:, 0].round().astype(np.float32),
        pd.arrays.SparseArray(X[:, 0].round()),
        [int(v) if row % 2 else str(int(v)) for row, v in enumerate(X[:, 0].round())],
    ],
    ids=["Int64", "Float64", "object", "Decimal", "text", "float32", "sparse", "mixed"],
)
def test_every_type_of_number_gives_the_same_values(column: Any) -> None:
    np.testing.assert_array_equal(matrix(PLAIN.assign(n=column))[:, 3], X[:, 0].round())


def test_missing_values_of_every_type_are_nan() -> None:
    frame = PLAIN.assign(
        n=pd.array([1, None] * 30, dtype="Int64"), o=[1.5, None] * 30, bb=pd.array([True, None] * 30, dtype="boolean")
    )
    frame = frame.assign(t=["1,234", "?"] * 30, k=["red", None] * 30, p=[True, None] * 30)
    schema = inferred(frame)
    x = schema.matrix(frame, "")
    assert schema.features[3:] == ("n", "o", "bb", "t", "k=red", "p")
    np.testing.assert_array_equal(x[0, 3:], [1, 1.5, 1, 1234, 1, 1])
    assert np.isnan(x[1, 3:]).all()
    assert any("'?' (30 cells) is a missing value" in note for note in schema.notes)


def test_sentinels_are_missing_in_numbers_only() -> None:
    frame = PLAIN.assign(n=[-9999, 0] * 30, t=[True, False] * 30, k=RED)
    x = inferred(frame).matrix(frame, "", missing=(-9999.0, 0.0))
    assert np.isnan(x[:, 3]).all()
    assert not np.isnan(x[:, 4:]).any()
    plain = frame.drop(columns="k")
    np.testing.assert_array_equal(inferred(plain).matrix(plain, "", missing=(-9999.0, 0.0)), x[:, :5])


def test_an_explicit_category_keeps_its_order_and_a_later_one_is_zeros() -> None:
    frame = PLAIN.assign(k=pd.Categorical(RED, ["red", "green", "blue"]))
    schema = inferred(frame)
    assert schema.columns[3].categories == ("red", "blue")
    later = frame.iloc[:3].assign(k=["red", "mauve", None])
    x = schema.matrix(later, "")
    np.testing.assert_array_equal(x[:2, 3:], [[1, 0], [0, 0]])
    assert np.isnan(x[2, 3:]).all()
    assert schema.unseen(later) == {"k": 1}


def test_numbers_as_categories_match_in_any_type() -> None:
    frame = PLAIN.assign(k=pd.Categorical([1, 2, 3] * 20))
    schema = inferred(frame)
    for other in ([1.0, 3.0], [1, 3], ["1", "3"], np.array([1, 3], np.int8)):
        np.testing.assert_array_equal(schema.matrix(PLAIN[:2].assign(k=other), "")[:, 3:], [[1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("Unnamed: 0", range(60), True),
        ("", RNG.permutation(60), True),
        ("", [f"car {n}" for n in range(60)], True),
        ("id", range(7, 67), True),
        ("PatientID", range(60), True),
        ("patient_id", [f"p{n}" for n in range(60)], True),
        ("id", RNG.permutation(60), False),
        ("Time", range(60), False),
        ("id", [np.inf] * 60, False),
        ("", X[:, 0], False),
    ],
)
def test_a_column_that_counts_names_the_rows(name: str, values: Any, index: bool) -> None:
    frame = PLAIN.copy()
    frame.insert(0, name, values)
    schema = inferred(frame)
    assert schema.index == (name if index else None)
    assert schema.features == (("a", "b", "c") if index else (name, "a", "b", "c"))
    if index:
        assert list(schema.names_of(frame)) == list(values)
        assert "data.index=" in schema.notes[0]
        assert repr(name) in schema.notes[0]
        np.testing.assert_array_equal(schema.matrix(PLAIN, ""), X)
    if not isinstance(frame[name].iloc[0], str):
        assert inferred(frame, index="none").features == (name, "a", "b", "c")


def test_dates_name_the_rows_or_are_refused() -> None:
    dates = pd.date_range("2024-01-01", periods=60, freq="h")
    for column in (dates, dates.astype(str), dates.tz_localize("UTC"), list(dates.date)):
        frame = PLAIN.copy()
        frame.insert(0, "when", column)
        schema = inferred(frame)
        assert (schema.index, schema.features) == ("when", ("a", "b", "c"))
        assert len(schema.names_of(frame)) == 60
    assert inferred(PLAIN.assign(when=dates)).index == "when"
    with pytest.raises(BadData, match=r"not numeric: 'when' \(dates or times\).*data.exclude=when"):
        inferred(PLAIN.assign(when=dates[RNG.permutation(60)]))
    with pytest.raises(BadData, match=r"'when' \(dates or times\)"):
        inferred(PLAIN.assign(when=["31.12.2024", "01.02.2024"] * 30))


def test_a_counter_and_dates_are_both_left_out() -> None:
    frame = PLAIN.assign(when=pd.date_range("2024", periods=60))
    frame.insert(0, "", range(60))
    schema = inferred(frame)
    assert (schema.index, schema.features, schema.left_out[0][0]) == ("when", ("a", "b", "c"), "")
    assert schema.unused(frame) == ()
    frame = frame.rename(columns={"": "id"})
    assert inferred(frame).left_out[0][0] == "id"
    assert inferred(frame).unused(frame) == ()


def test_all_columns_that_cannot_be_used_are_refused_at_once() -> None:
    frame = PLAIN.assign(text=[f"word {n}" for n in range(60)], z=1j, many=[[1]] * 60, empty=np.nan)
    frame["odd"] = [*range(59), "bad"]
    with pytest.raises(BadData) as caught:
        inferred(frame)
    for part in ("'text'", "'z' (complex", "'many' (list)", "'odd' (row 59: 'bad')", "data.exclude=text,z,many,odd"):
        assert part in str(caught.value)
    assert "a column without any value: 'empty'" in str(caught.value)
    left = inferred(frame, exclude=("text", "z", "many,odd", "empty"))
    assert left.features == ("a", "b", "c")
    assert ("odd", "data.exclude=odd") in left.left_out


@pytest.mark.parametrize("option", ["labels", "index", "exclude"])
def test_an_absent_column_is_refused_with_near_names(option: str) -> None:
    with pytest.raises(BadData, match=f"no column 'colour' for data.{option}; did you mean 'color'"):
        inferred(PLAIN.assign(color=1.0), **{option: "colour"})


def test_labels_are_read_and_never_demanded() -> None:
    frame = PLAIN.assign(y=RED)
    schema = inferred(frame, labels="y")
    assert schema.labels_of(frame).tolist() == RED.tolist()
    assert schema.labels_of(PLAIN) is None
    np.testing.assert_array_equal(schema.matrix(PLAIN, ""), X)
    gaps = frame.assign(y=[None, *RED[1:]])
    assert schema.labels_of(gaps) is None
    with pytest.raises(BadData, match="has 1 missing values"):
        schema.labels_of(gaps, training=True)


def test_a_word_in_a_column_of_numbers_is_named() -> None:
    schema = inferred(PLAIN.assign(V3=1.0))
    with pytest.raises(BadData, match=r"'new.csv', row 5, column 'V3': 'seven' is not a number"):
        schema.matrix(PLAIN.assign(V3=[*"12345", "seven", *["1"] * 54]), "'new.csv'")
    truth = inferred(PLAIN.assign(t=[True, False] * 30))
    with pytest.raises(BadData, match=r"row 0, column 't': '2.0' is not a truth value"):
        truth.matrix(PLAIN.assign(t=2.0), "")


def test_tables_without_names_match_by_position() -> None:
    schema = inferred(PLAIN)
    np.testing.assert_array_equal(schema.matrix(pd.DataFrame(X), ""), X)
    unnamed = inferred(pd.DataFrame(X))
    np.testing.assert_array_equal(unnamed.matrix(PLAIN, ""), X)
    with pytest.raises(BadData, match="has no columns 'a', 'b', 'c'"):
        schema.matrix(pd.DataFrame(X[:, :2]), "'t'")


def test_a_frame_comes_back_from_its_matrix() -> None:
    frame = PLAIN.assign(k=pd.Categorical(RED), t=X[:, 1] > 0).set_index(pd.Index([f"r{n}" for n in range(60)]))
    schema = inferred(frame)
    back = schema.frame(schema.matrix(frame, ""), schema.names_of(frame))
    pd.testing.assert_frame_equal(back, frame.assign(t=frame.t.astype(float)), check_categorical=False)
    assert schema.frame(np.full((2, schema.width), np.nan)).isna().all().all()


def test_a_schema_survives_json() -> None:
    frame = PLAIN.assign(k=RED, t=X[:, 1] > 0, y=1)
    frame.insert(0, "id", range(60))
    schema = inferred(frame, labels="y", exclude="c")
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


@pytest.mark.parametrize(
    "change",
    [
        {"columns": []},
        {"columns": [["a", "number", []]] * 2},
        {"columns": [["a", "text", []]]},
        {"columns": [["a", "number", ["x"]]]},
        {"columns": [["a", "category", []]]},
        {"columns": [["a", "category", ["x", "x"]]]},
        {"columns": [["a" * 2000, "number", []]]},
        {"columns": [[1, "number", []]]},
        {"columns": {"a": 1}},
        {"columns": None},
        {"labels": 3},
        {"notes": "x"},
        {"decimal": ";"},
        {"thousands": "."},
        {"left_out": [["a"]]},
    ],
)
def test_a_damaged_schema_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadRun, match="are damaged"):
        Schema.from_dict(inferred(PLAIN).to_dict() | change)
    for data in (None, [], {}, "x", 3):
        with pytest.raises(BadRun, match="are damaged"):
            Schema.from_dict(data)


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (PLAIN.iloc[:0], {}, "has no rows"),
        (pd.DataFrame(X[:, :2], columns=["a", "a"]), {}, "several columns called 'a'"),
        (PLAIN[["a"]], {"labels": "a"}, "no numeric column"),
        (pd.DataFrame({"id": range(9)}), {}, "no numeric column.*data.index=none"),
    ],
)
def test_a_table_without_x_is_refused(frame: pd.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        inferred(frame, **options)


def test_an_unnamed_column_between_others_is_data_unless_it_counts() -> None:
    frame = PLAIN.copy()
    frame.insert(2, "Unnamed: 2", RNG.permutation(60))
    assert inferred(frame).features == ("a", "b", "Unnamed: 2", "c")
    assert inferred(frame.assign(**{"Unnamed: 2": range(60)})).features == ("a", "b", "c")


def test_texts_in_a_frame_have_the_decimal_mark_of_the_options() -> None:
    frame = PLAIN.assign(t=["1.234,5", "7"] * 30)
    with pytest.raises(BadData, match="'t'"):
        inferred(frame)
    schema = inferred(frame, decimal=",")
    np.testing.assert_array_equal(schema.matrix(frame, "")[:2, 3], [1234.5, 7])
    assert Schema.from_dict(schema.to_dict()) == schema


def test_a_name_of_several_lines_makes_one_line() -> None:
    with pytest.raises(BadData) as caught:
        inferred(PLAIN.assign(**{"a\nb": [f"word {n}" for n in range(60)], "c\nd": None}))
    assert "\n" not in str(caught.value)
    assert "data.exclude=a b" in str(caught.value)
