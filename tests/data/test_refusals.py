"""Every file that cannot be read is refused in one sentence that names it, never with a stray exception."""

import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from isthmus.data import load_dataset
from isthmus.data.formats import binary, files
from isthmus.data.formats.pictures import PictureHeader
from isthmus.data.formats.pictures import header as header_of_pictures
from isthmus.data.preparing import prepare
from isthmus.data.readers.paths import read_path
from isthmus.data.sources import image_folder
from isthmus.data.sources.arrays import Examples
from isthmus.data.storage.disk import DiskFile
from isthmus.data.transforms.layout import layout_of
from isthmus.errors import BadData
from isthmus.options import DataOptions

GREY = np.arange(60, dtype=np.uint8).reshape(5, 3, 4)
ALL = DataOptions(test=0, validation=0)


def npy_bytes(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue()


def idx(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def png(x: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(x).save(out, "png")
    return out.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_npy", ".npy"), data)
    return out.getvalue()


def parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pd.DataFrame(columns).to_parquet(out)
    return out.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (Path.touch, (Path("exploded"),))


OBJECTS = np.array([{"a": 1}, None], dtype=object)
BOMBS = np.array([[Bomb()]], dtype=object)
BROKEN_CRC = bytearray(npz(a=GREY))
BROKEN_CRC[140] ^= 255
IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"

# the file that is read comes first; "." is the folder itself
CASES: dict[str, tuple[dict[str, bytes], dict[str, object], str]] = {
    "missing file": ({"sub/none.npy": b""}, {"read": "none.npy"}, "There is no file or folder '.*none.npy'"),
    "unknown ending": ({"a.xyz": b"1"}, {}, r"'a.xyz' has an unsupported extension.*NumPy \(\.npy\), .*NumPy archive"),
    "no ending": ({"a": b"1"}, {}, "'a' has an unsupported extension"),
    "empty npy": ({"a.npy": b""}, {}, "'a.npy' cannot be read as a .npy array"),
    "npy that is a pickle": ({"a.npy": pickle.dumps(Bomb())}, {}, "'a.npy' cannot be read as a .npy array"),
    "object npy": ({"a.npy": npy_bytes(OBJECTS)}, {}, "'a.npy' holds a pickle .* never loads pickled"),
    "object in npz": ({"a.npz": npz(x_train=OBJECTS)}, {}, "'x_train' in 'a.npz' holds a pickle"),
    "pickle in npz": ({"a.npz": zipped(bomb=pickle.dumps(Bomb()))}, {}, "holds 'bomb', which is not an array"),
    "structured npy": ({"a.npy": npy_bytes(np.zeros(3, "i4,f4"))}, {}, "'a.npy' holds values of type"),
    "text npy": ({"a.npy": npy_bytes(np.array([["a", "b"]]))}, {}, "holds strings, but real numbers"),
    "complex npy": ({"a.npy": npy_bytes(np.ones((2, 2), complex))}, {}, "type complex128, but real numbers"),
    "dates npy": ({"a.npy": npy_bytes(np.ones((2, 2), "M8[s]"))}, {}, "real numbers are required"),
    "header says more": ({"a.npy": header((1000, 1000))}, {}, "declares 1,000,000 bytes .* but the file has 0"),
    "header says less": ({"a.npy": npy_bytes(GREY) + b"more"}, {}, "60 bytes .* but the file has 64"),
    "header says far too much": (
        {"a.npy": header((2**40, 2))},
        {},
        "declares 2,199,023,255,552 bytes .* but the file has 0",
    ),
    "negative header": ({"a.npy": header((-1, 2))}, {}, r"damaged header: its shape is \(-1, 2\)"),
    "header of nonsense": ({"a.npy": header((1, 1)).replace(b"descr", b"des{r")}, {}, "cannot be read"),
    "future npy": ({"a.npy": b"\x93NUMPY\x09\x00" + b" " * 80}, {}, "version"),
    "npz header lies": ({"a.npz": zipped(a_npy=header((9, 9)))}, {}, "header of 'a' in 'a.npz' declares 81"),
    "npz is no zip": ({"a.npz": b"PK not a zip"}, {}, "'a.npz' cannot be read as a .npz archive"),
    "npz cut short": ({"a.npz": npz(a=GREY)[:-30]}, {}, "'a.npz' cannot be read as a .npz archive"),
    "npz with a flipped bit": ({"a.npz": bytes(BROKEN_CRC)}, {}, "'a.npz' cannot be read as a .npz archive"),
    "npz with odd keys": (
        {"a.npz": npz(a=GREY, b=GREY)},
        {},
        r"several arrays .*: 'a' \(5, 3, 4\), 'b' \(5, 3, 4\). Set data.key",
    ),
    "npz with nothing": ({"a.npz": npz()}, {}, "'a.npz' holds no array of numbers"),
    "parts differ": ({"a.npz": npz(x_train=GREY, x_test=GREY[:, :2])}, {}, "but a test split with examples"),
    "labels not whole": (
        {"a.npz": npz(X=GREY, y=np.linspace(0, 1, 5))},
        {"labels": "y"},
        "'y' .* cannot be the labels",
    ),
    "labels of two axes": ({"a.npz": npz(X=GREY, y=GREY[:, :, 0])}, {"labels": "y"}, "one whole number or text per"),
    "labels longer": (
        {IMAGES: idx(GREY), LABELS: idx(np.zeros(6, np.uint8))},
        {},
        r"has 5 examples but labels of shape \(6,\)",
    ),
    "one axis": ({"a.npy": npy_bytes(np.ones(4))}, {}, r"'a.npy' must be a table .* but has shape \(4,\)"),
    "six axes": ({"a.npy": npy_bytes(np.ones((1, 1, 1, 1, 1, 1)))}, {}, "a table .* are required"),
    "no channels": (
        {"a.npy": npy_bytes(np.ones((2, 6, 7, 6)))},
        {},
        r"Set data.layout=NHWC if the channels are last, or data.layout=NCHW",
    ),
    "no examples": ({"a.npy": npy_bytes(np.ones((0, 6)))}, {}, "'a.npy' holds no example"),
    "shape does not fit": (
        {"a.npy": npy_bytes(np.ones((2, 12)))},
        {"shape": (5, 5)},
        "has 12 columns, but data.shape=5,5 requires 25",
    ),
    "shape of images": ({"a.npy": npy_bytes(GREY)}, {"shape": (4, 3)}, r"shape \(3, 4\), not data.shape=4,3"),
    "shape of four": ({"a.npy": npy_bytes(np.ones((2, 12)))}, {"shape": (1, 2, 2, 3)}, "data.shape cannot be"),
    "labels of an array": ({"a.npy": npy_bytes(GREY)}, {"labels": "y"}, "data.labels names a column"),
    "truncated gz": ({f"{IMAGES}.gz": gzip.compress(idx(GREY))[:-12]}, {}, "cannot be read as a file of gzip"),
    "damaged gz": ({f"{IMAGES}.gz": b"\x1f\x8b" + b"\0" * 50}, {}, "cannot be read as a file of gzip"),
    "wrong checksum of gz": (
        {f"{IMAGES}.gz": gzip.compress(idx(GREY))[:-8] + b"\0" * 8},
        {},
        "cannot be read as a file of gzip",
    ),
    "wrong magic": ({IMAGES: b"\x01\x02\x08\x03" + bytes(40)}, {}, "does not start like an IDX file: .*01 02 08 03"),
    "wrong type code": ({IMAGES: b"\0\0\x0a\x03" + bytes(40)}, {}, "does not start like an IDX file"),
    "idx cut short": ({IMAGES: idx(GREY)[:-1]}, {}, "is truncated: 60 bytes are required, but 59 are left"),
    "idx header cut": ({IMAGES: idx(GREY)[:9]}, {}, "is truncated: 12 bytes"),
    "idx lies": ({IMAGES: struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**31] * 3)}, {}, "at most 8 GiB"),
    "idx too long": ({IMAGES: idx(GREY) + b"x"}, {}, "has extra bytes"),
    "csv with text": ({"a.csv": b"a,b,c\n1,x,2\n"}, {}, "not numeric: 'b'. .*with data.labels=b"),
    "csv without the column": ({"a.csv": b"a,b\n1,2\n"}, {"labels": "z"}, "no column 'z' .* 'a', 'b'"),
    "csv of labels only": ({"a.csv": b"a\n1\n"}, {"labels": "a"}, "no numeric column"),
    "csv with missing labels": ({"a.csv": b"a,b\n1,\n2,3\n"}, {"labels": "b"}, "has 1 missing values"),
    "csv with a long row": ({"a.csv": b"a,b\n1,2\n3,4,5\n"}, {}, "'a.csv' cannot be read as a .csv table"),
    "csv with long rows": ({"a.csv": b"a,b\n1,2,3\n3,4,5\n"}, {}, "'a.csv' cannot be read as a .csv table"),
    "csv without rows": ({"a.csv": b"a,b\n"}, {}, "has no rows"),
    "empty csv": ({"a.csv": b""}, {}, "'a.csv' cannot be read as a .csv table"),
    "csv of other bytes": ({"a.csv": b"a\n\xff\xfe\x00\n"}, {}, "'a.csv' cannot be read as a .csv table"),
    "parquet of nothing": ({"a.parquet": b"PAR1 and so on"}, {}, "'a.parquet' cannot be read as a .parquet"),
    "parquet cut short": ({"a.parquet": parquet(a=[1, 2])[:-9]}, {}, "'a.parquet' cannot be read"),
    "parquet with lists": ({"a.parquet": parquet(a=[1], b=[[1, 2]])}, {}, "not numeric: 'b'"),
    "empty folder": ({}, {"read": "."}, "holds no file; known are"),
    "folder without images": ({"a.txt": b"x"}, {"read": "."}, "holds 1 .txt file, but no picture; known are"),
    "corrupt png": (
        {"0.png": png(GREY[0]), "1.png": b"\x89PNG nothing"},
        {"read": "."},
        "'1.png', row 1 is invalid: it cannot be read",
    ),
    "truncated png": (
        {"0.png": png(GREY[0]), "1.png": png(GREY[1])[:-30]},
        {"read": "."},
        "'1.png', row 1 is invalid: it cannot be read as an image",
    ),
    "odd size": (
        {"0.png": png(GREY[0]), "1.png": png(GREY[1]), "2.png": png(GREY[2].T)},
        {"read": "."},
        r"'2.png', row 2 is invalid: it is 4 x 3 pixels \(height x width\), most others are 3 x 4",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_read_is_refused_in_one_line(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    files, settings, message = CASES[case]
    folder = tmp_path / "here"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    monkeypatch.chdir(folder)
    path = folder / str(settings.get("read", next(iter(files), ".")))
    options = ALL.model_copy(update={k: v for k, v in settings.items() if k != "read"})
    with pytest.raises(BadData, match=message) as caught:
        prepare(path, options, 0)
    assert "\n" not in str(caught.value)
    assert not (folder / "exploded").exists()


def test_a_picture_that_is_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "big.png").write_bytes(png(np.zeros((400, 400), np.uint8)))
    monkeypatch.setattr(header_of_pictures, "FREE", 1000)
    monkeypatch.setattr(files, "FREE", 1000)
    with pytest.raises(BadData, match=r"'big.png' would expand from .* decompression bomb"):
        prepare(tmp_path, ALL, 0)


def test_a_folder_that_would_not_fit_is_refused_before_memory_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "0.png").write_bytes(png(GREY[0]))
    monkeypatch.setattr(image_folder, "read_header", lambda *_, **__: PictureHeader(2**20, 2**20, 3))
    with pytest.raises(BadData, match=r"3,072.0 GiB"):
        read_path(tmp_path, DataOptions(memory="whole"))


def test_objects_are_not_unpickled_even_past_the_header_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(binary, "_header", lambda *_, **__: ((1, 1), False, np.dtype("f8")))
    monkeypatch.chdir(tmp_path)
    for name, data, read in (("a.npy", npy_bytes(BOMBS), binary.read_npy), ("a.npz", npz(x=BOMBS), binary.read_npz)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BadData, match="allow_pickle=False"):
            read(DiskFile(tmp_path / name))
    assert not (tmp_path / "exploded").exists()


def test_a_damaged_file_keeps_its_cause(tmp_path: Path):
    (tmp_path / "a.npz").write_bytes(b"no zip")
    with pytest.raises(BadData) as caught:
        load_dataset(tmp_path / "a.npz")
    assert isinstance(caught.value.__cause__, zipfile.BadZipFile)


def test_every_possible_cut_of_a_file_is_refused(tmp_path: Path):
    whole = {"a.npy": npy_bytes(GREY), "a.npz": npz(x_train=GREY), f"{IMAGES}.gz": gzip.compress(idx(GREY))}
    for name, data in whole.items():
        path = tmp_path / name
        for length in range(len(data)):
            path.write_bytes(data[:length])
            with pytest.raises(BadData, match=name):
                read_path(path, DataOptions())
        path.write_bytes(data)
        np.testing.assert_array_equal(read_path(path, DataOptions()).train.x, GREY)


def test_a_header_of_absurd_numbers_is_refused_in_one_line(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f8", "fortran_order": False, "shape": (9**999, 9**999)})
    with pytest.raises(BadData, match=r"declares over 2\^63 bytes") as caught:
        read_path(tmp_path / "x.npy", DataOptions())
    assert len(str(caught.value)) < 400


def test_numbers_that_float64_lacks_are_converted_without_a_warning() -> None:
    odd = np.frombuffer(b"\xff" * 160, np.longdouble).reshape(5, 2)
    source = Examples(odd)
    with np.errstate(invalid="raise"):
        assert layout_of(source, None).tensor(source.x).isnan().all()
