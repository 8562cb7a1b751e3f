"""Tables whose columns, index, labels and types differ from those of training: the rows keep their codes and scores."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.decomposition import PCA

import isthmus as it
from isthmus.errors import BadData, ShapeError

Array = npt.NDArray[Any]
Codes = Callable[[it.Run, Any], Array]
TABLE = {"data.scale": "standard", "likelihood.kind": "gaussian"}
TWO = {"latent.size": 2}


def test_columns_in_another_order_give_the_same_codes_and_scores(run: it.Run, table: pd.DataFrame) -> None:
    other = table[table.columns[::-1]]
    pd.testing.assert_frame_equal(run.encode(other), run.encode(table))
    pd.testing.assert_series_equal(run.score(other), run.score(table))


def test_files_with_columns_in_another_order_give_the_same_scores(
    run: it.Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    other = table[["V3", "Amount", "Time", "V5", "V1", "V2", "V4"]]
    other.to_csv(tmp_path / "t.csv", index=False)
    other.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        np.testing.assert_array_equal(run.score(tmp_path / name), run.score(table))


def test_arrow_tables_match_by_name(run: it.Run, table: pd.DataFrame, codes: Codes) -> None:
    found = run.encode(pa.Table.from_pandas(table[table.columns[::-1]]))
    assert isinstance(found, pa.Table)
    assert found.column_names == ["z1", "z2", "z3"]
    np.testing.assert_array_equal(found.to_pandas().to_numpy(), codes(run, table))


def test_further_columns_are_named_and_change_nothing(run: it.Run, table: pd.DataFrame, codes: Codes) -> None:
    with pytest.warns(UserWarning, match="does not use: 'zone', 'note'"):
        found = run.encode(table.assign(zone=7, note="late"))
    np.testing.assert_array_equal(found, codes(run, table))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"V1": "temperature"}), r"no column 'V1'.*'temperature'"),
        (lambda t: t.drop(columns=["V2", "Time"]), r"no columns 'Time', 'V2'"),
        (lambda t: t.rename(columns=str.lower), r"'time' instead of 'Time'"),
        (lambda t: pd.concat([t, t[["V1"]]], axis=1), r"several columns called 'V1'"),
        (lambda t: t.assign(V2=pd.date_range("2024", periods=len(t))), r"column 'V2'"),
        (lambda t: t.iloc[:0], "no example"),
    ],
)
def test_columns_that_do_not_match_are_refused_by_name(
    run: it.Run, table: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(BadData, match=message):
        run.encode(change(table))


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.astype("float32"),
        lambda t: t.astype(object),
        lambda t: t.convert_dtypes(),
        lambda t: t.astype("Float64"),
        lambda t: t.rename(columns=lambda name: f" {name} "),
        lambda t: t.astype({"V1": str}),
        lambda t: t.to_records(index=False),
        lambda t: t[t.columns[::-1]].to_records(index=False),
        lambda t: t.to_dict("records"),
        lambda t: t.to_numpy(),
        lambda t: t.to_numpy().astype(object),
        lambda t: t.convert_dtypes().to_numpy(dtype=object),
        lambda t: np.asfortranarray(t.to_numpy()),
        lambda t: t.to_numpy().astype(">f8"),
        lambda t: t.to_numpy().tolist(),
    ],
)
def test_types_of_columns_do_not_matter(
    run: it.Run, table: pd.DataFrame, codes: Codes, change: Callable[[pd.DataFrame], Any]
) -> None:
    np.testing.assert_allclose(codes(run, change(table)), codes(run, table), atol=1e-6)


def test_columns_without_names_match_by_position_and_are_not_called_unused(
    run: it.Run, table: pd.DataFrame, codes: Codes
) -> None:
    # a warning would be an error here
    np.testing.assert_array_equal(run.encode(pd.DataFrame(table.to_numpy())), codes(run, table))


@pytest.fixture(scope="module")
def labeled(table: pd.DataFrame) -> it.Run:
    """A run on a table with a column of labels."""
    return it.fit("simple", table.assign(Class=np.arange(100) % 2), labels="Class", epochs=1, options=TABLE)


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"Class": np.arange(100) % 3},
        {"Class": np.where(np.arange(100) % 2, "fraud", "ok")},
        {"Class": np.nan},
        {"Class": np.where(np.arange(100) % 2, 1.0, np.nan)},
        {"Class": np.arange(100) / 7},
    ],
)
def test_labels_are_optional_on_new_data(
    labeled: it.Run, table: pd.DataFrame, codes: Codes, labels: dict[str, Any]
) -> None:
    assert "Class" not in labeled.contract.schema.features
    new = table.assign(**labels)
    np.testing.assert_array_equal(codes(labeled, new), codes(labeled, table))
    np.testing.assert_array_equal(labeled.score(new), labeled.score(table))
    assert labeled.reconstruct(new).columns.tolist() == table.columns.tolist()
    assert labeled.evaluate(new)["n"] == 100


def test_labels_of_another_name_are_not_used(labeled: it.Run, table: pd.DataFrame, codes: Codes) -> None:
    with pytest.warns(UserWarning, match="'klass'"):
        found = labeled.encode(table.assign(klass=1))
    np.testing.assert_array_equal(found, codes(labeled, table))


def test_a_run_on_labeled_rows_of_pixels_encodes_files_without_labels(digits: Array, tmp_path: Path) -> None:
    pixels = pd.DataFrame(digits.reshape(200, -1), columns=[f"pixel{i}" for i in range(64)])
    pixels.to_csv(tmp_path / "test.csv", index=False)
    pixels.insert(0, "label", np.arange(200) % 10)
    pixels.to_csv(tmp_path / "train.csv", index=False)
    options = {"data.scale": "pixels", "data.shape": "8,8"}
    run = it.fit("simple", tmp_path / "train.csv", labels="label", epochs=1, options=options)
    run.save(tmp_path / "run")
    run = it.load(tmp_path / "run")
    for verb in (run.encode, run.score, run.reconstruct):
        np.testing.assert_array_equal(verb(tmp_path / "test.csv"), verb(tmp_path / "train.csv"))
        np.testing.assert_array_equal(verb(tmp_path / "test.csv"), verb(digits))
    assert run.evaluate(tmp_path / "test.csv")["n"] == 200


@pytest.fixture(scope="module")
def five() -> pd.DataFrame:
    """Five columns of two factors."""
    r = np.random.default_rng(0)
    return pd.DataFrame(
        r.normal(size=(100, 2)) @ r.normal(size=(2, 5)) + 0.05 * r.normal(size=(100, 5)), columns=list("abcde")
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda t, path: t.to_csv(path / "t.csv", index=False),
        lambda t, path: t.to_csv(path / "t.csv"),
        lambda t, path: t.rename_axis("row").to_csv(path / "t.csv"),
        lambda t, path: t.sample(frac=1, random_state=0).to_csv(path / "t.csv"),
        lambda t, path: t.assign(Id=np.arange(1, 101)).to_csv(path / "t.csv", index=False),
        lambda t, path: t.assign(id=[f"p{i}" for i in range(100)]).to_csv(path / "t.csv", index=False),
        lambda t, path: t.to_csv(path / "t.csv", sep=";", decimal=","),
        lambda t, path: t.reset_index().rename(columns={"index": "Unnamed: 0"}).to_parquet(path / "t.parquet"),
        lambda t, path: t.sample(frac=1, random_state=0).to_parquet(path / "t.parquet"),
        lambda t, path: t.rename_axis("key").to_parquet(path / "t.parquet"),
        lambda t, path: t.set_axis([f"k{i}" for i in range(100)]).to_parquet(path / "t.parquet"),
    ],
)
def test_an_index_is_not_a_feature(
    five: pd.DataFrame, tmp_path: Path, write: Callable[[pd.DataFrame, Path], None]
) -> None:
    write(five, tmp_path)
    (file,) = tmp_path.glob("t.*")
    run = it.fit("pca", file, options=TWO | {"data.test": 0, "data.validation": 0})
    assert run.contract.schema.features == tuple("abcde")
    # the true share of the variance that two components leave, near 1e-3; with a counter in x it is 4e-5
    assert run.evaluate()["fvu"] == pytest.approx(1 - PCA(2).fit(five).explained_variance_ratio_.sum(), rel=1e-3)


def test_what_was_left_out_is_said(five: pd.DataFrame, tmp_path: Path) -> None:
    five.to_csv(tmp_path / "t.csv")
    run = it.fit("pca", tmp_path / "t.csv", options=TWO)
    assert any("data.index" in note for note in run.data.notes)


@pytest.mark.parametrize("index", [False, True])
def test_an_index_column_may_be_absent_or_new(five: pd.DataFrame, tmp_path: Path, index: bool, codes: Codes) -> None:
    five.to_csv(tmp_path / "train.csv", index=index)
    five.to_csv(tmp_path / "new.csv", index=not index)
    run = it.fit("pca", tmp_path / "train.csv", options=TWO)
    np.testing.assert_array_equal(codes(run, tmp_path / "new.csv"), codes(run, five))
    five.to_parquet(tmp_path / "new.parquet")
    np.testing.assert_array_equal(codes(run, tmp_path / "new.parquet"), codes(run, five))


def test_numbers_of_rows_stay_in_x_when_told(five: pd.DataFrame, tmp_path: Path) -> None:
    five.to_csv(tmp_path / "t.csv")
    run = it.fit("pca", tmp_path / "t.csv", options=TWO | {"data.index": "none"})
    assert run.contract.schema.width == 6


def test_no_level_of_an_unnamed_index_is_a_feature(five: pd.DataFrame, tmp_path: Path) -> None:
    five.set_axis(pd.MultiIndex.from_product([range(20), range(5)])).to_csv(tmp_path / "t.csv")
    run = it.fit("pca", tmp_path / "t.csv", options=TWO)
    assert run.contract.schema.features == tuple("abcde")


def test_an_index_that_was_written_twice_is_not_a_feature(five: pd.DataFrame, tmp_path: Path) -> None:
    five.to_csv(tmp_path / "once.csv")
    pd.read_csv(tmp_path / "once.csv").to_csv(tmp_path / "twice.csv")
    run = it.fit("pca", tmp_path / "twice.csv", options=TWO)
    assert run.contract.schema.features == tuple("abcde")


@pytest.mark.parametrize(
    "column",
    [
        np.arange(100) % 2 == 0,
        pd.array([1, None] * 50, dtype="Int64"),
        pd.array([0.5, None] * 50, dtype="Float64"),
        pd.array([True, None] * 50, dtype="boolean"),
        pd.Categorical(["a", "b"] * 50),
        pd.array([1, 2] * 50, dtype="int8"),
        pd.arrays.ArrowExtensionArray(pa.array([1.5, 2.5] * 50)),
        np.array([1, 2.5] * 50, dtype=object),
        pd.array(["1.5", "2.5"] * 50, dtype="string"),
    ],
)
def test_a_column_of_every_type_is_taken(run: it.Run, table: pd.DataFrame, column: Any, tmp_path: Path) -> None:
    frame = table.assign(k=column)
    trained = it.fit("simple", frame, epochs=1, options=TABLE)
    assert trained.contract.schema.columns[-1].name == "k"
    found = trained.encode(frame)
    assert np.isfinite(found.to_numpy()).all()
    shuffled = frame.sample(frac=1, random_state=1)[frame.columns[::-1]]
    pd.testing.assert_frame_equal(trained.encode(shuffled).loc[frame.index], found, atol=1e-6)
    trained.save(tmp_path / "run")
    pd.testing.assert_frame_equal(it.load(tmp_path / "run").encode(frame.iloc[:3]), found.iloc[:3], atol=1e-6)


def test_a_column_that_cannot_be_used_is_named(table: pd.DataFrame) -> None:
    with pytest.raises(BadData, match=r"'note'.*data.exclude=note"):
        it.fit("simple", table.assign(note=[f"text {i}" for i in range(100)]), epochs=1, options=TABLE)
    run = it.fit(
        "simple",
        table.assign(note=[f"text {i}" for i in range(100)]),
        epochs=1,
        options=TABLE | {"data.exclude": "note"},
    )
    assert run.contract.schema.features == tuple(table.columns)


def test_a_row_of_a_table_is_not_a_table(run: it.Run, table: pd.DataFrame) -> None:
    with pytest.raises((BadData, ShapeError)):
        run.encode(table.iloc[3].to_numpy())
    pd.testing.assert_frame_equal(run.encode(table.iloc[[3]]), run.encode(table).iloc[[3]], atol=1e-6)


@pytest.mark.parametrize("values", [np.nan, 0.25, "a"])
def test_labels_in_a_folder_of_parquet_files_are_optional(
    labeled: it.Run, table: pd.DataFrame, codes: Codes, tmp_path: Path, values: Any
) -> None:
    for number, part in enumerate((table[:40], table[40:])):
        part.assign(Class=values).to_parquet(tmp_path / f"{number}.parquet")
    np.testing.assert_array_equal(codes(labeled, tmp_path), codes(labeled, table))
