"""Fingerprints of folders of pictures, and the same pictures in a folder, deeper in a folder, and in archives."""

import hashlib
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import fit, load
from isthmus.errors import BadData
from isthmus.runs.data import data_for

from .conftest import Made
from .test_depth import grays_of, names_of, opened, words_of

NAMES = ["train/a/1.png", "train/b/2.png", "test/b/3.png"]


def archived(folder: Path) -> list[Path]:
    """The files of a folder in archives, as other programs write them."""
    found = [folder.with_suffix(ending) for ending in (".zip", ".tar", ".tar.gz")]
    with zipfile.ZipFile(found[0], "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, path.relative_to(folder.parent))
    for path, mode in ((found[1], "w"), (found[2], "w:gz")):
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            archive.add(folder, folder.name)
    return found


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_archives_have_the_sets_labels_and_pictures_of_the_folder(made: Made, memory: str) -> None:
    folder = made(NAMES, ["README.txt"])
    plain = opened(folder, memory=memory)
    for path in archived(folder):
        found = opened(path, memory=memory)
        assert list(found.splits) == ["train", "test"]
        for part, source in plain.splits.items():
            other = found.splits[part]
            assert (names_of(other), grays_of(other)) == (names_of(source), grays_of(source))
            assert words_of(found, other) == words_of(plain, source)
        assert found.notes == plain.notes
        (record,) = found.provenance.files
        assert (record.name, record.bytes) == (path.name, path.stat().st_size)
        assert record.sampled or record.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_picture_has_one_code_wherever_it_lies(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    flat, deep = tmp_path / "flat", tmp_path / "deep"
    for number, image in enumerate(images):
        for path in (flat / f"{number}.png", deep / "a" / f"b{number // 20}" / f"{number}.png"):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    run = fit("simple", flat, epochs=1, options={"latent.size": 2})
    code = run.encode(flat)
    for other in (deep, *archived(deep), *archived(flat)):
        np.testing.assert_array_equal(run.encode(other), code)


def test_the_record_of_a_folder_knows_names_sizes_and_bytes(made: Made) -> None:
    folder = made(NAMES)
    before = {memory: opened(folder, memory=memory).provenance.files for memory in ("whole", "stream")}
    assert [record.name for record in before["whole"]] == ["folder (training set)", "folder (test set)"]
    assert [record.bytes for record in before["whole"]] == [
        sum((folder / name).stat().st_size for name in names) for names in (NAMES[:2], NAMES[2:])
    ]
    Image.fromarray(np.full((4, 3), 99, np.uint8)).save(folder / NAMES[1])
    for memory, records in before.items():
        after = opened(folder, memory=memory).provenance.files
        assert records[0] != after[0]
        assert records[1] == after[1]


def test_a_run_does_not_take_a_changed_folder_for_its_data(made: Made, tmp_path: Path) -> None:
    folder = made([f"{number}.png" for number in range(40)])
    fit("simple", folder, epochs=1, options={"latent.size": 2}, out=tmp_path / "run")
    assert len(data_for(load(tmp_path / "run")).train) == 32
    Image.fromarray(np.full((4, 3), 99, np.uint8)).save(folder / "7.png")
    with pytest.raises(BadData, match="not the file that the run was trained on"):
        data_for(load(tmp_path / "run"))
