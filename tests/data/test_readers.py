"""Every kind of file gives back the arrays that were written."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus.data.dataset import Dataset
from isthmus.data.prepared import PreparedData
from isthmus.data.preparing import prepare_dataset
from isthmus.data.readers.paths import read_path
from isthmus.errors import MissingExtra
from isthmus.options import DataOptions

PLAIN = DataOptions()
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 6, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
TABLE = RNG.normal(size=(5, 12))


def saved(folder: Path, name: str, x: np.ndarray) -> Path:
    np.save(folder / name, x)
    return folder / name


def prepared(dataset: Dataset, **settings: object) -> PreparedData:
    return prepare_dataset(dataset, DataOptions(test=0, validation=0, **settings), 0)


def test_npy_table_comes_back_with_its_checksum(tmp_path: Path):
    path = saved(tmp_path, "a.npy", TABLE)
    dataset = read_path(path, PLAIN)
    np.testing.assert_array_equal(dataset.train.x, TABLE)
    made = prepared(dataset)
    assert (made.images, made.contract.on_pixels, made.test, made.name) == (False, False, None, "a.npy")
    file = dataset.provenance.files[0]
    assert (file.name, file.bytes) == ("a.npy", path.stat().st_size)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset.provenance.name == str(path)


def test_fortran_order_and_foreign_bytes_come_back(tmp_path: Path):
    x = np.asfortranarray(TABLE.astype(">f4"))
    np.testing.assert_array_equal(read_path(saved(tmp_path, "a.npy", x), PLAIN).train.x, x)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (GREY, GREY[:, None]),
        (COLOUR, COLOUR.transpose(0, 3, 1, 2)),
        (COLOUR.transpose(0, 3, 1, 2), COLOUR.transpose(0, 3, 1, 2)),
        (GREY[..., None], GREY[:, None]),
        (GREY[:, None], GREY[:, None]),
        # both ends could be channels: the last axis wins
        (np.arange(120).reshape(2, 3, 5, 4), np.arange(120).reshape(2, 3, 5, 4).transpose(0, 3, 1, 2)),
    ],
    ids=["gray", "last", "first", "one last", "one first", "both"],
)
def test_channels_are_put_first(tmp_path: Path, x: np.ndarray, expected: np.ndarray):
    made = prepared(read_path(saved(tmp_path, "a.npy", x), PLAIN), scale="none")
    assert made.images
    np.testing.assert_array_equal(made.train.x, expected)


@pytest.mark.parametrize(
    ("x", "pixels"),
    [
        (GREY, True),
        (GREY.reshape(5, -1), True),
        ((GREY > 99).astype(np.uint8), False),
        (GREY > 99, False),
        (GREY.astype(np.int16), False),
        (GREY / 255, False),
    ],
    ids=["images", "table", "zero and one", "truth values", "other integers", "floats"],
)
def test_only_bytes_above_one_are_pixels(tmp_path: Path, x: np.ndarray, pixels: bool):
    dataset = read_path(saved(tmp_path, "a.npy", x), PLAIN)
    assert dataset.train.dtype == x.dtype
    made = prepared(dataset)
    assert made.contract.on_pixels is pixels
    np.testing.assert_allclose(made.train.x.reshape(x.shape), x / np.float32(255) if pixels else x, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4), (2, 2, 3), (3, 2, 2)])
def test_shape_makes_images_of_rows(tmp_path: Path, shape: tuple[int, ...]):
    dataset = read_path(saved(tmp_path, "a.npy", TABLE), DataOptions(shape=shape))
    made = prepared(dataset, shape=shape)
    assert made.images
    expected = TABLE.reshape(5, *shape).astype(np.float32)
    if shape != (3, 2, 2):
        expected = np.moveaxis(expected.reshape(5, *shape[:2], -1), -1, 1)
    np.testing.assert_array_equal(made.train.x, expected)


def test_npz_with_all_parts_and_words_as_labels(tmp_path: Path):
    parts = {"x_train": GREY, "x_valid": GREY[:2], "x_test": GREY[2:]}
    words = np.array(["cat", "ant", "cat", "bee", "ant"])
    np.savez_compressed(tmp_path / "a.npz", **parts, y_train=words, y_test=words[2:])
    dataset = read_path(tmp_path / "a.npz", PLAIN)
    np.testing.assert_array_equal(dataset.test.x, GREY[2:])
    np.testing.assert_array_equal(dataset.valid.x, GREY[:2])
    assert dataset.label_names == ("ant", "bee", "cat")
    assert dataset.train.labels.tolist() == [2, 0, 2, 1, 0]
    assert dataset.test.labels.tolist() == [2, 1, 0]
    assert dataset.valid.labels is None


def test_npz_with_one_array_or_with_features_and_labels(tmp_path: Path):
    np.savez(tmp_path / "one.npz", anything=TABLE)
    np.savez(tmp_path / "two.npz", X=TABLE, y=np.array([[0.0], [1], [0], [0], [1]]))
    np.testing.assert_array_equal(read_path(tmp_path / "one.npz", PLAIN).train.x, TABLE)
    two = read_path(tmp_path / "two.npz", PLAIN)
    np.testing.assert_array_equal(two.train.x, TABLE)
    assert two.train.labels.tolist() == [0, 1, 0, 0, 1]
    assert two.train.labels.dtype == np.int64


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_takes_the_labels_beside_it_and_a_folder_the_test_part(
    tmp_path: Path, idx_bytes: Callable[[np.ndarray], bytes], zipped: bool
):
    def write(name: str, values: np.ndarray) -> None:
        data = idx_bytes(values)
        (tmp_path / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)

    write("train-images-idx3-ubyte", GREY)
    write("train-labels-idx1-ubyte", np.arange(5))
    write("t10k-images-idx3-ubyte", GREY[:2])
    folder = read_path(tmp_path, PLAIN)
    np.testing.assert_array_equal(folder.train.x, GREY)
    np.testing.assert_array_equal(folder.test.x, GREY[:2])
    assert folder.train.labels.tolist() == [0, 1, 2, 3, 4]
    assert folder.test.labels is None
    assert prepared(folder).contract.on_pixels
    assert len(folder.provenance.files) == 3
    alone = read_path(tmp_path / ("train-images-idx3-ubyte" + ".gz" * zipped), PLAIN)
    assert alone.test is None
    assert alone.train.labels.tolist() == [0, 1, 2, 3, 4]


def test_idx_of_big_endian_floats_comes_back(tmp_path: Path):
    head = bytes([0, 0, 0x0D, 2, 0, 0, 0, 5, 0, 0, 0, 12])
    (tmp_path / "a.idx").write_bytes(head + TABLE.astype(">f4").tobytes())
    np.testing.assert_array_equal(read_path(tmp_path / "a.idx", PLAIN).train.x, TABLE.astype("f4"))


def test_csv_with_and_without_names(tmp_path: Path):
    (tmp_path / "a.csv").write_text("\ufeffa,b,kind\n1,2.5,cat\n3,,ant\n", encoding="utf-8")
    dataset = read_path(tmp_path / "a.csv", DataOptions(labels="kind"))
    np.testing.assert_array_equal(dataset.train.x, [[1, 2.5], [3, np.nan]])
    assert (dataset.train.labels.tolist(), dataset.label_names) == ([1, 0], ("ant", "cat"))
    (tmp_path / "b.csv").write_text("1,2\n3,4\n")
    np.testing.assert_array_equal(read_path(tmp_path / "b.csv", PLAIN).train.x, [[1, 2], [3, 4]])
    (tmp_path / "c.csv").write_text("0,1,2\n3,4,5\n")
    np.testing.assert_array_equal(read_path(tmp_path / "c.csv", PLAIN).train.x, [[3, 4, 5]])


def test_parquet_comes_back_with_whole_number_labels(tmp_path: Path):
    import pandas as pd

    pd.DataFrame({"a": [1, 2], "b": [True, False], "y": [7, 3]}).to_parquet(tmp_path / "a.parquet")
    dataset = read_path(tmp_path / "a.parquet", DataOptions(labels="y"))
    np.testing.assert_array_equal(dataset.train.x, [[1, 1], [2, 0]])
    assert dataset.train.labels.tolist() == [7, 3]


def test_a_missing_table_library_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.csv").write_text("a\n1\n")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[tabular\]'"):
        read_path(tmp_path / "a.csv", PLAIN)


@pytest.mark.parametrize("ending", ["png", "bmp", "pgm", "webp", "gif"])
def test_gray_pictures_come_back_sorted(tmp_path: Path, ending: str):
    for row in (2, 0, 1):
        image = Image.fromarray(GREY[row])
        image.save(tmp_path / f"{row}.{ending}", **({"lossless": True} if ending == "webp" else {}))
    (tmp_path / "notes.txt").write_text("not a picture")
    dataset = read_path(tmp_path, PLAIN)
    x = dataset.train.x[..., 0] if ending == "webp" else dataset.train.x  # WebP knows no gray
    np.testing.assert_array_equal(x, GREY[:3])
    made = prepared(dataset)
    assert made.contract.on_pixels
    assert made.images


def test_one_colored_picture_makes_all_colored(tmp_path: Path):
    Image.fromarray(GREY[0]).save(tmp_path / "0.png")
    Image.fromarray(COLOUR[1]).save(tmp_path / "1.ppm")
    x = read_path(tmp_path, PLAIN).train.x
    np.testing.assert_array_equal(x[0], np.repeat(GREY[0][..., None], 3, axis=2))
    np.testing.assert_array_equal(x[1], COLOUR[1])


def test_sub_folders_are_labels_and_the_folder_has_one_record(tmp_path: Path):
    lines = []
    for row, name in enumerate(["b/0.png", "a/1.png", "b/2.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(GREY[row]).save(tmp_path / name)
        lines.append(f"{name} {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}\n")
    dataset = read_path(tmp_path, PLAIN)
    np.testing.assert_array_equal(dataset.train.x, GREY[[1, 0, 2]])
    made = prepared(dataset)
    assert made.train.labels.tolist() == [0, 1, 1]
    assert made.label_names == ("a", "b")
    (record,) = dataset.provenance.files
    assert record.name == tmp_path.name
    assert record.sha256 == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
