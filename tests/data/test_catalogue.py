"""Named sets load with the shapes, counts and labels of their owners; altered files are found."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from isthmus.data import CATALOGUE, load_dataset, rows
from isthmus.data.catalogue.checksums import CHECKSUMS
from isthmus.data.catalogue.table import ANOMALIES, ENCODER
from isthmus.data.preparing import prepare, prepare_dataset
from isthmus.errors import BadData, UnknownName
from isthmus.options import DataOptions

WHOLE = DataOptions(test=0, validation=0)
SMALL = DataOptions(patch_size=16, patches_per_image=3)

# name: shape of each part's x, labels counted by class where the owner states them, groups
SETS: dict[str, tuple[list[tuple[int, ...]], list[int] | None, int]] = {
    "mnist": (
        [(60000, 28, 28), (10000, 28, 28)],
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        0,
    ),
    "fashion_mnist": ([(60000, 28, 28), (10000, 28, 28)], [6000] * 10, 0),
    "binarized_mnist": ([(50000, 28, 28), (10000, 28, 28), (10000, 28, 28)], None, 0),
    "olivetti": ([(400, 64, 64)], [10] * 40, 40),
    "coil20": ([(1440, 32, 32)], [72] * 20, 20),
    "cmu_faces": ([(624, 120, 128)], None, 20),
    "kodak": ([(72, 16, 16, 3)], None, 24),
    "bsds500": ([(600, 16, 16, 3), (300, 16, 16, 3)], None, 200),
}


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_has_the_known_shapes_and_counts(name: str, real_data: Path):
    shapes, counts, groups = SETS[name]
    dataset = load_dataset(name, SMALL)
    parts = [p for p in (dataset.train, dataset.valid, dataset.test) if p is not None]
    assert [p.x.shape for p in parts] == shapes
    assert all(p.x.dtype == np.uint8 for p in parts)
    made = prepare_dataset(dataset, WHOLE, 0)
    assert made.images
    assert made.contract.on_pixels is (name != "binarized_mnist")
    if counts is not None:
        assert np.bincount(dataset.train.labels).tolist() == counts
    assert groups == (0 if dataset.train.group is None else len(np.unique(dataset.train.group)))
    entry = CATALOGUE[name]
    assert {f.name: f.sha256 for f in dataset.provenance.files} == CHECKSUMS[entry.folder]
    assert dataset.provenance.name == name
    assert (dataset.provenance.terms, dataset.provenance.credit) == (entry.terms, entry.credit)


def test_mnist_is_the_official_one(real_data: Path):
    dataset = load_dataset("mnist")
    assert np.bincount(dataset.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert dataset.train.x.mean() / 255 == pytest.approx(0.1307, abs=5e-5)


def test_binarized_mnist_counts_equal_those_of_mnist(real_data: Path):
    dataset = load_dataset("binarized_mnist")
    both = np.bincount(dataset.train.labels) + np.bincount(dataset.valid.labels)
    assert both.tolist() == SETS["mnist"][1]
    assert set(np.unique(dataset.train.x)) == {0, 1}


def test_faces_have_names_and_groups(real_data: Path):
    dataset = load_dataset("cmu_faces")
    counts = np.bincount(dataset.train.labels)
    assert len(dataset.label_names) == 20 == len(counts)
    assert dataset.label_names[0] == "an2i"
    assert 28 <= counts.min() <= counts.max() <= 32
    np.testing.assert_array_equal(dataset.train.labels, dataset.train.group)


@pytest.mark.parametrize("file", ANOMALIES)
def test_an_anomaly_set_has_the_known_table(file: str, real_data: Path):
    examples, columns, anomalies = ANOMALIES[file]
    word = file[:-4].split("_", 1)[1]
    dataset = load_dataset(f"adbench/{word}")
    assert dataset.train.x.shape == (examples, columns)
    assert np.bincount(dataset.train.labels).tolist() == [examples - anomalies, anomalies]
    made = prepare_dataset(dataset, WHOLE, 0)
    assert (made.images, made.contract.on_pixels) == (False, False)
    again = load_dataset(f"adbench/{file[:-4]}")
    assert again.name == dataset.name == f"adbench/{word.lower()}"
    assert [f.name for f in again.provenance.files] == [file]


def test_patches_are_pieces_of_their_photograph_and_follow_the_seed(real_data: Path):
    from PIL import Image

    first, same, other = (load_dataset("kodak", SMALL, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.train.x, same.train.x)
    assert (first.train.x != other.train.x).any()
    photo = np.asarray(Image.open(real_data / "kodak" / "kodim02.png"))
    windows = np.lib.stride_tricks.sliding_window_view(photo, (16, 16), axis=(0, 1))
    patch = first.train.x[first.train.group == 1][0].transpose(2, 0, 1)
    corner = windows[..., 0, 0] == patch[:, 0, 0]
    assert any((windows[y, x] == patch).all() for y, x in np.argwhere(corner.all(axis=-1)))


def test_no_berkeley_picture_is_in_both_parts(real_data: Path):
    dataset = load_dataset("bsds500", SMALL)
    assert not set(dataset.train.group) & set(dataset.test.group)
    with pytest.raises(BadData, match=r"128x128 pixels, but data.patch_size is 129"):
        load_dataset("bsds500", DataOptions(patch_size=129))


def test_too_many_patches_are_refused_before_memory_is_taken(real_data: Path):
    with pytest.raises(BadData, match=r"24 x 10000 patches of side 512 needs 175.8 GiB"):
        load_dataset("kodak", DataOptions(patch_size=512, patches_per_image=10_000))


def test_digits_need_no_file():
    dataset = load_dataset("digits")
    assert dataset.train.x.shape == (1797, 8, 8)
    assert dataset.train.x.dtype == np.float32
    assert (dataset.train.x.min(), dataset.train.x.max()) == (0, 1)
    assert (dataset.test, dataset.train.group) == (None, None)
    assert not prepare_dataset(dataset, WHOLE, 0).contract.on_pixels
    assert len(np.unique(dataset.train.labels)) == 10


def test_encoder_rows_are_one_hot_in_all_parts():
    dataset = load_dataset("encoder:5")
    for part in (dataset.train, dataset.valid, dataset.test):
        np.testing.assert_array_equal(part.x, np.eye(5))
        assert part.labels.tolist() == [0, 1, 2, 3, 4]
    assert dataset.train.x.dtype == np.float32
    assert (dataset.name, prepare_dataset(dataset, WHOLE, 0).images) == ("encoder:5", False)


@pytest.mark.parametrize("size", ["1", "4097", "x", "", "-3", "2.5", "9" * 9, "٣"])
def test_encoder_of_another_size_is_refused(size: str):
    with pytest.raises(BadData, match="integer N from 2 to 4096"):
        load_dataset(f"encoder:{size}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"no data set 'mnits'; did you mean 'mnist'\? Known: .* A path .* is also allowed"),
        ("adbench/cardia", "no data set 'adbench/cardia'; did you mean 'adbench/cardio'"),
        ("adbench/7_cardio", "no data set 'adbench/7_cardio'"),
        (ENCODER, "no data set 'encoder:<N>'"),
    ],
)
def test_an_unknown_word_names_the_nearest(name: str, message: str):
    with pytest.raises(UnknownName, match=message):
        load_dataset(name)


@pytest.mark.parametrize("name", ["folder/none", "none.npy", "~/none/at/all", Path("mnist")])
def test_what_looks_like_a_path_is_missed_as_a_path(name: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadData, match="There is no file or folder"):
        load_dataset(name)


def test_a_word_that_is_a_folder_here_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    with pytest.raises(BadData, match="'mine' holds no file"):
        load_dataset("mine")


def test_a_row_shape_makes_images_of_a_named_table(real_data: Path):
    made = prepare("adbench/24_mnist", WHOLE.model_copy(update={"shape": (10, 10)}), 0)
    assert made.train.x.shape == (7603, 1, 10, 10)
    assert made.images
    with pytest.raises(BadData, match=r"'adbench/cardio' has 21 columns, but data.shape=5,5 requires 25"):
        prepare("adbench/cardio", DataOptions(shape=(5, 5)), 0)


def test_an_altered_file_is_found(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(real_data / "olivetti", tmp_path / "olivetti")
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path))
    assert len(load_dataset("olivetti").train) == 400
    path = tmp_path / "olivetti" / "olivetti_faces.npz"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadData, match=r"olivetti_faces.npz' is not the known file: its SHA-256 is .*not 964b39d21eee"):
        load_dataset("olivetti")


def test_the_cache_is_looked_at_after_the_own_folder(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shutil.copytree(real_data / "olivetti", tmp_path / "cache" / "olivetti")
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "nowhere"))
    assert len(load_dataset("olivetti").train) == 400


@pytest.mark.parametrize("name", ["olivetti", "cmu_faces", "coil20", "bsds500", "binarized_mnist"])
def test_an_absent_set_that_cannot_be_downloaded_says_what_to_put_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ISTHMUS_DATA", str(tmp_path / "mine"))
    with pytest.raises(BadData, match=f"Put {CATALOGUE[name].files[0]} into .*mine/{name}' or .*Terms: ") as caught:
        load_dataset(name)
    assert CATALOGUE[name].terms in str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_of_a_named_set_cannot_be_chosen():
    with pytest.raises(BadData, match="'digits' is a named data set"):
        load_dataset("digits", DataOptions(labels="y"))


def test_the_listing_says_what_is_here(real_data: Path, monkeypatch: pytest.MonkeyPatch):
    assert [row.name for row in rows()] == list(CATALOGUE)
    assert all(row.present for row in rows())
    monkeypatch.delenv("ISTHMUS_DATA")
    assert [row.name for row in rows() if row.present] == [
        "digits",
        "curves",
        "movers",
        "glyphs",
        "rectangles",
        "convex",
        ENCODER,
    ]
    assert all(row.terms and row.credit and row.shape and row.sizes for row in rows())
