"""Data on the disk made ready for a run: held-out parts, scaling, formats, and when data is streamed at all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from isthmus.data import memory as choice
from isthmus.data import preparing
from isthmus.data.base import Array
from isthmus.data.dataset import Dataset
from isthmus.data.opening import Data, open_data
from isthmus.data.prepared import PreparedData
from isthmus.data.preparing import prepare, prepare_dataset
from isthmus.data.samplers import stored
from isthmus.data.samplers.stored import StoredTensor
from isthmus.data.sources.base import Source
from isthmus.data.transforms.splits import draw_held_out
from isthmus.errors import BadData, BadOption
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(200, 4)).round(3)
GREY = RNG.integers(0, 256, (60, 6, 5), dtype=np.uint8)
STREAM = DataOptions(memory="stream")


def table(folder: Path, name: str = "x.parquet", x: Array = TABLE, rows: int = 30, **columns: object) -> Path:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])]).assign(**columns)
    frame.to_parquet(folder / name, row_group_size=rows, index=False)
    return folder / name


def pictures(folder: Path, x: Array = GREY) -> Path:
    folder.mkdir(exist_ok=True)
    for row, image in enumerate(x):
        Image.fromarray(image).save(folder / f"{row:03}.png")
    return folder


def shards(folder: Path) -> Path:
    folder.mkdir()
    np.save(folder / "a.npy", TABLE[:70])
    np.save(folder / "b.npy", TABLE[70:])
    return folder


def opened(data: Data, options: DataOptions = STREAM) -> Dataset:
    dataset = open_data(data, options)
    assert isinstance(dataset, Dataset)
    return dataset


def source_of(data: Data) -> Source:
    """The source of data that is streamed."""
    dataset = opened(data)
    assert dataset.streamed
    return dataset.train


def rows_of(data: PreparedData) -> torch.Tensor:
    """All examples of a preparation, in sorted order."""
    assert isinstance(data.train.x, StoredTensor)
    parts = [*data.train.x.chunks(7), data.valid.tensor, data.test.tensor]
    return torch.cat(parts).flatten(1).unique(dim=0)


@pytest.mark.parametrize("kind", ["npy", "shards", "parquet", "tables", "pictures", "memmap"])
def test_every_source_streams_all_examples_in_disjoint_parts(kind: str, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    (tmp_path / "tables").mkdir()
    made = {
        "npy": lambda: tmp_path / "x.npy",
        "shards": lambda: shards(tmp_path / "shards"),
        "parquet": lambda: table(tmp_path),
        "tables": lambda: max(table(tmp_path / "tables", f"{n}.parquet", TABLE[n::2]) for n in (0, 1)).parent,
        "pictures": lambda: pictures(tmp_path / "pictures"),
        "memmap": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
    }[kind]()
    data = prepare(made, STREAM, 0)
    x = torch.from_numpy(GREY / np.float32(255) if kind == "pictures" else TABLE.astype(np.float32))
    assert torch.equal(rows_of(data), x.flatten(1).unique(dim=0))
    assert len(data.train) + len(data.valid) + len(data.test) == len(x)
    assert data.streamed
    assert (data.images, data.held_out) == (kind == "pictures", "held-out set")
    # the same again from the whole in memory: same shape and scaling
    whole = prepare(made, DataOptions(memory="whole"), 0)
    assert not whole.streamed
    assert (whole.shape, whole.scaling, whole.images) == (data.shape, data.scaling, data.images)


def test_the_test_part_depends_on_the_seed_and_its_own_share_alone() -> None:
    first, valid = draw_held_out(5000, DataOptions(), 3, "x")
    assert len(set(first) | set(valid)) == len(first) + len(valid) == 500 + 450
    assert draw_held_out(5000, DataOptions(validation=0.5), 3, "x")[0].tolist() == first.tolist()
    assert draw_held_out(5000, DataOptions(), 4, "x")[0].tolist() != first.tolist()
    assert [len(rows) for rows in draw_held_out(10**9, DataOptions(), 0, "x")] == [10_000, 5_000]
    assert [len(rows) for rows in draw_held_out(3, DataOptions(), 0, "x")] == [1, 1]
    with pytest.raises(BadData, match="too few for 3 splits"):
        draw_held_out(2, DataOptions(), 0, "x")


@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_scaling_is_measured_on_the_training_part_in_one_pass(
    scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "READ", 20 * 32)
    x = TABLE.copy()
    x[:, 1] = 0.1
    np.save(tmp_path / "x.npy", x)
    data = prepare(tmp_path / "x.npy", DataOptions(memory="stream", scale=scale), 0)
    train = torch.cat(list(data.train.x.chunks(50))).double()
    if scale == "minmax":
        assert train.min(0).values.tolist() == [0, 0, 0, 0]
        assert train.max(0).values.tolist() == [1, 0, 1, 1]
    else:
        torch.testing.assert_close(train.mean(0), torch.zeros(4).double(), atol=1e-7, rtol=0)
        expected = torch.tensor([1.0, 0, 1, 1], dtype=torch.float64)
        torch.testing.assert_close(train.std(0, correction=0), expected, atol=1e-6, rtol=0)


def test_labels_of_held_out_parts_are_those_of_their_examples(tmp_path: Path) -> None:
    words = np.array(["no", "yes"])[(TABLE[:, 0] > 0).astype(int)]
    path = table(tmp_path, word=words)
    data = prepare(path, DataOptions(memory="stream", labels="word"), 0)
    assert data.label_names == ("no", "yes")
    np.testing.assert_array_equal(data.test.labels, data.test.tensor[:, 0].numpy() > 0)
    assert data.shape == (4,)


def test_folders_of_pictures_are_labeled_by_their_sub_folders(tmp_path: Path) -> None:
    for number, word in enumerate(("dark", "light")):
        pictures(tmp_path / word, np.full((30, 4, 4), 255 * number, np.uint8))
    data = prepare(tmp_path, STREAM, 0)
    assert data.label_names == ("dark", "light")
    np.testing.assert_array_equal(data.test.labels, data.test.tensor[:, 0, 0, 0].numpy())


def test_dynamic_pixels_stay_gray_in_training_and_are_drawn_in_the_held_out_parts(tmp_path: Path) -> None:
    data = prepare(pictures(tmp_path / "p"), DataOptions(memory="stream", binarize="dynamic"), 0)
    assert data.dynamic
    assert set(data.test.tensor.unique().tolist()) == {0.0, 1.0}
    assert len(torch.cat(list(data.train.x.chunks(9))).unique()) > 2
    with pytest.raises(BadOption, match=r"binarize=static .* stays on disk"):
        prepare(tmp_path / "p", DataOptions(memory="stream", binarize="static"), 0)


def test_large_data_is_streamed_and_small_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", GREY)
    assert not opened(tmp_path / "x.npy", DataOptions()).streamed
    # as 32-bit numbers, four times the bytes of the file
    monkeypatch.setattr(choice, "LARGEST", 4 * GREY.nbytes - 1)
    assert opened(tmp_path / "x.npy", DataOptions()).streamed
    assert not opened(tmp_path / "x.npy", DataOptions(memory="whole")).streamed
    monkeypatch.setattr(choice, "LARGEST", 4 * GREY.nbytes)
    assert not opened(tmp_path / "x.npy", DataOptions()).streamed
    monkeypatch.setattr(choice, "machine_memory", lambda: 4 * GREY.nbytes)
    assert opened(tmp_path / "x.npy", DataOptions()).streamed


@pytest.mark.parametrize("name", ["x.csv", "x.npz"])
def test_what_cannot_be_streamed_is_refused_with_what_can(name: str, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", TABLE)
    np.savez_compressed(tmp_path / "x.npz", TABLE)
    with pytest.raises(BadData, match=r"cannot be streamed .* a \.npy or \.parquet file, a folder of either"):
        prepare(tmp_path / name, STREAM, 0)


def test_ranges_of_a_table_are_read_from_anywhere(tmp_path: Path) -> None:
    source = source_of(table(tmp_path, rows=30))
    for start, stop in [(0, 10), (10, 40), (100, 101), (150, 200), (5, 6), (6, 7), (29, 31), (0, 200)]:
        np.testing.assert_array_equal(source.read(start, stop).values, TABLE[start:stop])
    assert source.cuts().tolist() == [0, 30, 60, 90, 120, 150, 180, 200]


@pytest.mark.parametrize("scale", ["auto", "standard"])
def test_missing_cells_are_counted_with_their_row_and_column(scale: str, tmp_path: Path) -> None:
    x = TABLE.copy()
    x[77, 2] = np.nan
    path, options = table(tmp_path, x=x), STREAM.model_copy(update={"scale": scale})
    data = prepare(path, options, 0)
    assert (data.missing.cells, data.missing.examples) == (1, 1)
    assert data.missing.first == "'x.parquet', row 77, column 2 (counted from 0)"
    assert int(rows_of(data).isnan().sum()) == 1
    skipped = prepare(path, options.model_copy(update={"on_bad_data": "skip"}), 0)
    assert not skipped.missing
    assert len(rows_of(skipped)) == 199
    assert [(e.file, e.row, e.why) for e in skipped.bad_examples.entries] == [
        ("x.parquet", 77, "it holds NaN or infinity (column 2)")
    ]


def test_missing_cells_of_a_held_out_set_alone_are_known(tmp_path: Path) -> None:
    test, _ = draw_held_out(len(TABLE), STREAM, 0, "x")
    x = TABLE.copy()
    x[test.min(), 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    data = prepare(tmp_path / "x.npy", STREAM, 0)
    assert data.missing.cells == 1
    assert data.missing.first == f"'x.npy', row {test.min()}, column 1 (counted from 0)"


def test_infinite_values_on_disk_are_bad_rows_with_their_column(tmp_path: Path) -> None:
    x = TABLE.copy()
    x[77, 2] = np.inf
    with pytest.raises(BadData, match=r"'x\.parquet', row 77 is invalid: .*\(column 2\)"):
        prepare(table(tmp_path, x=x), STREAM.model_copy(update={"scale": "standard"}), 0)


def test_row_groups_too_large_to_shuffle_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "COARSE", 1000)
    with pytest.warns(UserWarning, match=r"row groups of .* row_group_size="):
        prepare(table(tmp_path, rows=100), STREAM, 0)


def spoil(folder: Path) -> None:
    (folder / "007.png").write_bytes((folder / "007.png").read_bytes()[:40])
    Image.fromarray(GREY[0][:3]).save(folder / "011.png")


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_damaged_pictures_are_left_out_and_listed(memory: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p")
    spoil(folder)
    options = DataOptions(memory=memory, on_bad_data="skip", validation=0)
    data = prepare(folder, options, 0)
    if isinstance(data.train.x, StoredTensor):
        list(data.train.x.chunks(100))
    assert sorted(entry.file for entry in data.bad_examples.entries) == ["007.png", "011.png"]
    assert data.bad_examples.to_dict()["count"] == 2
    good = torch.from_numpy(np.delete(GREY, [7, 11], axis=0) / np.float32(255))
    left = data.train.x if isinstance(data.train.x, torch.Tensor) else torch.cat(list(data.train.x.chunks(100)))
    assert torch.equal(torch.cat([left, data.test.tensor]).flatten(1).unique(dim=0), good.flatten(1).unique(dim=0))


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_a_damaged_picture_stops_with_its_name(memory: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p")
    spoil(folder)

    def read() -> None:
        stopped = prepare(folder, DataOptions(memory=memory, validation=0), 0)
        list(stopped.train.x.chunks(100))

    with pytest.raises(BadData, match=r"'0(07|11)\.png'"):
        read()


def test_a_colored_picture_among_gray_ones_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pictures(tmp_path / "p")
    monkeypatch.setattr("isthmus.data.readers.images.LOOKED_AT", 2)
    Image.fromarray(np.stack([GREY[5], GREY[6], GREY[7]], -1)).save(folder / "005.png")
    source = source_of(folder)
    assert source.shape == (6, 5)
    assert source.read(0, 10).faults == {5: "it is colored, the others are gray"}


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_values_that_the_likelihood_cannot_describe_are_left_out_of_every_part(memory: str, tmp_path: Path) -> None:
    import isthmus as it

    x = RNG.random((300, 4))
    x[::50, 2] = 1.5
    np.save(tmp_path / "x.npy", x)
    options = {"data.memory": memory, "data.on_bad_data": "skip", "latent.size": 2}
    run = it.fit("simple", tmp_path / "x.npy", epochs=1, options=options)
    assert run.data is not None
    train = run.data.train.x
    x = train if isinstance(train, torch.Tensor) else torch.cat(list(train.chunks(99)))
    parts = torch.cat([x, run.data.valid.tensor, run.data.test.tensor])
    assert (len(parts), parts.max().item() <= 1) == (294, True)
    assert sorted(entry["row"] for entry in run.metadata.bad_data["listed"]) == [0, 50, 100, 150, 200, 250]
    with pytest.raises(BadData, match=r"row (0|50|100|150|200|250)\b"):
        it.fit("simple", tmp_path / "x.npy", epochs=1, options=options | {"data.on_bad_data": "stop"})


def test_rows_with_nan_are_left_out_in_memory_and_keep_their_numbers(tmp_path: Path) -> None:
    x = TABLE.copy()
    x[[20, 50], 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    data = prepare(tmp_path / "x.npy", DataOptions(on_bad_data="skip"), 0)
    assert len(data.train) + len(data.valid) + len(data.test) == 198
    assert sorted((entry.file, entry.row) for entry in data.bad_examples.entries) == [("x.npy", 20), ("x.npy", 50)]
    for part in (data.train, data.valid, data.test):
        for index in range(len(part)):
            np.testing.assert_array_equal(part.tensor[index], x[part.locate(index).row].astype(np.float32))
    kept = prepare(tmp_path / "x.npy", DataOptions(), 0)
    assert (kept.missing.cells, kept.missing.first) == (2, "row 20, column 1 (counted from 0)")
    x[20, 1] = np.inf
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(BadData, match=r"'x\.npy' holds 1 inf.* row 20, column 1 .*data\.on_bad_data=skip"):
        prepare(tmp_path / "x.npy", DataOptions(), 0)


def test_a_library_array_may_be_streamed() -> None:
    data = prepare(TABLE, STREAM, 0)
    assert data.streamed
    assert data.provenance.files == ()


def test_provenance_says_that_its_fingerprint_is_sampled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", TABLE)
    (file,) = prepare(tmp_path / "x.npy", STREAM, 0).provenance.files
    assert (file.name, file.sampled) == ("x.npy", True)
    assert file.bytes == (tmp_path / "x.npy").stat().st_size


def test_prepare_stored_is_a_function_of_the_seed() -> None:
    dataset = opened(TABLE)
    assert dataset.streamed
    a, b, c = (prepare_dataset(dataset, STREAM, seed) for seed in (0, 0, 1))
    assert torch.equal(a.test.tensor, b.test.tensor)
    assert not torch.equal(a.test.tensor, c.test.tensor)


def test_a_streamed_table_has_the_names_of_rows_that_it_has_in_memory(tmp_path: Path) -> None:
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=list("abc"))
    for index in (pd.Index([f"row {n}" for n in range(40)], name="sample"), pd.Index(np.arange(40) * 3)):
        table.set_axis(index).to_parquet(tmp_path / "t.parquet")
        found = [open_data(tmp_path / "t.parquet", DataOptions(memory=memory)).train for memory in ("stream", "whole")]
        first, second = (source.names_of(np.array([3, 5])).tolist() for source in found)
        assert first == second == index[[3, 5]].tolist()
        assert found[0].row_title == found[1].row_title == (index.name or "index")
