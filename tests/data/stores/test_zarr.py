"""Zarr stores of the library and by hand: only files of the store are opened, and chunks are bounded."""

import gzip
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.opening import open_data
from isthmus.errors import BadData
from isthmus.options import DataOptions

zarr = pytest.importorskip("zarr", reason="zarr is not installed (extra arrays)")
codecs = pytest.importorskip("zarr.codecs")
numcodecs = pytest.importorskip("numcodecs")

X = np.random.default_rng(0).normal(size=(23, 4, 6)).astype(np.float32)
DIGITS = np.arange(23) % 5
PLAIN = DataOptions()
BY_HAND = np.arange(5 * 3, dtype=">i2").reshape(5, 3)


def same(path: Path, x: np.ndarray, **options: object) -> None:
    for memory in ("whole", "stream"):
        dataset = open_data(path, DataOptions(memory=memory, **options))
        np.testing.assert_array_equal(dataset.train.read(0, len(x)).values, x)
        for start, stop in ((0, 1), (1, len(x) - 1), (len(x) - 1, len(x))):
            np.testing.assert_array_equal(dataset.train.read(start, stop).values, x[start:stop])
        np.testing.assert_array_equal(dataset.train.at(np.array([0, 2, 4])).values, x[[0, 2, 4]])
        assert dataset.provenance.files[0].name == path.name


SETTINGS = {
    "default of 2": {"zarr_format": 2},
    "default of 3": {"zarr_format": 3},
    "none": {"zarr_format": 3, "compressors": None},
    "gzip": {"zarr_format": 3, "compressors": codecs.GzipCodec()},
    "blosc and crc": {"zarr_format": 3, "compressors": [codecs.BloscCodec(), codecs.Crc32cCodec()]},
    "shards": {"zarr_format": 3, "chunks": (5, 2, 3), "shards": (10, 4, 6)},
    "turned": {"zarr_format": 3, "filters": [codecs.TransposeCodec(order=(2, 0, 1))]},
    "big endian": {"zarr_format": 3, "serializer": codecs.BytesCodec(endian="big")},
    "names of 2": {"zarr_format": 3, "chunk_key_encoding": {"name": "v2", "separator": "."}},
    "zlib of 2": {"zarr_format": 2, "compressors": numcodecs.Zlib(), "order": "F"},
    "blosc of 2": {"zarr_format": 2, "compressors": numcodecs.Blosc("lz4"), "filters": [numcodecs.Shuffle(4)]},
    "lz4 of 2": {"zarr_format": 2, "compressors": numcodecs.LZ4()},
    "bz2 of 2": {"zarr_format": 2, "compressors": numcodecs.BZ2()},
    "lzma of 2": {"zarr_format": 2, "compressors": numcodecs.LZMA()},
    "delta of 2": {"zarr_format": 2, "filters": [numcodecs.Delta("f4")], "compressors": numcodecs.Zstd()},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_arrays_of_the_library_come_back(tmp_path: Path, name: str):
    settings = {"chunks": (7, 3, 6)} | SETTINGS[name]
    x = np.round(X * 8) / 8 if "delta" in name else X
    zarr.create_array(str(tmp_path / "a.zarr"), data=x, **settings)
    same(tmp_path / "a.zarr", x)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("ending", [".zarr", ".zarr.zip"])
def test_groups_in_folders_and_zip_files_come_back(tmp_path: Path, version: int, ending: str):
    path = tmp_path / f"a{ending}"
    store = zarr.storage.ZipStore(path, mode="w") if ending == ".zarr.zip" else str(path)
    group = zarr.open_group(store, mode="w", zarr_format=version)
    group.create_array("scans/raw", data=X, chunks=(7, 4, 6))
    group.create_array("scans/label", data=DIGITS)
    if version == 2:
        group.create_array("scans/words", data=np.array(["ä", "b"]))
    if ending == ".zarr.zip":
        store.close()
    same(path, X)
    dataset = open_data(path, PLAIN)
    np.testing.assert_array_equal(dataset.train.labels, DIGITS)
    assert dataset.notes[0] == "x is '/scans/raw' (23, 4, 6); data.key sets another array."


def by_hand(folder: Path, meta: dict | None = None, version: int = 2, **chunks: bytes) -> Path:
    """A store of BY_HAND in chunks of 2 rows, as the specification says."""
    folder.mkdir(exist_ok=True)
    plain: dict = {"shape": [5, 3], "zarr_format": version, "fill_value": 0}
    if version == 2:
        plain |= {"chunks": [2, 3], "dtype": ">i2", "compressor": None, "filters": None, "order": "C"}
    else:
        plain |= {
            "node_type": "array",
            "data_type": "int16",
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "codecs": [{"name": "bytes", "configuration": {"endian": "big"}}],
        }
    (folder / (".zarray" if version == 2 else "zarr.json")).write_text(json.dumps(plain | (meta or {})))
    whole = np.concatenate([BY_HAND, np.full((1, 3), 99)]).astype(">i2")
    for number in range(3):
        name = f"{number}.0" if version == 2 else f"c/{number}/0"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(chunks.get(f"c{number}", whole[2 * number : 2 * number + 2].tobytes()))
    return folder


@pytest.mark.parametrize("version", [2, 3])
def test_stores_written_by_hand_come_back(tmp_path: Path, version: int):
    same(by_hand(tmp_path / "a.zarr", version=version), BY_HAND)


def test_missing_chunks_have_the_fill_value_and_stores_of_any_name_are_found(tmp_path: Path):
    path = by_hand(tmp_path / "store", {"fill_value": "NaN", "dtype": "<f2"})
    (path / "1.0").unlink()
    x = open_data(path, PLAIN).train.x
    assert np.isnan(x[2:4]).all()
    np.testing.assert_array_equal(x[:2], BY_HAND[:2].view("<f2"))


def test_scale_and_missing_values_of_named_dimensions_are_applied(tmp_path: Path):
    path = by_hand(tmp_path / "a.zarr")
    (path / ".zattrs").write_text(
        json.dumps({"_ARRAY_DIMENSIONS": ["n", "x"], "scale_factor": 0.5, "add_offset": 1, "_FillValue": 7})
    )
    x = open_data(path, PLAIN).train.x
    expected = BY_HAND * 0.5 + 1
    np.testing.assert_array_equal(x, np.where(BY_HAND == 7, np.nan, expected))


ZSTD_OF_ZEROS = numcodecs.Zstd().encode(bytes(2**24))
BAD: dict[str, tuple[dict, dict[str, bytes], str]] = {
    "chunk too short": ({}, {"c1": b"\0" * 11}, r"'1\.0' in 'a\.zarr' cannot be read: it has 11 bytes"),
    "chunk too long": ({}, {"c1": b"\0" * 13}, r"it has 13 bytes, but its shape \(2, 3\) requires 12"),
    "huge chunk": ({}, {"c1": bytes(2**21)}, r"'1\.0' in 'a\.zarr' has 2,097,152 bytes, but at most"),
    "gzip bomb": ({"compressor": {"id": "gzip"}}, {"c0": gzip.compress(bytes(2**24))}, "decompression bomb"),
    "zlib bomb": ({"compressor": {"id": "zlib"}}, {"c0": numcodecs.Zlib(9).encode(bytes(2**24))}, "decompression bomb"),
    "bz2 bomb": ({"compressor": {"id": "bz2"}}, {"c0": numcodecs.BZ2(9).encode(bytes(2**24))}, "decompression bomb"),
    "lzma bomb": ({"compressor": {"id": "lzma"}}, {"c0": numcodecs.LZMA().encode(bytes(2**24))}, "decompression bomb"),
    "zstd bomb": ({"compressor": {"id": "zstd"}}, {"c0": ZSTD_OF_ZEROS}, "decompression bomb"),
    "lz4 bomb": ({"compressor": {"id": "lz4"}}, {"c0": numcodecs.LZ4().encode(bytes(2**24))}, "decompression bomb"),
    "blosc bomb": (
        {"compressor": {"id": "blosc"}},
        {"c0": numcodecs.Blosc().encode(bytes(2**24))},
        "decompression bomb",
    ),
    "blosc that lies": (
        {"compressor": {"id": "blosc"}},
        {"c0": struct.pack("<4BIII", 2, 1, 1, 1, 12, 12, 2**31 - 1)},
        "declares 2,147,483,647 compressed bytes, but has 16",
    ),
    "no gzip": ({"compressor": {"id": "gzip"}}, {"c0": b"no"}, "cannot be read as a Zarr store"),
    "pickle": ({"filters": [{"id": "pickle"}], "dtype": "|O"}, {}, "does not hold plain numbers"),
    "pickle as a filter": ({"filters": [{"id": "pickle"}]}, {}, "has the filter 'pickle', which is not supported"),
    "pickle as a codec": ({"compressor": {"id": "pickle"}}, {}, "compressed with 'pickle', which is not supported"),
    "json filter": ({"filters": [{"id": "json2"}]}, {}, "has the filter 'json2'"),
    "lying shape": ({"shape": [2**40, 3]}, {}, "would expand from"),
    "many missing chunks": ({"shape": [2**22, 3]}, {}, "has 2,097,152 chunks"),
    "rows that cannot be": ({"shape": [2, 2**40]}, {}, "GiB"),
    "huge chunks": ({"chunks": [2**30, 3]}, {}, "would expand"),
    "no chunks": ({"chunks": [0, 3]}, {}, r"has chunks of \(0, 3\)"),
    "negative": ({"shape": [-5, 3]}, {}, "damaged header"),
    "other axes": ({"chunks": [3]}, {}, r"has chunks of \(3,\) for the shape"),
    "records": ({"dtype": [["a", "<i2"]]}, {}, "does not hold plain numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_damaged_and_lying_stores_are_refused_in_one_line(tmp_path: Path, case: str):
    meta, chunks, message = BAD[case]
    with pytest.raises(BadData, match=message) as caught:
        open_data(by_hand(tmp_path / "a.zarr", meta, **chunks), PLAIN)
    assert "\n" not in str(caught.value)


def test_a_frame_of_zstd_without_a_size_is_bounded(tmp_path: Path):
    # one frame: no size, a window of 8 MiB, and blocks that repeat one byte 2**17 times
    block = struct.pack("<I", (2**17 << 3) | 2)[:3] + b"\0"
    last = struct.pack("<I", (2**17 << 3) | 3)[:3] + b"\0"
    frame = b"\x28\xb5\x2f\xfd\x00\x68" + block * 20_000 + last
    with pytest.raises(BadData, match=r"a\.zarr"):
        open_data(by_hand(tmp_path / "a.zarr", {"compressor": {"id": "zstd"}}, c0=frame), PLAIN)


def test_no_file_outside_the_store_is_read(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(BY_HAND[:2].tobytes())
    path = by_hand(tmp_path / "a.zarr")
    (path / "1.0").unlink()
    (path / "1.0").symlink_to(secret)
    with pytest.raises(BadData, match=r"'1\.0' in 'a\.zarr' is a link that leads out of its folder"):
        open_data(path, PLAIN)
    (path / ".zarray").write_text(
        (path / ".zarray").read_text().replace('"order"', '"dimension_separator": "/", "order"')
    )
    (path / "1").symlink_to(tmp_path)
    (tmp_path / "0").write_bytes(BY_HAND[:2].tobytes())
    with pytest.raises(BadData, match="leads out of its folder"):
        open_data(path, PLAIN)


def test_names_with_dots_in_a_zip_file_lead_nowhere(tmp_path: Path):
    meta = json.dumps({"zarr_format": 2, "shape": [2, 3], "chunks": [2, 3], "dtype": "|u1", "compressor": None,
                       "filters": None, "order": "C", "fill_value": 0})  # fmt: skip
    (tmp_path / "secret").write_bytes(bytes(range(6)))
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        archive.writestr("../.zarray", meta)
        archive.writestr("../0.0", bytes([9] * 6))
    # read from the archive, not from the folder above
    assert (open_data(tmp_path / "a.zarr.zip", PLAIN).train.x == 9).all()


def test_a_zip_file_that_is_a_bomb_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(".zarray", " " * 2**25)
    with pytest.raises(BadData, match="has 33,554,432 bytes, but at most 16,777,216 are read"):
        open_data(tmp_path / "a.zarr.zip", PLAIN)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"zarr_format": 2}', '{"shape": 3}', "[" * 10**5, "\xff"])
def test_descriptions_that_are_none_are_refused(tmp_path: Path, text: str):
    path = by_hand(tmp_path / "a.zarr")
    (path / ".zarray").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadData, match=r"a\.zarr|plain numbers"):
        open_data(path, PLAIN)


def test_a_folder_without_an_array_is_refused(tmp_path: Path):
    (tmp_path / "a.zarr").mkdir()
    with pytest.raises(BadData, match="holds no Zarr array"):
        open_data(tmp_path / "a.zarr", PLAIN)
