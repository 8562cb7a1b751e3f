"""Data on the disk made ready for a run: held-out parts, scaling, formats, and when data is streamed at all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus.data.base import Array
from isthmus.data.loading import prepare
from isthmus.data.preparing import on_disk
from isthmus.data.preparing.on_disk import draw_held_out, prepare_on_disk
from isthmus.data.preparing.prepared import PreparedData
from isthmus.data.streaming import choice, lazy
from isthmus.data.streaming.choice import open_source, source_if_streamed
from isthmus.data.streaming.lazy import StoredTensor
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
    monkeypatch.setattr(lazy, "READ", 20 * 32)
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
    assert source_if_streamed(tmp_path / "x.npy", DataOptions()) is None
    # as 32-bit numbers, four times the bytes of the file
    monkeypatch.setattr(choice, "LARGEST", 4 * GREY.nbytes - 1)
    assert source_if_streamed(tmp_path / "x.npy", DataOptions()) is not None
    assert source_if_streamed(tmp_path / "x.npy", DataOptions(memory="whole")) is None
    monkeypatch.setattr(choice, "LARGEST", 4 * GREY.nbytes)
    assert source_if_streamed(tmp_path / "x.npy", DataOptions()) is None
    monkeypatch.setattr(choice, "machine_memory", lambda: 4 * GREY.nbytes)
    assert source_if_streamed(tmp_path / "x.npy", DataOptions()) is not None


@pytest.mark.parametrize("name", ["x.csv", "x.npz", "nothing.npy"])
def test_what_cannot_be_streamed_is_refused_with_what_can(name: str, tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", TABLE)
    np.savez(tmp_path / "x.npz", TABLE)
    with pytest.raises(BadData, match=r"cannot be streamed .* a \.npy or \.parquet file, a folder of either"):
        prepare(tmp_path / name, STREAM, 0)


def test_ranges_of_a_table_are_read_from_anywhere(tmp_path: Path) -> None:
    source = open_source(table(tmp_path, rows=30), DataOptions())
    assert source is not None
    for start, stop in [(0, 10), (10, 40), (100, 101), (150, 200), (5, 6), (6, 7), (29, 31), (0, 200)]:
        np.testing.assert_array_equal(source.read(start, stop).values, TABLE[start:stop])
    assert source.cuts().tolist() == [0, 30, 60, 90, 120, 150, 180, 200]


def test_missing_cells_are_bad_rows_with_their_column(tmp_path: Path) -> None:
    x = TABLE.copy()
    x[77, 2] = np.nan
    with pytest.raises(BadData, match=r"'x\.parquet', row 77 is invalid: .*\(column 2\)"):
        prepare(table(tmp_path, x=x), STREAM.model_copy(update={"scale": "standard"}), 0)


def test_row_groups_too_large_to_shuffle_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_disk, "COARSE", 1000)
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
    monkeypatch.setattr("isthmus.data.streaming.image_folder.LOOKED_AT", 2)
    Image.fromarray(np.stack([GREY[5], GREY[6], GREY[7]], -1)).save(folder / "005.png")
    source = open_source(folder, STREAM)
    assert source is not None
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
    assert [(entry.file, entry.row) for entry in data.bad_examples.entries] == [("x.npy", 20), ("x.npy", 50)]
    for part in (data.train, data.valid, data.test):
        for index in range(len(part)):
            np.testing.assert_array_equal(part.tensor[index], x[part.locate(index).row].astype(np.float32))
    with pytest.raises(BadData, match=r"'x\.npy' holds 2 values .* row 20, column 1 .*data\.on_bad_data=skip"):
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
    source = source_if_streamed(TABLE, STREAM)
    assert source is not None
    a, b, c = (prepare_on_disk(source, "x", STREAM, seed) for seed in (0, 0, 1))
    assert torch.equal(a.test.tensor, b.test.tensor)
    assert not torch.equal(a.test.tensor, c.test.tensor)
