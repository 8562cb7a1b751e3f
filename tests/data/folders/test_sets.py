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


@pytest.mark.parametrize(
    ("train", "valid", "test", "beside"),
    [
        ("seg_train", "seg_val", "seg_test", "seg_pred"),
        ("training_set", "validation_set", "test_set", "notes"),
        ("train2017", "val2017", "test2017", "annotations"),
        ("train", "valid1", "test1", "other"),
        ("Train Images", "Val Images", "Test Images", "train"),
    ],
)
def test_sets_by_a_word_of_their_folders(made: Made, train: str, valid: str, test: str, beside: str) -> None:
    # the folder of a set may be repeated below, as Kaggle does
    names = [f"{train}/{train}/cat/1.png", f"{train}/{train}/eel/2.png", f"{valid}/{valid}/eel/3.png"]
    names += [f"{test}/{test}/cat/4.png", f"{beside}/5.png"]
    dataset = opened(made(names))
    assert dataset.valid is not None
    assert [grays_of(source) for source in dataset.splits.values()] == [[0, 1], [2], [3]]
    assert [words_of(dataset, source) for source in dataset.splits.values()] == [["cat", "eel"], ["eel"], ["cat"]]
    assert any(f"The folders '{train}', '{valid}' and '{test}' are the sets" in note for note in dataset.notes)
    assert any("1 pictures outside of the folders" in note for note in dataset.notes)


def test_words_of_other_names_are_no_sets(made: Made) -> None:
    dataset = opened(made(["train station/1.png", "test tube/2.png", "valley/3.png"]))
    assert dataset.test is None
    assert words_of(dataset) == ["test tube", "train station", "valley"]


def test_a_test_set_in_one_folder_of_no_label_has_no_labels(made: Made) -> None:
    dataset = opened(made(["train/cat/1.png", "train/dog/2.png", "test/test/1.png", "test/test/2.png"]))
    assert dataset.label_names == ("cat", "dog")
    assert (words_of(dataset), words_of(dataset, dataset.test)) == (["cat", "dog"], None)
    assert any(
        "The test set has no labels, as its only folder 'test' is not a label in" in note for note in dataset.notes
    )
    # classes that are new in the test set, as in few-shot learning
    dataset = opened(made(["train/cat/1.png", "train/dog/2.png", "test/eel/1.png", "test/fly/2.png"], name="new"))
    assert words_of(dataset, dataset.test) == ["eel", "fly"]


def test_masks_that_are_taken_are_noted(made: Made) -> None:
    dataset = opened(made(["images/1.png", "images/2.png", "masks/1.png", "masks/2.png"]))
    assert any("The pictures in 'masks' are examples too, though they may be masks" in note for note in dataset.notes)
    for names in (["masks/1.png", "masks/2.png"], ["cat/1.png", "unmasked/2.png"]):
        assert not any("masks;" in note for note in opened(made(names, name=names[0][:3])).notes)
