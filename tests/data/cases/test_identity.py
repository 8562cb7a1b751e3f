"""Every answer knows its rows, and has the kind of the data: frames for frames, tensors for tensors, names in files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
import torch

import isthmus as it
from isthmus.errors import BadData
from isthmus.runs import writing
from isthmus.runs.inference import score

Array = npt.NDArray[Any]
TABLE = {"data.scale": "standard", "likelihood.kind": "gaussian"}
INDEXES: dict[str, Callable[[int], Any]] = {
    "range": lambda n: pd.RangeIndex(n),
    "later range": lambda n: pd.RangeIndex(50, 50 + n),
    "named range": lambda n: pd.RangeIndex(n, name="row"),
    "integers": lambda n: pd.Index(np.arange(n)[::-1] * 3),
    "strings": lambda n: pd.Index([f"p{i}" for i in range(n)], name="patient"),
    "repeated": lambda n: pd.Index(["a"] * n),
    "dates": lambda n: pd.date_range("2024-01-01", periods=n, freq="h", tz="Europe/Berlin"),
    "categories": lambda n: pd.CategoricalIndex(["a", "b"] * (n // 2)),
    "two levels": lambda n: pd.MultiIndex.from_product([range(n // 2), ["x", "y"]], names=["day", "shift"]),
    "numbers and strings": lambda n: pd.Index([i if i % 2 else f"p{i}" for i in range(n)], dtype=object),
}


@pytest.mark.parametrize("kind", INDEXES)
def test_a_frame_is_answered_by_frames_with_its_index(kind: str, run: it.Run, table: pd.DataFrame) -> None:
    index = INDEXES[kind](len(table))
    frame = table.set_axis(index)
    codes, restored, scores = run.encode(frame), run.reconstruct(frame), run.score(frame)
    for answer in (codes, restored, scores, run.denoise(frame), run.decode(codes)):
        pd.testing.assert_index_equal(answer.index, index)
    assert codes.columns.tolist() == ["z1", "z2", "z3"]
    assert restored.columns.equals(table.columns)
    assert run.decode(codes).columns.equals(table.columns)
    assert isinstance(scores, pd.Series)
    assert scores.name == "score"
    np.testing.assert_array_equal(codes, run.encode(table))
    np.testing.assert_allclose(run.decode(codes), restored, rtol=1e-5)


def test_scores_join_the_frame_that_they_came_from(table: pd.DataFrame) -> None:
    # the run takes the column for names of rows, but the frame has an index of its own
    frame = table.assign(id=np.arange(1, 101))
    run = it.fit("simple", frame, epochs=1, options=TABLE)
    assert run.contract.schema.index == "id"
    shuffled = frame.sample(frac=1, random_state=0)
    joined = shuffled.assign(score=run.score(shuffled)).join(run.encode(shuffled)).sort_index()
    np.testing.assert_allclose(joined.score, run.score(frame), rtol=1e-6)
    np.testing.assert_allclose(joined[["z1", "z2", "z3"]], run.encode(frame), atol=1e-6)


def test_single_columns_and_rows_are_frames(table: pd.DataFrame) -> None:
    run = it.fit("simple", table[["V1"]], epochs=1, options=TABLE)
    assert isinstance(run.encode(table[["V1"]]), pd.DataFrame)
    np.testing.assert_array_equal(run.encode(table["V1"]), run.encode(table[["V1"]]))
    assert run.score(table["V1"]).index.equals(table.index)


def test_arrow_is_answered_by_arrow(run: it.Run, table: pd.DataFrame) -> None:
    given = pa.Table.from_pandas(table, preserve_index=False)
    assert run.reconstruct(given).column_names == table.columns.tolist()
    np.testing.assert_array_equal(np.asarray(run.score(given)), run.score(table))


def test_categories_and_truth_values_come_back(table: pd.DataFrame) -> None:
    frame = table.assign(kind=pd.Categorical(["a", "b"] * 50), night=np.arange(100) % 2 == 0)
    run = it.fit("simple", frame, epochs=1, options=TABLE)
    restored = run.reconstruct(frame)
    assert restored.columns.equals(frame.columns)
    assert set(restored["kind"]) <= {"a", "b"}


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_tensors_are_answered_by_tensors(kind: torch.dtype) -> None:
    x = torch.rand(40, 6).to(kind)
    run = it.fit("simple", x, epochs=1)
    codes = run.encode(x)
    for answer in (codes, run.decode(codes), run.reconstruct(x), run.denoise(x), run.score(x)):
        assert isinstance(answer, torch.Tensor)
        assert len(answer) == 40
    assert isinstance(run.encode(x.float().numpy()), np.ndarray)


def test_images_are_answered_in_their_layout() -> None:
    for shape in ((30, 8, 8), (30, 8, 8, 3)):
        x = torch.rand(shape)
        run = it.fit("simple", x, epochs=1)
        assert run.reconstruct(x).shape == shape
        assert run.reconstruct(x.numpy()).shape == shape


def read(path: Path) -> dict[str, list[Any]]:
    if path.suffix == ".npz":
        with np.load(path) as found:
            return {key: found[key].tolist() for key in found}
    return (pd.read_csv if path.suffix == ".csv" else pd.read_parquet)(path).to_dict("list")


@pytest.fixture(scope="module")
def named(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tuple[it.Run, Path]:
    """A run on a file with names and labels of rows, and the file with its rows in another order."""
    folder = tmp_path_factory.mktemp("named")
    frame = table.assign(id=[f"p{i}" for i in range(100)], Class=np.where(np.arange(100) % 3, "ok", "fraud"))
    frame.to_csv(folder / "t.csv", index=False)
    frame.sample(frac=1, random_state=3).to_csv(folder / "other.csv", index=False)
    return it.fit("simple", folder / "t.csv", labels="Class", epochs=1, options=TABLE), folder / "other.csv"


@pytest.mark.parametrize("extension", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("verb", ["encode", "reconstruct", "denoise", "score", "decode"])
def test_files_carry_names_labels_and_columns(
    verb: str, extension: str, named: tuple[it.Run, Path], table: pd.DataFrame, tmp_path: Path
) -> None:
    run, data = named
    out = tmp_path / f"out.{extension}"
    if verb == "score":
        writing.write_scores(score(run, data), out)
    elif verb == "decode":
        writing.encode(run, data, tmp_path / f"z.{extension}")
        writing.decode(run, tmp_path / f"z.{extension}", out)
    else:
        getattr(writing, verb)(run, data, out)
    found, expected = read(out), pd.read_csv(data)
    assert found["names" if extension == "npz" else "id"] == expected["id"].tolist()
    if extension == "npz":
        assert [["fraud", "ok"][label] for label in found["labels"]] == expected["Class"].tolist()
        return
    assert found["label"] == expected["Class"].tolist()
    columns = {"encode": ["z1", "z2", "z3"], "score": ["score"]}.get(verb, table.columns.tolist())
    assert list(found) == ["id", "label", *columns]


def test_unnamed_numbers_of_rows_are_called_index(table: pd.DataFrame, tmp_path: Path) -> None:
    table.to_csv(tmp_path / "t.csv")
    table.rename_axis("").reset_index().to_parquet(tmp_path / "t.parquet", index=False)
    run = it.fit("simple", tmp_path / "t.csv", epochs=1, options=TABLE)
    writing.write_scores(score(run, tmp_path / "t.csv"), tmp_path / "s.csv")
    found = pd.read_csv(tmp_path / "s.csv")
    assert found.columns.tolist() == ["index", "score"]
    assert found["index"].tolist() == list(range(100))


def test_codes_of_skipped_rows_are_refused_with_what_to_do(table: pd.DataFrame, tmp_path: Path) -> None:
    run = it.fit("simple", table, epochs=1, options=TABLE | {"data.on_bad_data": "skip"})
    frame = table.copy()
    frame.iloc[3, 2] = np.inf
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(UserWarning, match="1 invalid"):
        writing.encode(run, tmp_path / "t.csv", tmp_path / "z.csv")
    with pytest.raises(BadData, match=r"1 rows .* the first is row 3 .* Remove these rows"):
        writing.decode(run, tmp_path / "z.csv", tmp_path / "x.csv")


def test_names_keep_their_zeros(table: pd.DataFrame, tmp_path: Path) -> None:
    table.assign(id=[f"{i:05d}" for i in range(100)]).to_csv(tmp_path / "t.csv", index=False)
    run = it.fit("simple", tmp_path / "t.csv", epochs=1, options=TABLE | {"data.index": "id"})
    assert score(run, tmp_path / "t.csv").named([3]) == ["00003"]


def test_large_numbers_name_rows(table: pd.DataFrame, tmp_path: Path) -> None:
    table.assign(id=2**60 + np.arange(100)).to_csv(tmp_path / "t.csv", index=False)
    run = it.fit("simple", tmp_path / "t.csv", epochs=1, options=TABLE)
    assert run.contract.schema.features == tuple(table.columns)


def test_a_written_reconstruction_is_data_again(named: tuple[it.Run, Path], tmp_path: Path) -> None:
    run, data = named
    for extension in ("csv", "parquet"):
        out = tmp_path / f"x.{extension}"
        writing.reconstruct(run, data, out)
        with pytest.warns(UserWarning, match="'label'"):
            again = run.encode(out)
        np.testing.assert_allclose(again, run.encode(run.reconstruct(data)), atol=1e-4)


def test_samples_have_the_columns_of_the_table(table: pd.DataFrame, tmp_path: Path) -> None:
    run = it.fit("vae", table, epochs=1, options=TABLE)
    writing.sample(run, tmp_path / "s.csv", number=3)
    assert pd.read_csv(tmp_path / "s.csv").columns.tolist() == table.columns.tolist()


def test_tables_without_names_have_numbered_results(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((30, 4))
    np.save(tmp_path / "x.npy", x)
    run = it.fit("simple", tmp_path / "x.npy", epochs=1)
    writing.reconstruct(run, tmp_path / "x.npy", tmp_path / "y.csv")
    assert pd.read_csv(tmp_path / "y.csv").columns.tolist() == ["x1", "x2", "x3", "x4"]


def test_the_highest_rows_are_named(named: tuple[it.Run, Path]) -> None:
    run, data = named
    scored = score(run, data)
    frame = pd.read_csv(data)
    best = run.score(frame).idxmax()
    assert scored.named(scored.highest(1)) == [frame["id"][best]]
    own = score(run)
    assert len(own.inputs.names) == len(own.values)
    values = dict(zip(frame["id"], run.score(frame), strict=True))
    assert [values[name] for name in own.inputs.names] == pytest.approx(own.values.tolist(), rel=1e-6)


def test_rows_of_several_files_keep_their_names_and_labels(table: pd.DataFrame, tmp_path: Path) -> None:
    frame = table.assign(id=[f"p{i}" for i in range(100)], Class=np.where(np.arange(100) % 3, "ok", "fraud"))
    (tmp_path / "x").mkdir()
    frame.to_parquet(tmp_path / "all.parquet")
    run = it.fit("simple", tmp_path / "all.parquet", labels="Class", epochs=1, options=TABLE)
    for number, part in ((2, frame[:30]), (10, frame[30:55]), (11, frame[55:])):
        part.to_parquet(tmp_path / "x" / f"{number}.parquet", index=False)
    scored = score(run, tmp_path / "x")
    assert scored.inputs.names.tolist() == frame["id"].tolist()
    assert [scored.inputs.label_names[label] for label in scored.inputs.labels] == frame["Class"].tolist()
    np.testing.assert_allclose(scored.values, run.score(frame), rtol=1e-6)
