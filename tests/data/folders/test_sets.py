"""Folders of a training, a validation and a test set."""

import numpy as np
import pytest
from PIL import Image

from isthmus.data.preparing import prepare
from isthmus.errors import BadData
from isthmus.options import DataOptions

from .conftest import Made
from .test_depth import grays_of, names_of, opened, words_of


@pytest.mark.parametrize("memory", ["whole", "stream"])
@pytest.mark.parametrize("top", ["", "dataset/", "a/b/"])
@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [("train", "valid", "test"), ("Training", "val", "TESTING"), ("TRAIN", "validation", "Test")],
)
def test_sets_have_one_numbering_of_labels(
    made: Made, memory: str, top: str, train: str, valid: str, test: str
) -> None:
    names = [f"{train}/cat/1.png", f"{train}/eel/2.png", f"{valid}/eel/3.png", f"{test}/dog/4.png", f"{test}/eel/5.png"]
    dataset = opened(made([top + name for name in names]), memory=memory)
    assert dataset.label_names == ("cat", "dog", "eel")
    assert names_of(dataset.train) == [top + name for name in names[:2]]
    assert grays_of(dataset.train) == [0, 1]
    assert words_of(dataset) == ["cat", "eel"]
    assert dataset.valid is not None
    assert dataset.test is not None
    assert (grays_of(dataset.valid), words_of(dataset, dataset.valid)) == ([2], ["eel"])
    assert (grays_of(dataset.test), words_of(dataset, dataset.test)) == ([3, 4], ["dog", "eel"])
    assert f"'{train}', '{valid}' and '{test}' are the sets for training, validation and testing." in dataset.notes[0]
    assert len(dataset.provenance.files) == len({file.name for file in dataset.provenance.files}) == 3


def test_a_test_set_without_labels_has_none(made: Made) -> None:
    dataset = opened(made(["train/cat/1.png", "train/dog/2.png", "test/1.png", "test/2.png"]))
    assert (words_of(dataset), words_of(dataset, dataset.test)) == (["cat", "dog"], None)
    assert dataset.valid is None
    made_of = prepare("/".join(dataset.provenance.name.split("/")), DataOptions(validation=0), 0)
    assert made_of.test is not None
    assert (made_of.held_out, len(made_of.train), len(made_of.test)) == ("test set", 2, 2)
    assert made_of.test.labels is None


def test_masks_beside_the_sets_are_left_out_and_counted(made: Made) -> None:
    dataset = opened(made(["train/good/1.png", "test/good/2.png", "test/bad/3.png", "ground_truth/bad/3.png"]))
    assert [len(source) for source in dataset.splits.values()] == [1, 2]
    assert words_of(dataset, dataset.test) == ["bad", "good"]
    assert any("1 pictures outside of the folders 'train' and 'test' are left out" in note for note in dataset.notes)


def test_a_class_of_trains_is_a_label(made: Made) -> None:
    dataset = opened(made(["bus/1.png", "train/2.png", "car/3.png"]))
    assert words_of(dataset) == ["bus", "car", "train"]
    assert dataset.test is None
    assert any("'train' is a label" in note for note in dataset.notes)


def test_without_a_training_set_sets_are_labels(made: Made) -> None:
    assert words_of(opened(made(["test/1.png", "valid/2.png"]))) == ["test", "valid"]


def test_a_training_set_alone(made: Made) -> None:
    dataset = opened(made(["train/cat/1.png", "train/dog/2.png"]))
    assert (words_of(dataset), list(dataset.splits)) == (["cat", "dog"], ["train"])


def test_the_level_of_labels_is_counted_from_the_set(made: Made) -> None:
    names = ["train/a/x/1.png", "train/b/y/2.png", "test/a/y/3.png"]
    dataset = opened(made(names), label_level=2)
    assert (words_of(dataset), words_of(dataset, dataset.test)) == (["x", "y"], ["y"])


def test_one_format_is_decided_on_all_sets(made: Made) -> None:
    folder = made(["train/1.png", "test/2.png"])
    Image.fromarray(np.zeros((4, 3, 3), np.uint8)).save(folder / "test" / "colored.png")
    dataset = opened(folder)
    assert {source.shape for source in dataset.splits.values()} == {(4, 3, 3)}


def test_two_folders_of_one_set_are_joined(made: Made) -> None:
    dataset = opened(made(["train/1.png", "val/2.png", "validation/3.png"]))
    assert dataset.valid is not None
    assert names_of(dataset.valid) == ["val/2.png", "validation/3.png"]


def test_a_set_with_a_damaged_picture_names_it(made: Made) -> None:
    folder = made(["train/1.png", "train/2.png", "test/3.png"])
    (folder / "test" / "3.png").write_bytes((folder / "test" / "3.png").read_bytes()[:40])
    with pytest.raises(BadData, match=r"test/3\.png"):
        prepare(str(folder), DataOptions(validation=0), 0)
