"""What fuzzing and reading for bombs found in the readers of data, each by its name."""

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from fuzz.formats import ABSURD_TABLES
from fuzz.judge import judge
from isthmus.data.preparing import prepare
from isthmus.options import DataOptions
from isthmus.runs.writing import read_codes


def gray(width: int = 4) -> Image.Image:
    return Image.fromarray(np.arange(3 * width, dtype=np.uint8).reshape(3, width))


def read(path: Path, **options: object) -> str | None:
    """The answer of the readers and of what prepares their arrays, judged inside the folder of the path."""
    chosen = DataOptions(test=0, validation=0, **options)
    return judge(lambda: prepare(path, chosen, 0), path if path.is_dir() else path.parent)


@pytest.mark.parametrize("kind", ["EPS", "ICNS", "PDF", "TGA", "PCX"])
def test_a_picture_of_another_format_under_the_name_of_a_known_one_is_not_decoded(tmp_path: Path, kind: str) -> None:
    # Pillow hands EPS to Ghostscript, a program
    gray().convert("L").save(tmp_path / "0.png", "PDF" if kind == "PDF" else kind)
    refusal = read(tmp_path)
    assert refusal is not None
    assert "'0.png' cannot be read as an image: it does not start like one" in refusal


def test_a_folder_of_blank_pictures_may_not_grow_without_bound(tmp_path: Path) -> None:
    blank = Image.new("1", (12_000, 7_000))
    blank.save(tmp_path / "0.png")
    for number in range(1, 5):
        (tmp_path / f"{number}.png").write_bytes((tmp_path / "0.png").read_bytes())
    refusal = read(tmp_path)
    assert refusal is not None
    assert "would expand from" in refusal


@pytest.mark.parametrize("link", ["picture", "folder", "labels", "shard"])
def test_a_link_that_leads_out_of_a_data_folder_is_not_followed(tmp_path: Path, link: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    gray().save(here / "0.png")
    gray().save(there / "1.png")
    np.save(there / "1.npy", np.ones((3, 4)))
    images = struct.pack(">BBBB3I", 0, 0, 8, 3, 2, 2, 2) + bytes(8)
    (there / "labels").write_bytes(struct.pack(">BBBBI", 0, 0, 8, 1, 2) + bytes(2))
    if link == "picture":
        (here / "1.png").symlink_to("../there/1.png")
    elif link == "folder":
        (here / "0.png").unlink()
        (here / "class").symlink_to("../there")
    elif link == "labels":
        (here / "train-images-idx3-ubyte").write_bytes(images)
        (here / "train-labels-idx1-ubyte").symlink_to("../there/labels")
    else:
        (here / "1.npy").symlink_to("../there/1.npy")
    refusal = read(here)
    assert refusal is not None
    assert "is a link that leads out of the folder" in refusal


def test_links_inside_a_data_folder_are_followed(tmp_path: Path) -> None:
    gray().save(tmp_path / "0.png")
    (tmp_path / "1.png").symlink_to("0.png")
    assert read(tmp_path) is None


def member(header: bytes, values: int) -> bytes:
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", len(header)) + header + bytes(values)


def archive(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, content in members.items():
            file.writestr(name, content)


def test_a_long_header_of_an_array_is_refused_before_it_is_read(tmp_path: Path) -> None:
    archive(tmp_path / "a.npz", {"x_train.npy": member(b" " * 20 * 2**20, 0)})
    refusal = read(tmp_path / "a.npz")
    assert refusal is not None
    assert "has a header of 20,971,520 bytes, but at most 10,000 are read" in refusal


def test_an_archive_that_grows_without_bound_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (30000, 10000), }\n"
    archive(tmp_path / "a.npz", {"x_train.npy": member(header, 300_000_000)})
    refusal = read(tmp_path / "a.npz")
    assert refusal is not None
    assert "'a.npz' would expand from" in refusal


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_as_numpy_never_does_is_refused(tmp_path: Path, kind: int) -> None:
    # the header of an LZMA stream says how many gibibytes its reader is to take
    archive(tmp_path / "a.npz", {"x_train.npy": member(b"{}", 0)}, kind)
    refusal = read(tmp_path / "a.npz")
    assert refusal is not None
    assert "'x_train.npy', which is not an array" in refusal


def test_gzip_that_grows_without_bound_is_refused_by_its_header(tmp_path: Path) -> None:
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 30, 10**4, 10**3)
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(10**6), mtime=0))
    refusal = read(tmp_path / "x-idx3-ubyte.gz")
    assert refusal is not None
    assert "would expand from" in refusal


def table(path: Path, **columns: object) -> Path:
    parquet.write_table(pa.table(columns), path, compression="gzip", store_schema=False)
    return path


def test_a_long_word_that_a_table_repeats_is_not_written_out(tmp_path: Path) -> None:
    word = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["w" * 20_000])
    path = table(tmp_path / "a.parquet", a=np.ones(100_000), label=word)
    refusal = read(path)
    assert refusal is not None
    assert "columns that are not numeric: 'label'" in refusal
    refusal = read(path, labels="label")
    assert refusal is not None
    assert "holds strings of up to 20,000 characters, but at most 200" in refusal


def test_a_table_that_grows_without_bound_is_refused_by_its_footer(tmp_path: Path) -> None:
    refusal = read(table(tmp_path / "a.parquet", a=pa.array(np.zeros(40_000_000))))
    assert refusal is not None
    assert "would expand from" in refusal


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    both = pa.Table.from_arrays([pa.array([1.0, 2.0])] * 2, names=["a", "a"])
    parquet.write_table(both, tmp_path / "a.parquet")
    refusal = read(tmp_path / "a.parquet")
    assert refusal is not None
    assert "several columns called 'a'" in refusal


def test_the_index_of_pandas_is_no_column(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["x", "y"], name="name")).to_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") is None


@pytest.mark.parametrize(("text", "message"), ABSURD_TABLES)
def test_a_csv_of_absurd_shape_is_refused(tmp_path: Path, text: bytes, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    refusal = read(tmp_path / "a.csv", labels="label" if b"label" in text else None)
    assert refusal is not None
    assert message in refusal


def test_a_csv_of_more_cells_than_fit_is_refused_before_it_is_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.data.formats.files.LARGEST", 2**20)
    (tmp_path / "a.csv").write_bytes(b"1\n" * 50_000)
    refusal = read(tmp_path / "a.csv")
    assert refusal is not None
    assert "needs 0.0 GiB in memory" in refusal


@pytest.mark.parametrize(
    "z", [np.full((2, 2), 1e300), np.zeros((0, 2**40)), np.full((1, 1), 10, np.longdouble) ** 4000]
)
def test_codes_that_are_no_32_bit_numbers_are_no_codes(tmp_path: Path, z: np.ndarray) -> None:
    np.save(tmp_path / "z.npy", z)
    refusal = judge(lambda: read_codes(tmp_path / "z.npy"), tmp_path)
    assert refusal is not None
    assert "one row of finite numbers" in refusal or "rows that are not finite numbers" in refusal


def test_an_archive_of_many_names_makes_no_long_sentence(tmp_path: Path) -> None:
    np.savez(tmp_path / "z.npz", **{f"a{number}" + "x" * 100: np.ones(1) for number in range(1000)})
    for answer in (read(tmp_path / "z.npz"), judge(lambda: read_codes(tmp_path / "z.npz"), tmp_path)):
        assert answer is not None
        assert "988 more" in answer or "and 992 more" in answer
        assert len(answer) < 1500


def test_numbers_beyond_64_bits_are_too_large(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((4, 2), 10, np.longdouble) ** 4000)
    refusal = judge(lambda: prepare(tmp_path / "x.npy", DataOptions(), 0), tmp_path)
    assert refusal is not None
    assert "too large for 32-bit numbers" in refusal
