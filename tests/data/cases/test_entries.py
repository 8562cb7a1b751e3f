"""Columns are matched by name at every entry: validation sets, targets, pairs, chunks of tables, and labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import isthmus as it
from isthmus.data.samplers.streams import Stream
from isthmus.errors import BadData
from isthmus.runs import writing
from isthmus.runs.inference import score

TABLE = {"data.scale": "standard", "likelihood.kind": "gaussian"}


def turned(table: pd.DataFrame) -> pd.DataFrame:
    return table[table.columns[::-1]]


def test_a_validation_table_is_matched_by_name(table: pd.DataFrame, tmp_path: Path) -> None:
    expected = it.fit("simple", table, valid=table[:20], epochs=1, options=TABLE).data.valid.tensor
    turned(table[:20]).to_csv(tmp_path / "v.csv", index=False)
    for valid in (turned(table[:20]), tmp_path / "v.csv", table[:20].to_numpy()):
        run = it.fit("simple", table, valid=valid, epochs=1, options=TABLE)
        np.testing.assert_allclose(run.data.valid.tensor, expected, atol=1e-6)
    with pytest.raises(BadData, match="V1"):
        it.fit("simple", table, valid=table[:20].rename(columns={"V1": "x"}), epochs=1, options=TABLE)


@pytest.mark.parametrize(
    "fit",
    [
        lambda t, **k: it.fit("simple", t, targets=t, **k),
        lambda t, **k: it.fit("simple", t, targets=turned(t), **k),
        lambda t, **k: it.fit("simple", (t, turned(t)), **k),
        lambda t, **k: it.fit("simple", (t, t.to_numpy()), **k),
    ],
)
def test_tables_of_targets_are_matched_by_name(fit: Callable[..., it.Run], table: pd.DataFrame) -> None:
    run = fit(table, epochs=1, options=TABLE)
    np.testing.assert_allclose(run.data.train.inputs, run.data.train.tensor, atol=1e-6)
    assert run.contract.schema.features == tuple(table.columns)
    np.testing.assert_allclose(run.encode((turned(table), table)), run.encode(table), atol=1e-6)


@pytest.mark.parametrize("labels", [np.arange(100) % 3, pd.Series(np.arange(100) % 3), (np.arange(100) % 3).tolist()])
def test_labels_beside_a_table(labels: Any, table: pd.DataFrame) -> None:
    for run in (
        it.fit("simple", (table, labels), epochs=1, options=TABLE),
        it.fit("simple", table, labels=labels, epochs=1, options=TABLE),
    ):
        assert run.data.train.labels.tolist() == (run.data.train.rows % 3).tolist()
        assert run.contract.schema.features == tuple(table.columns)


def test_chunks_of_tables_are_matched_by_name(run: it.Run, table: pd.DataFrame, tmp_path: Path) -> None:
    expected = run.encode(table).to_numpy()
    table.to_csv(tmp_path / "t.csv", index=False)
    for chunks in ([table[:30], turned(table[30:])], [turned(table[:30]), table[30:]]):
        np.testing.assert_allclose(run.encode(iter(chunks)), expected, atol=1e-6)
        trained = it.fit("simple", iter(chunks), epochs=1, options=TABLE)
        own = it.fit("simple", table[chunks[0].columns], epochs=1, options=TABLE)
        np.testing.assert_allclose(trained.encode(table), own.encode(table), atol=1e-6)
    with pd.read_csv(tmp_path / "t.csv", chunksize=30) as reader:
        np.testing.assert_allclose(run.encode(reader), expected, atol=1e-6)
    with pytest.raises(BadData, match="'V1'"):
        run.encode(iter([table[:30], table[30:].rename(columns={"V1": "x"})]))


def test_streams_of_tables_are_matched_by_name(table: pd.DataFrame) -> None:
    plain, other = ([table[:40], change(table[40:])] for change in (lambda t: t, turned))
    runs = [it.fit("simple", Stream(chunks, 60), epochs=1, options=TABLE) for chunks in (plain, other)]
    np.testing.assert_array_equal(runs[0].encode(table), runs[1].encode(table))
    with pytest.raises(BadData, match="same columns"):
        it.fit("simple", Stream([table[:40], table[40:][["V1", "V2"]]], 60), epochs=1, options=TABLE)


@pytest.mark.parametrize("convert", [lambda t: [t, t], lambda t: {"x_train": t, "x_test": turned(t)}])
def test_collections_of_tables_are_refused_with_what_to_pass(
    convert: Callable[[pd.DataFrame], Any], table: pd.DataFrame
) -> None:
    with pytest.raises(BadData, match=r"pandas\.concat"):
        it.fit("simple", convert(table), epochs=1, options=TABLE)


def test_a_name_of_labels_needs_a_table(table: pd.DataFrame) -> None:
    with pytest.raises(BadData, match="is not a table"):
        it.fit("simple", table.to_numpy(), labels="Class", epochs=1, options=TABLE)
    with pytest.raises(BadData, match="no column 'klass'"):
        it.fit("simple", table, labels="klass", epochs=1, options=TABLE)


def test_excluded_columns_may_be_absent_later(table: pd.DataFrame) -> None:
    run = it.fit("simple", table, epochs=1, options=TABLE | {"data.exclude": ["V1", "Time"]})
    pd.testing.assert_frame_equal(run.encode(table.drop(columns=["V1", "Time"])), run.encode(table))


@pytest.mark.parametrize("extension", ["csv", "parquet"])
@pytest.mark.parametrize("name", ["score", "z1", "label"])
def test_names_of_rows_are_kept_beside_results_of_the_same_name(
    name: str, extension: str, table: pd.DataFrame, tmp_path: Path
) -> None:
    names = [f"p{i}" for i in range(100)]
    table.assign(**{name: names}, Class=np.arange(100) % 2).to_csv(tmp_path / "t.csv", index=False)
    options = TABLE | {"data.index": name}
    run = it.fit("simple", tmp_path / "t.csv", labels="Class", epochs=1, options=options)
    writing.write_scores(score(run, tmp_path / "t.csv"), tmp_path / f"s.{extension}")
    writing.encode(run, tmp_path / "t.csv", tmp_path / f"z.{extension}")
    for file in (f"s.{extension}", f"z.{extension}"):
        found = (pd.read_csv if extension == "csv" else pd.read_parquet)(tmp_path / file)
        assert found.iloc[:, 0].tolist() == names
        assert found.iloc[:, 1].astype(int).tolist() == (np.arange(100) % 2).tolist()
        assert found.columns.is_unique


def test_a_folder_of_other_parquet_files_is_refused(run: it.Run, table: pd.DataFrame, tmp_path: Path) -> None:
    table[["V1"]].rename(columns={"V1": "x"}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(BadData) as caught:
        run.encode(tmp_path)
    assert "modulo" not in str(caught.value)
    assert "'Time'" in str(caught.value)
