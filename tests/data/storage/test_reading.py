"""Data in archives and compressed files: the same as the plain file, and what is said where there are several."""

import bz2
import gzip
import io
import lzma
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_archives import tarred, zipped
from PIL import Image

from isthmus.data.dataset import Dataset
from isthmus.data.description.looking import kind_of_source
from isthmus.data.opening import open_data
from isthmus.data.readers.known import FORMATS, known_words
from isthmus.errors import BadData
from isthmus.options import DataOptions

X = np.random.default_rng(0).normal(size=(30, 4))
TABLE = pd.DataFrame(X, columns=list("abcd")).assign(kind=["x", "y", "z"] * 10)


def npy(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, values)
    return out.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def parquet(table: pd.DataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out)
    return out.getvalue()


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, "png")
    return out.getvalue()


def zstd(data: bytes) -> bytes:
    import pyarrow as pa

    return pa.compress(data, "zstd", asbytes=True)


def opened(path: Path, data: bytes, **options: object) -> Dataset:
    path.write_bytes(data)
    found = open_data(path, DataOptions(**options))
    assert isinstance(found, Dataset)
    assert [record.name for record in found.provenance.files] == [path.name]
    assert found.provenance.name == str(path)
    assert found.name == path.name
    return found


def values(dataset: Dataset) -> np.ndarray:
    return dataset.train.read(0, len(dataset.train)).values


IMAGES = np.random.default_rng(1).integers(0, 256, (30, 5, 6), np.uint8)
PLAIN = {
    "x.npy": npy(X),
    "x.npz": npz(x_train=X),
    "x.csv": TABLE.drop(columns="kind").to_csv(index=False).encode(),
    "x.parquet": parquet(TABLE.drop(columns="kind")),
    "x-images-idx3-ubyte": idx(IMAGES),
}
PACKED: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    ".gz": lambda files: gzip.compress(*files.values()),
    ".bz2": lambda files: bz2.compress(*files.values()),
    ".xz": lambda files: lzma.compress(*files.values()),
    ".zst": lambda files: zstd(*files.values()),
    ".zip": zipped,
    ".tar": tarred,
    ".tar.gz": lambda files: tarred(files, "w:gz"),
    ".tar.xz": lambda files: tarred(files, "w:xz"),
    ".tgz": lambda files: tarred(files, "w:gz"),
    " in a folder with others.zip": lambda files: zipped(
        {f"data/{name}": data for name, data in files.items()}
        | {"data/README.txt": b"read me\n1\n", "__MACOSX/data/._x.csv": b"a", "data/x.names": b"a", "LICENSE.md": b""}
    ),
    " gzipped.tar": lambda files: tarred({f"{name}.gz": gzip.compress(data) for name, data in files.items()}),
}


@pytest.mark.parametrize("ending", PACKED)
@pytest.mark.parametrize("name", PLAIN)
def test_packed_files_are_those_that_were_packed(tmp_path: Path, name: str, ending: str) -> None:
    plain = opened(tmp_path / name, PLAIN[name])
    packed = opened(tmp_path / f"{name}{ending}", PACKED[ending]({name: PLAIN[name]}))
    assert values(packed).tobytes() == values(plain).tobytes()
    assert values(packed).shape == ((30, 5, 6) if "idx" in name else (30, 4))
    with pytest.raises(BadData, match=r"cannot be streamed"):
        opened(tmp_path / f"{name}{ending}", PACKED[ending]({name: PLAIN[name]}), memory="stream")


def test_labels_of_idx_files_are_found_beside_them_in_an_archive_and_compressed(tmp_path: Path) -> None:
    labels = np.arange(30) % 7
    files = {"x-images-idx3-ubyte.gz": gzip.compress(idx(IMAGES)), "x-labels-idx1-ubyte.gz": gzip.compress(idx(labels))}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    for found in (
        open_data(tmp_path / "x-images-idx3-ubyte.gz", DataOptions()),
        opened(tmp_path / "x.zip", zipped({f"m/{n}": d for n, d in files.items()}), key="x-images-idx3-ubyte.gz"),
    ):
        assert (found.train.labels_of(np.arange(30)) == labels).all()


def test_the_archive_of_mnist_has_its_parts(tmp_path: Path) -> None:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    arrays = (IMAGES[:20], np.arange(20), IMAGES[20:], np.arange(10))
    found = opened(tmp_path / "m.zip", zipped({f"raw/{n}-ubyte": idx(a) for n, a in zip(names, arrays, strict=True)}))
    assert (values(found) == IMAGES[:20]).all()
    assert (found.test.read(0, 10).values == IMAGES[20:]).all()
    assert found.test.labels_of(np.arange(10)).tolist() == list(range(10))


def test_files_named_after_parts_are_the_parts(tmp_path: Path) -> None:
    halves = {"train": TABLE[:20], "val": TABLE[20:26][lambda t: t.kind != "x"], "test": TABLE[26:]}
    files = {f"d/{part}.csv": table.to_csv(index=False).encode() for part, table in halves.items()}
    found = opened(tmp_path / "d.zip", zipped(files), labels="kind")
    assert found.label_names == ("x", "y", "z")
    for source, table in ((found.train, halves["train"]), (found.valid, halves["val"]), (found.test, halves["test"])):
        kinds = [found.label_names[code] for code in source.labels_of(np.arange(len(source)))]
        assert kinds == table.kind.tolist()
        np.testing.assert_allclose(source.read(0, len(source)).values, table[list("abcd")], rtol=1e-15)
    assert any("data.key" in note for note in found.notes)
    # the test set of a competition has no labels
    files["d/test.csv"] = halves["test"].drop(columns="kind").to_csv(index=False).encode()
    found = opened(tmp_path / "d.zip", zipped(files), labels="kind")
    assert found.test.labels_of(np.arange(4)) is None
    assert len(opened(tmp_path / "d.zip", zipped(files), key="d/test.csv").train) == 4


def test_several_files_are_listed_and_one_can_be_named(tmp_path: Path) -> None:
    archive = zipped({"top/a.csv": PLAIN["x.csv"], "top/sub/b.npz": npz(u=X, v=X + 1), "top/c.npy": npy(X * 2)})
    with pytest.raises(BadData, match=r"'x.zip' holds 3 files of data: 'a.csv', 'c.npy', 'sub/b.npz'. Set data.key to"):
        opened(tmp_path / "x.zip", archive)
    for key in ("c.npy", "top/c.npy"):
        assert (values(opened(tmp_path / "x.zip", archive, key=key)) == X * 2).all()
    with pytest.raises(BadData, match=r"'x.zip' holds 3 files"):
        opened(tmp_path / "x.zip", archive, key="d.npy")


@pytest.mark.parametrize("files", [{}, {"a.exe": b"1", "b/c.doc": b"2"}], ids=["empty", "unknown"])
def test_archives_without_data_are_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    for name, data in (("x.zip", zipped(files)), ("x.tar", tarred(files))):
        with pytest.raises(BadData, match=r"'x\.\w+' (is empty|holds no file of a known format, but 'a.exe', 'b/c)"):
            opened(tmp_path / name, data)


@pytest.mark.parametrize("memory", ["whole", "stream"])
def test_pictures_in_an_archive_are_those_in_the_folder(tmp_path: Path, memory: str) -> None:
    for n, values_of in enumerate(IMAGES):
        path = tmp_path / "p" / "ab"[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(values_of))
    folder = open_data(tmp_path / "p", DataOptions(memory=memory))
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in (tmp_path / "p").rglob("*.png")}
    for name, data in (("p.zip", zipped(files)), ("p.tgz", tarred(files, "w:gz"))):
        found = opened(tmp_path / name, data, memory=memory)
        assert found.streamed == (memory == "stream")
        rows = np.arange(30)
        assert (values(found) == values(folder)).all()
        assert found.train.labels_of(rows).tolist() == folder.train.labels_of(rows).tolist() == [0] * 15 + [1] * 15
        assert found.label_names == folder.label_names == ("a", "b")
        assert found.train.names_of(rows).tolist() == folder.train.names_of(rows).tolist()
        assert kind_of_source(str(tmp_path / name), found, False) == "archive of images"
    files["p/labels.csv"] = b"a,b\n1,2\n"
    found = opened(tmp_path / "p.zip", zipped(files))
    assert any("not 'labels.csv' (data.key=labels.csv" in note for note in found.notes)
    assert values(opened(tmp_path / "p.zip", zipped(files), key="labels.csv")).tolist() == [[1, 2]]


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "x.csv"])
def test_files_of_another_extension_are_recognized_by_their_first_bytes(tmp_path: Path, name: str) -> None:
    data = zipped({"a.npy": PLAIN["x.npy"]}) if name == "x.npz" else PLAIN[name]
    for packed in (data, gzip.compress(data)):
        found = opened(tmp_path / "x.unknown", packed)
        assert values(found).shape == ((30, 5, 6) if "idx" in name else (30, 4))
        assert name == "x.npz" or any("starts like a file of" in note for note in found.notes)


def test_a_refusal_names_every_format(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"'x.exe' has an unsupported extension") as caught:
        opened(tmp_path / "x.exe", b"MZ")
    for known in FORMATS:
        assert f"{known.name} ({known.endings[0]})" in str(caught.value)
    assert known_words() in str(caught.value)


@pytest.mark.parametrize("name", ["x.npy.gz", "x.csv.bz2", "x.csv.xz", "x.npy.zst", "x.tar.gz", "x.zip"])
def test_every_cut_is_refused(tmp_path: Path, name: str) -> None:
    inner = name.rpartition(".")[0] if name.count(".") > 1 and ".tar" not in name else "x.npy"
    ending = name.removeprefix(inner) if inner in name else name.removeprefix("x")
    data = PACKED[ending]({inner: PLAIN[inner]})
    for cut in range(0, len(data) - 12, max(1, len(data) // 60)):
        with pytest.raises(BadData) as caught:
            opened(tmp_path / name, data[:cut])
        assert "\n" not in str(caught.value)


def test_kinds_of_files_in_words(tmp_path: Path) -> None:
    kinds = {"x.npy": "NumPy file", "x.csv.gz": "text table", "x.parquet": "Parquet table", "x.zip": "archive"}
    kinds |= {"https://host/x.npy?y=1": "remote NumPy file", "s3://b/x.tar": "remote archive"}
    dataset = opened(tmp_path / "x.npy", PLAIN["x.npy"])
    assert {name: kind_of_source(name, dataset, False) for name in kinds} == kinds
