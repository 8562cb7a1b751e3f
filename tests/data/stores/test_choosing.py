"""Which arrays of a file or a mapping are the examples, and which their labels."""

from pathlib import Path

import numpy as np
import pytest

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.errors import BadData
from isthmus.options import DataOptions

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4))
IMAGES = RNG.integers(0, 256, (6, 5, 7), dtype=np.uint8)
DIGITS = np.array([3, 1, 0, 2, 1, 3])


def opened(arrays: dict[str, np.ndarray], tmp_path: Path | None = None, **options: object) -> Dataset:
    if tmp_path is not None:
        np.savez(tmp_path / "a.npz", **arrays)
        return open_data(str(tmp_path / "a.npz"), DataOptions(**options))
    return open_data(arrays, DataOptions(**options))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ("x", "y"), ("X", "Y"), ("data", "target"), ("data", "labels"), ("images", "labels"), ("features", "label"),
        ("x_train", "y_train"), ("X_train", "Y_train"), ("train_images", "train_labels"), ("trainX", "trainY"),
        ("xtrain", "ytrain"), ("train", "train_labels"), ("anything", "label"), ("/train/x", "/train/y"),
    ],
)  # fmt: skip
def test_usual_names_say_what_arrays_are(x: str, y: str):
    dataset = opened({x: X, y: DIGITS})
    np.testing.assert_array_equal(dataset.train.x, X)
    np.testing.assert_array_equal(dataset.train.labels, DIGITS)


def test_splits_of_any_spelling_are_told_apart():
    dataset = opened(
        {"train_images": IMAGES, "train_labels": DIGITS, "val_images": IMAGES[:2], "testImages": IMAGES[3:], "n": X}
    )
    np.testing.assert_array_equal(dataset.valid.x, IMAGES[:2])
    np.testing.assert_array_equal(dataset.test.x, IMAGES[3:])
    assert dataset.train.labels.tolist() == DIGITS.tolist()
    assert dataset.test.labels is None
    assert "Not used: 'n'." in dataset.notes


def test_options_name_the_arrays_by_the_end_of_their_path(tmp_path: Path):
    arrays = {"/scans/raw": X, "/scans/old": X + 1, "/info/digit": DIGITS}
    dataset = opened(arrays, key="raw", labels="digit")
    np.testing.assert_array_equal(dataset.train.x, X)
    np.testing.assert_array_equal(dataset.train.labels, DIGITS)
    assert dataset.notes[0] == "x is '/scans/raw' (6, 4); data.key sets another array."
    np.testing.assert_array_equal(opened({"a": X, "b": X + 1}, tmp_path, key="b").train.x, X + 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"several arrays that could be the examples: 'raw' \(6, 4\), 'old' \(6, 4\). Set data.key"),
        ({"key": "rwa"}, r"no array 'rwa' \(data.key\); did you mean 'raw'\? It holds 'raw' \(6, 4\), 'old' \(6, 4\)"),
        ({"key": "raw", "labels": "no"}, r"no array 'no' \(data.labels\)"),
        ({"key": "raw", "labels": "old"}, r"'old' in 'array' cannot be the labels of 6 examples|holds"),
    ],
)
def test_what_cannot_be_chosen_is_refused_with_the_names(settings: dict[str, str], message: str):
    arrays = {"raw": X, "old": X + 1} if "labels" not in settings else {"raw": X, "old": X[:3]}
    with pytest.raises(BadData, match=message):
        opened(arrays, **settings)


def test_an_end_that_two_paths_share_is_refused():
    with pytest.raises(BadData, match=r"data.key=raw is the end of '/a/raw', '/b/raw' in 'array'"):
        opened({"/a/raw": X, "/b/raw": X}, key="raw")


@pytest.mark.parametrize(
    "stored",
    [DIGITS[:, None], DIGITS[None], DIGITS.astype(float), np.eye(5)[DIGITS], np.eye(5, dtype=np.uint8)[DIGITS]],
    ids=["column", "row", "floats", "one-hot", "one-hot bytes"],
)
def test_labels_may_be_a_column_a_row_or_one_hot(stored: np.ndarray):
    assert opened({"x": X, "y": stored}).train.labels.tolist() == DIGITS.tolist()


@pytest.mark.parametrize("kind", ["U", "S"])
def test_words_are_labels(kind: str):
    words = np.array(["dog", "cat", "ant", "cat", "dog", "dog"]).astype(kind)
    dataset = opened({"x": X, "label": words})
    assert dataset.label_names == ("ant", "cat", "dog")
    assert dataset.train.labels.tolist() == [2, 1, 0, 1, 2, 2]


def test_numbers_that_are_no_classes_are_left_out_unless_they_are_named():
    y = np.linspace(0, 1, 6)
    dataset = opened({"x": X, "y": y})
    assert dataset.train.labels is None
    assert any("'y' is left out" in note for note in dataset.notes)
    with pytest.raises(BadData, match="cannot be the labels"):
        opened({"x": X, "y": y}, labels="y")


def test_rows_with_two_ones_are_no_classes():
    two = np.eye(5)[DIGITS]
    two[2] = 1
    assert opened({"x": X, "y": two}).train.labels is None


def test_a_target_of_the_shape_of_x_is_a_target():
    dataset = opened({"x": X, "y": X + 1})
    np.testing.assert_array_equal(dataset.train.x, X + 1)
    np.testing.assert_array_equal(dataset.train.noisy, X)


def test_an_array_of_objects_beside_the_examples_is_left_out(tmp_path: Path):
    dataset = opened({"x": X, "info": np.array([{"a": 1}, None])}, tmp_path)
    np.testing.assert_array_equal(dataset.train.x, X)
    with pytest.raises(BadData, match=r"'info' in 'a\.npz' holds a pickle"):
        opened({"x": X, "info": np.array([{"a": 1}, None])}, tmp_path, key="info")


def test_examples_along_the_last_axis_are_taken_when_the_layout_says_so(tmp_path: Path):
    turned = np.moveaxis(IMAGES, 0, -1)
    table = {"X": X.T, "y": DIGITS[:, None]}
    with pytest.raises(BadData, match=r"'y' in .* last axis of 'X' \(4, 6\).* Set data.layout, such as DN"):
        opened(table, tmp_path)
    np.testing.assert_array_equal(opened(table, tmp_path, layout="DN").train.x, X)
    for where in (None, tmp_path):
        dataset = opened({"X": turned, "y": DIGITS[:, None]}, where, layout="HWN")
        np.testing.assert_array_equal(dataset.train.x, IMAGES)
        np.testing.assert_array_equal(dataset.train.labels, DIGITS)
    with pytest.raises(BadData, match="cannot be streamed"):
        opened({"X": turned}, tmp_path, layout="HWN", memory="stream")


@pytest.mark.parametrize("labels", [None, "y", "kinds"])
def test_pictures_with_labels_for_their_last_axis_lie_along_it(tmp_path: Path, labels: str | None):
    turned, name = np.moveaxis(IMAGES, 0, -1), labels or "y"
    for where in (None, tmp_path):
        dataset = opened({"X": turned, name: DIGITS[None]}, where, labels=labels)
        np.testing.assert_array_equal(dataset.train.x, IMAGES)
        np.testing.assert_array_equal(dataset.train.labels, DIGITS)
        assert any("so the examples lie along it (data.layout=HWN" in note for note in dataset.notes)
    both = {"x_train": turned, "y_train": DIGITS, "x_test": turned[..., :4], "y_test": DIGITS[:4]}
    np.testing.assert_array_equal(opened(both).test.x, IMAGES[:4])
    with pytest.raises(BadData, match="cannot be streamed"):
        opened({"X": turned, name: DIGITS}, tmp_path, labels=labels, memory="stream")


def test_arrays_of_an_archive_that_is_not_compressed_are_streamed(tmp_path: Path):
    dataset = opened({"x": X, "y": DIGITS}, tmp_path, memory="stream")
    assert dataset.streamed
    np.testing.assert_array_equal(dataset.train.read(0, 6).values, X)
    np.testing.assert_array_equal(dataset.train.read(2, 5).values, X[2:5])
    np.testing.assert_array_equal(dataset.train.labels_of(np.arange(6)), DIGITS)
    np.savez_compressed(tmp_path / "b.npz", x=X)
    np.savez(tmp_path / "c.npz", x=np.asfortranarray(X))
    for name in ("b.npz", "c.npz"):
        with pytest.raises(BadData, match="cannot be streamed"):
            open_data(tmp_path / name, DataOptions(memory="stream"))
        np.testing.assert_array_equal(open_data(tmp_path / name, DataOptions()).train.x, X)


def test_the_only_array_of_new_data_may_have_another_name(tmp_path: Path):
    dataset = opened({"new": X, "n": DIGITS}, tmp_path, key="raw")
    np.testing.assert_array_equal(dataset.train.x, X)
    assert dataset.notes[0].startswith("x is 'new' (6, 4)")
    with pytest.raises(BadData, match="has no array 'raw'"):
        opened({"new": X, "other": X}, tmp_path, key="raw")
