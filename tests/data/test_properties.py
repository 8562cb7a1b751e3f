"""Properties of the way in: order of rows and columns, neighbors, batches and containers change no code or score."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

import isthmus as it
from isthmus.runs.inference import score

Array = npt.NDArray[Any]
N, NAMES = 60, ["a", "b", "c", "d", "e"]
OPTIONS = {"data.scale": "standard", "likelihood.kind": "gaussian"}
few = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Rows of five columns in different units, exact in 32 bits."""
    r = np.random.default_rng(0)
    x = r.normal(size=(N, 2)) @ r.normal(size=(2, 5)) * [1, 10, 100, 1, 1] + [0, 5, 1000, 0, -3]
    return pd.DataFrame(x.astype(np.float32).astype(np.float64), columns=NAMES)


@pytest.fixture(scope="module", params=["simple", "vae", "top_k"])
def run(request: pytest.FixtureRequest, frame: pd.DataFrame) -> it.Run:
    """A run on the rows."""
    return it.fit(request.param, frame, epochs=1, options=OPTIONS)


@pytest.fixture(scope="module")
def expected(run: it.Run, frame: pd.DataFrame) -> tuple[Array, Array]:
    """Codes and scores of the rows."""
    return run.encode(frame).to_numpy(), run.score(frame).to_numpy()


@pytest.fixture(scope="module")
def images() -> Array:
    """Pictures as bytes, half of them dark."""
    r = np.random.default_rng(0)
    x = r.integers(0, 256, size=(20, 8, 8)).astype(np.uint8)
    x[:10] //= 200
    return x


@pytest.fixture(scope="module")
def on_images(images: Array) -> it.Run:
    """A run on the pictures."""
    return it.fit("conv", images, epochs=1)


def deterministic(run: it.Run) -> bool:
    """Whether no code is sampled for a score."""
    return run.recipe.name != "vae"


@few
@given(rows=st.permutations(range(N)), columns=st.permutations(NAMES))
def test_permutations_of_rows_and_columns_permute_the_answers(
    run: it.Run, frame: pd.DataFrame, expected: tuple[Array, Array], rows: list[int], columns: list[str]
) -> None:
    other = frame.iloc[rows][columns]
    np.testing.assert_allclose(run.encode(other), expected[0][rows], atol=1e-6)
    if deterministic(run):
        np.testing.assert_allclose(run.score(other), expected[1][rows], rtol=1e-5)
    restored = run.reconstruct(other)
    assert restored.columns.tolist() == NAMES
    np.testing.assert_allclose(restored.sort_index(), run.reconstruct(frame), rtol=1e-4, atol=1e-4)


@few
@given(cuts=st.lists(st.integers(1, N - 1), unique=True, max_size=8))
def test_any_batches_give_the_answers_of_the_whole(
    run: it.Run, frame: pd.DataFrame, expected: tuple[Array, Array], cuts: list[int]
) -> None:
    parts = np.split(frame.to_numpy(), sorted(cuts))
    np.testing.assert_allclose(np.concatenate([run.encode(part) for part in parts]), expected[0], atol=1e-6)
    if deterministic(run):
        np.testing.assert_allclose(np.concatenate([run.score(part) for part in parts]), expected[1], rtol=1e-5)
    np.testing.assert_allclose(run.encode(iter(parts)), expected[0], atol=1e-6)


@few
@given(
    rows=st.lists(st.integers(0, N - 1), min_size=1, max_size=30),
    factor=st.sampled_from([0.0, 1e-3, 1.0, 1e4, np.nan]),
)
def test_neighbors_change_nothing(
    run: it.Run, frame: pd.DataFrame, expected: tuple[Array, Array], rows: list[int], factor: float
) -> None:
    beside = np.concatenate([frame.to_numpy()[rows], frame.to_numpy()[:5] * factor])
    np.testing.assert_allclose(run.encode(beside)[: len(rows)], expected[0][rows], atol=1e-6)
    if deterministic(run):
        np.testing.assert_allclose(run.score(beside)[: len(rows)], expected[1][rows], rtol=1e-5)


@few
@given(row=st.integers(0, N - 1))
def test_a_row_alone_is_the_row_in_its_table(
    run: it.Run, frame: pd.DataFrame, expected: tuple[Array, Array], row: int
) -> None:
    np.testing.assert_allclose(run.encode(frame.iloc[[row]]), expected[0][[row]], atol=1e-6)
    if deterministic(run):
        np.testing.assert_allclose(run.score(frame.iloc[[row]]), expected[1][[row]], rtol=1e-5)


def written(write: Callable[[pd.DataFrame, Path], Any], name: str) -> Callable[[pd.DataFrame, Path], Any]:
    def convert(frame: pd.DataFrame, folder: Path) -> Path:
        write(frame, folder / name)
        return folder / name

    return convert


def chunks(x: Array) -> Iterator[Array]:
    yield x[:7]
    yield x[7:]


Convert = Callable[[pd.DataFrame, Path], Any]
CONTAINERS: dict[str, Convert] = {
    "array": lambda t, p: t.to_numpy(),
    "Fortran order": lambda t, p: np.asfortranarray(t.to_numpy()),
    "big-endian": lambda t, p: t.to_numpy().astype(">f8"),
    "32 bits": lambda t, p: t.to_numpy(np.float32),
    "80 bits": lambda t, p: t.to_numpy().astype(np.longdouble),
    "negative strides": lambda t, p: t.to_numpy()[::-1].copy()[::-1],
    "objects": lambda t, p: t.to_numpy().astype(object),
    "lists": lambda t, p: t.to_numpy().tolist(),
    "records": lambda t, p: t.to_records(index=False),
    "mappings": lambda t, p: t.to_dict("records"),
    "frame": lambda t, p: t,
    "frame of 32 bits": lambda t, p: t.astype(np.float32),
    "nullable frame": lambda t, p: t.astype("Float64"),
    "frame of objects": lambda t, p: t.astype(object),
    "frame of strings": lambda t, p: t.map(repr),
    "arrow": lambda t, p: pa.Table.from_pandas(t, preserve_index=False),
    "arrow types": lambda t, p: t.convert_dtypes(dtype_backend="pyarrow"),
    "sparse": lambda t, p: scipy.sparse.csr_matrix(t.to_numpy()),
    "sparse columns": lambda t, p: scipy.sparse.csc_array(t.to_numpy()),
    "masked": lambda t, p: np.ma.array(t.to_numpy()),
    "tensor": lambda t, p: torch.tensor(t.to_numpy()),
    "tensor with a gradient": lambda t, p: torch.tensor(t.to_numpy(), requires_grad=True),
    "sparse tensor": lambda t, p: torch.tensor(t.to_numpy()).to_sparse(),
    "data set": lambda t, p: TensorDataset(torch.tensor(t.to_numpy())),
    "labeled data set": lambda t, p: TensorDataset(torch.tensor(t.to_numpy()), torch.arange(N)),
    "loader": lambda t, p: DataLoader(TensorDataset(torch.tensor(t.to_numpy())), batch_size=7),
    "generator": lambda t, p: chunks(t.to_numpy()),
    "pair": lambda t, p: (t.to_numpy(), np.arange(N)),
    "csv": written(lambda t, p: t.to_csv(p, index=False), "t.csv"),
    "csv with its index": written(lambda t, p: t.to_csv(p), "t.csv"),
    "semicolons": written(lambda t, p: t.to_csv(p, index=False, sep=";", decimal=","), "t.csv"),
    "tabs": written(lambda t, p: t.to_csv(p, index=False, sep="\t"), "t.tsv"),
    "compressed csv": written(lambda t, p: p.write_bytes(gzip.compress(t.to_csv(index=False).encode())), "t.csv.gz"),
    "parquet": written(lambda t, p: t.to_parquet(p), "t.parquet"),
    "small row groups": written(lambda t, p: t.to_parquet(p, row_group_size=7), "t.parquet"),
    "npy": written(lambda t, p: np.save(p, np.ascontiguousarray(t.to_numpy())), "t.npy"),
    "npy by column": written(lambda t, p: np.save(p, np.asfortranarray(t.to_numpy())), "t.npy"),
    "npz": written(lambda t, p: np.savez(p, x=t.to_numpy()), "t.npz"),
    "memory map": lambda t, p: np.load(CONTAINERS["npy"](t, p), mmap_mode="r"),
}


@pytest.mark.parametrize("form", CONTAINERS)
def test_every_container_gives_the_same_answers(
    form: str, run: it.Run, frame: pd.DataFrame, expected: tuple[Array, Array], tmp_path: Path
) -> None:
    codes = run.encode(CONTAINERS[form](frame, tmp_path))
    codes = codes.to_pandas() if isinstance(codes, pa.Table) else codes
    np.testing.assert_allclose(np.asarray(codes), expected[0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(run.score(CONTAINERS[form](frame, tmp_path))), expected[1], rtol=1e-5)


@pytest.mark.parametrize("form", CONTAINERS)
def test_every_container_trains_the_same_model(form: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    own = it.fit("simple", frame, epochs=1, options=OPTIONS)
    run = it.fit("simple", CONTAINERS[form](frame, tmp_path), epochs=1, options=OPTIONS)
    np.testing.assert_allclose(run.encode(frame.to_numpy()), own.encode(frame), atol=1e-6)


@pytest.mark.parametrize("form", ["parquet", "small row groups", "npy"])
def test_streamed_files_have_the_answers_of_memory(form: str, frame: pd.DataFrame, tmp_path: Path) -> None:
    file = CONTAINERS[form](frame, tmp_path)
    run = it.fit("simple", file, epochs=1, options=OPTIONS | {"data.memory": "stream"})
    run.save(tmp_path / "run")
    # only a table has names to match by
    for data in (frame if form == "npy" else frame[NAMES[::-1]], frame.to_numpy()):
        np.testing.assert_allclose(it.load(tmp_path / "run").encode(data), run.encode(file), atol=1e-6)
        np.testing.assert_allclose(it.load(tmp_path / "run").score(data), run.score(file), rtol=1e-5)


def pictures(x: Array, folder: Path, names: list[str] | None = None) -> Path:
    folder.mkdir()
    for number, image in enumerate(x):
        Image.fromarray(image).save(folder / (names[number] if names else f"{number}.png"))
    return folder


IMAGES: dict[str, Callable[[Array, Path], Any]] = {
    "int64": lambda x, p: x.astype(np.int64),
    "in [0, 1]": lambda x, p: x / 255,
    "channels last": lambda x, p: x[..., None],
    "channels first": lambda x, p: x[:, None],
    "tensor": lambda x, p: torch.tensor(x),
    "masked": lambda x, p: np.ma.array(x),
    "loader": lambda x, p: DataLoader(TensorDataset(torch.tensor(x)), batch_size=3),
    "data set": lambda x, p: TensorDataset(torch.tensor(x), torch.arange(len(x))),
    "npy": lambda x, p: np.save(p / "x.npy", x) or p / "x.npy",
    "npz": lambda x, p: np.savez(p / "x.npz", x) or p / "x.npz",
    "pictures": lambda x, p: pictures(x, p / "x"),
}


@pytest.mark.parametrize("form", IMAGES)
@pytest.mark.parametrize("rows", [slice(0, 10), slice(10, 20), slice(None), slice(3, 4)])
def test_every_container_of_images_gives_the_same_answers(
    form: str, rows: slice, on_images: it.Run, images: Array, tmp_path: Path
) -> None:
    data = IMAGES[form](images[rows], tmp_path)
    np.testing.assert_allclose(np.asarray(on_images.encode(data)), on_images.encode(images)[rows], atol=1e-6)
    np.testing.assert_allclose(np.asarray(on_images.score(data)), on_images.score(images)[rows], rtol=1e-5)


@few
@given(rows=st.lists(st.integers(0, 19), min_size=1, max_size=20))
def test_images_have_their_codes_beside_any_others(on_images: it.Run, images: Array, rows: list[int]) -> None:
    np.testing.assert_allclose(on_images.encode(images[rows]), on_images.encode(images)[rows], atol=1e-6)
    np.testing.assert_allclose(on_images.score(images[rows]), on_images.score(images)[rows], rtol=1e-5)


@settings(few, max_examples=8)
@given(order=st.permutations(range(20)))
def test_any_order_of_files_gives_the_same_answers_by_name(
    on_images: it.Run, images: Array, order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = pictures(images, tmp_path_factory.mktemp("x") / "x", [f"{order[i]}-{i}.png" for i in range(20)])
    scored = score(on_images, folder)
    expected = on_images.score(images)
    assert [int(name.split("-")[0]) for name in scored.inputs.names] == list(range(20))
    for name, value in zip(scored.inputs.names, scored.values, strict=True):
        assert value == pytest.approx(expected[int(name.split("-")[1].removesuffix(".png"))], rel=1e-5)


@few
@given(rows=st.permutations(range(N)), cut=st.integers(1, N - 1))
def test_shards_in_any_order_have_the_answers_of_their_rows(
    run: it.Run,
    frame: pd.DataFrame,
    expected: tuple[Array, Array],
    rows: list[int],
    cut: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    frame.iloc[rows[:cut]].to_parquet(folder / "2.parquet", index=False)
    frame.iloc[rows[cut:]][NAMES[::-1]].to_parquet(folder / "10.parquet", index=False)
    np.testing.assert_allclose(run.encode(folder), expected[0][rows], atol=1e-6)


@few
@given(holes=st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, 4)), max_size=20))
def test_missing_cells_change_no_other_row(
    run: it.Run, frame: pd.DataFrame, expected: tuple[Array, Array], holes: list[tuple[int, int]]
) -> None:
    x = frame.to_numpy().copy()
    for hole in holes:
        x[hole] = np.nan
    complete = ~np.isnan(x).any(1)
    np.testing.assert_allclose(run.encode(x)[complete], expected[0][complete], atol=1e-6)
    if deterministic(run):
        np.testing.assert_allclose(run.score(x)[complete], expected[1][complete], rtol=1e-5)
    np.testing.assert_allclose(run.encode(np.ma.masked_invalid(x)), run.encode(x), atol=1e-6)
    assert np.isfinite(run.score(x)).all()
