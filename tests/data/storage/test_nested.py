"""Archives in archives, as sites for competitions pack them."""

import io
from pathlib import Path

import numpy as np
import pytest
from made_archives import tarred, zipped
from PIL import Image

from isthmus.data.dataset import Dataset
from isthmus.data.opening import open_data
from isthmus.errors import BadData
from isthmus.options import DataOptions

X = np.random.default_rng(0).integers(0, 256, (12, 5, 4)).astype(np.uint8)
TABLE = b"id,label\n" + b"".join(b"%d,0\n" % number for number in range(40))


def gzipped(members: dict[str, bytes]) -> bytes:
    return tarred(members, "w:gz")


def pictures(rows: range, label: bool = True) -> dict[str, bytes]:
    found = {}
    for row in rows:
        out = io.BytesIO()
        Image.fromarray(X[row]).save(out, "png")
        found[f"{'ab'[row % 2] + '/' if label else ''}{row:02}.png"] = out.getvalue()
    return found


def opened(path: Path, data: bytes, **options: object) -> Dataset:
    path.write_bytes(data)
    found = open_data(path, DataOptions(**options))  # type: ignore[arg-type]
    assert isinstance(found, Dataset)
    return found


@pytest.mark.parametrize("memory", ["whole", "stream"])
@pytest.mark.parametrize(("name", "inner"), [("a.zip", zipped), ("deep/a.tgz", gzipped), ("a.tar.gz", gzipped)])
def test_the_only_archive_in_an_archive_is_read(name: str, inner: type, memory: str, tmp_path: Path) -> None:
    packed = inner(pictures(range(12)))
    plain = opened(tmp_path / Path(name).name, packed)
    found = opened(tmp_path / "outer.zip", zipped({name: packed, "README.txt": b"x"}), memory=memory)
    assert found.name == "outer.zip"
    assert found.label_names == plain.label_names == ("a", "b")
    np.testing.assert_array_equal(found.train.read(0, 12).values, plain.train.read(0, 12).values)
    assert [file.name for file in found.provenance.files] == ["outer.zip"]


def test_a_table_beside_archives_is_not_taken_for_the_data(tmp_path: Path) -> None:
    members = {"sample.csv": TABLE, "test1.zip": zipped(pictures(range(8, 12), label=False))}
    packed = zipped(members | {"train.zip": zipped(pictures(range(8)))})
    with pytest.raises(
        BadData, match=r"3 files of data: .* Set data\.key to one of them, such as data\.key=train\.zip"
    ):
        opened(tmp_path / "x.zip", packed)
    found = opened(tmp_path / "x.zip", packed, key="train.zip")
    assert (len(found.train), found.label_names) == (8, ("a", "b"))
    assert len(opened(tmp_path / "x.zip", packed, key="sample.csv").train) == 40


def test_archives_of_sets_are_the_sets(tmp_path: Path) -> None:
    test = zipped(pictures(range(8, 12), label=False))
    found = opened(tmp_path / "x.zip", zipped({"train.zip": zipped(pictures(range(8))), "test.zip": test}))
    assert found.test is not None
    np.testing.assert_array_equal(np.sort(found.test.read(0, 4).values, 0), np.sort(X[8:], 0))
    assert (len(found.train), found.test.labels_of(np.arange(4))) == (8, None)


def test_archives_in_archives_in_archives_are_refused(tmp_path: Path) -> None:
    inner = zipped({"b.zip": zipped({"c.zip": zipped(pictures(range(4)))})})
    with pytest.raises(BadData, match=r"'c\.zip' in 'b\.zip' is in an archive in an archive, deeper than is read"):
        opened(tmp_path / "a.zip", inner)
    with pytest.raises(BadData, match=r"'b\.zip'.*damaged|'b\.zip'.*archive"):
        opened(tmp_path / "a.zip", zipped({"b.zip": b"PK nothing"}))


def test_a_folder_of_archives_names_one_of_them(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / f"{name}.zip").write_bytes(zipped(pictures(range(4))))
    with pytest.raises(BadData, match=r"such as 'cat\.zip'\. Archives in a folder are not read together"):
        open_data(tmp_path, DataOptions())
