"""Small valid files of each format, written by other libraries than those that read them where there are some.

Each is spoiled then: cut, bits flipped, lengths made to lie, spliced with another; inside a zip archive, its members.
"""

import io
import json
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.makers import INTEGERS, Choose, Maker, damaged, pick

Files = Callable[[], list[bytes]]
X = np.arange(24, dtype=np.float32).reshape(6, 4) ** 2
IMAGES = (np.arange(4 * 6 * 5) % 251).reshape(4, 6, 5).astype(np.uint8)
LABELS = np.arange(6) % 2


def written(write: Callable[[Path], object], ending: str) -> bytes:
    """What a function writes to a path."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"x{ending}"
        write(path)
        return path.read_bytes()


def excel() -> list[bytes]:
    """Workbooks of two libraries."""
    import openpyxl
    import xlsxwriter

    def plain(path: Path) -> None:
        book = openpyxl.Workbook()
        for row in (["Title", None, None], ["a", "b", "label"], ["m", "kg", ""], [1, "0,5", "x"], [2, "1,5", "y"]):
            book.active.append(row)
        book.active.merge_cells("A1:C1")
        book.create_sheet("other").append([True, "=A1"])
        book.save(path)

    def other(path: Path) -> None:
        with xlsxwriter.Workbook(str(path), {"default_date_format": "yyyy-mm-dd"}) as book:
            sheet = book.add_worksheet()
            sheet.write_row(0, 0, ["a", "b", "c"])
            for row in range(1, 6):
                sheet.write_row(row, 0, [row, row / 3])
                sheet.write_formula(row, 2, f"=A{row + 1}", None, row)

    return [written(plain, ".xlsx"), written(other, ".xlsx")]


def arrow() -> list[bytes]:
    """Arrow files and streams of numbers, texts, categories, lists and views."""
    import pyarrow as pa

    table = pa.table(
        {
            "a": X[:, 0],
            "n": pa.array([1, None, 3, 4, 5, 6]),
            "label": list("xyxyxy"),
            "k": pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 1, 0, None], pa.int8()), ["u", "v"]),
        }
    )
    nested = pa.table(
        {"a": X[:, 1], "l": [[1], [], None, [2, 3], [4], []], "v": pa.array(list("abcdef"), pa.string_view())}
    )
    out = []
    for held, compression in ((table, None), (table, "zstd"), (table.select(["a", "n", "k"]), "lz4"), (nested, None)):
        for make in (pa.ipc.new_file, pa.ipc.new_stream):
            stream = io.BytesIO()
            with make(stream, held.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
                writer.write_table(held, max_chunksize=3)
            out.append(stream.getvalue())
    return out


def json_lines() -> list[bytes]:
    """Rows and columns of JSON by hand."""
    rows: list[Any] = [
        {"a": 1, "b": {"c": 0.5, "v": [1, 2]}, "label": "x"},
        {"a": None, "b": {"c": 1e300, "v": [3, 4]}},
    ]
    columns = {"a": {"r1": 1, "r2": 2}, "b": {"r1": 0.5, "r3": None}}
    split = {"columns": ["a", "b"], "index": [5, 6], "data": [[1, 2], [3, 4]]}
    values = (rows, columns, split, {"x": [1, 2], "y": [3, 4]}, {"rows": rows, "n": 1}, [[1, 2], [3, 4]], [[[1], [2]]])
    lines = ["\n".join(map(json.dumps, some)) for some in (rows, X.tolist(), IMAGES[:2].tolist(), ["ab", [1, 2]])]
    return [text.encode() for text in (*map(json.dumps, values), *lines, '["a", "b"]\n[1, NaN]\n')]


def matrix_market() -> list[bytes]:
    """Matrices by hand."""
    head = "%%MatrixMarket matrix "
    texts = (
        "coordinate real general\n% note\n3 4 3\n1 1 0.5\n2 4 -1e3\n3 2 7\n",
        "coordinate pattern symmetric\n3 3 2\n1 1\n3 2\n",
        "array integer general\n2 2\n1\n2\n3\n4\n",
        "array real skew-symmetric\n3 3\n1\n2\n3\n",
        "coordinate integer general\n2 2 1\n2 2 99999999999999999999\n",
    )
    return [(head + text).encode() for text in texts]


def svmlight() -> list[bytes]:
    """Rows by hand."""
    return [
        b"1 1:0.5 3:2 # note\n-1 2:1\n1 1:1 2:1 3:1\n",
        b"# note\n0 qid:1 0:1 5:2\n1 qid:1 1:1\n0 qid:2 0:3\n",
        b"0.5 1:1\n1.5 2:1\n",
    ]


def sparse_npz() -> list[bytes]:
    """Sparse matrices of scipy in all its formats."""
    from scipy import sparse

    dense = np.where(X % 3 == 0, X, 0)
    return [
        written(lambda path, kind=kind: sparse.save_npz(path, sparse.csr_array(dense).asformat(kind)), ".npz")  # type: ignore[misc]
        for kind in ("csr", "csc", "coo", "bsr", "dia")
    ]


def hdf5() -> list[bytes]:
    """HDF5 files: groups, chunks, filters, texts."""
    import h5py

    def write(path: Path, **more: Any) -> None:
        with h5py.File(path, "w") as file:
            name, values = ("x", X) if more else ("in/images", IMAGES)
            file.create_dataset(name, data=values, **(more or {"chunks": (1, 6, 5), "compression": "gzip"}))
            file["label"] = LABELS[: len(values)]
            file["names"] = [b"a"] * 6

    return [written(write, ".h5"), written(lambda path: write(path, chunks=(2, 4), shuffle=True), ".h5")]


def matlab() -> list[bytes]:
    """MATLAB files of version 5, compressed or not."""
    from scipy.io import savemat

    content = {"x": X, "y": LABELS, "name": "text", "s": {"a": 1}}
    return [written(lambda path, c=c: savemat(path, content, do_compression=c), ".mat") for c in (False, True)]  # type: ignore[misc]


def safetensors() -> list[bytes]:
    """Tensors of several types."""
    from safetensors.numpy import save

    return [save({"x": X, "label": LABELS}), save({"x": IMAGES})]


def torch_tensors() -> list[bytes]:
    """Tensors of torch, in its new and its old format."""
    import torch

    out = []
    for content in (torch.tensor(X), {"x": torch.tensor(X), "y": torch.tensor(LABELS)}):
        for new in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=new)
            out.append(stream.getvalue())
    return out


def zarr_zip() -> list[bytes]:
    """Zarr stores of both versions in a zip archive."""
    import zarr

    def write(path: Path, version: Any) -> None:
        with zarr.storage.ZipStore(path, mode="w") as store:
            group = zarr.create_group(store, zarr_format=version)
            group.create_array("x", data=X, chunks=(2, 4))
            group.create_array("y", data=LABELS)

    return [written(lambda path, v=v: write(path, v), ".zarr.zip") for v in (2, 3)]  # type: ignore[misc]


def netcdf() -> list[bytes]:
    """NetCDF files of both kinds."""
    import netCDF4
    from scipy.io import netcdf_file

    def classic(path: Path) -> None:
        with netcdf_file(path, "w") as file:
            file.createDimension("t", 6)
            file.createDimension("c", 4)
            file.createVariable("x", "f4", ("t", "c"))[:] = X

    def new(path: Path) -> None:
        with netCDF4.Dataset(path, "w") as file:
            file.createDimension("t", None)
            file.createDimension("c", 4)
            held = file.createVariable("x", "i2", ("t", "c"), zlib=True, fill_value=-1)
            held.scale_factor = 0.5
            held[:] = X

    return [written(classic, ".nc"), written(new, ".nc")]


def fits() -> list[bytes]:
    """FITS images and a table."""
    from astropy.io import fits as library

    def write(path: Path) -> None:
        table = library.BinTableHDU.from_columns([library.Column("a", "E", array=X[:, 0])])
        library.HDUList([library.PrimaryHDU(IMAGES), library.ImageHDU(X, name="X"), table]).writeto(path)

    return [written(write, ".fits")]


def pictures(kind: str, *modes: str) -> Files:
    """Pictures of Pillow in some modes, with several pages where the format has them."""

    def make() -> list[bytes]:
        from PIL import Image

        out = []
        for mode in modes:
            image = Image.fromarray(IMAGES[0]).convert(mode)
            stream = io.BytesIO()
            image.save(stream, kind)
            out.append(stream.getvalue())
            if kind in ("GIF", "TIFF", "PNG", "WEBP"):
                stream = io.BytesIO()
                image.save(stream, kind, save_all=True, append_images=[image.rotate(180), image.rotate(90)])
                out.append(stream.getvalue())
        return out

    return make


def dicom() -> list[bytes]:
    """A picture of DICOM."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    held = FileDataset("x", {}, file_meta=meta, preamble=bytes(128))
    held.Rows, held.Columns, held.SamplesPerPixel, held.PhotometricInterpretation = 6, 5, 1, "MONOCHROME2"
    held.BitsAllocated, held.BitsStored, held.HighBit, held.PixelRepresentation = 16, 12, 11, 0
    held.PixelData = IMAGES[0].astype("<u2").tobytes()
    return [written(lambda path: held.save_as(path, enforce_file_format=True), ".dcm")]


def video() -> list[bytes]:
    """A short video in two containers."""
    import av

    def write(path: Path, codec: str) -> None:
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=5)
            stream.width = stream.height = 32
            stream.pix_fmt = "yuv420p" if codec != "mjpeg" else "yuvj420p"
            for value in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * value, np.uint8), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())

    return [written(lambda path: write(path, "mpeg4"), ".mp4"), written(lambda path: write(path, "mjpeg"), ".avi")]


def members() -> dict[str, bytes]:
    """Files of an archive: pictures in folders, a table, and an archive inside."""
    shown = pictures("PNG", "L")()[0]
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", "a,b\n1,2\n3,4\n")
    return {"set/train/a/1.png": shown, "set/train/b/2.png": shown, "set/test/3.png": shown, "notes.txt": b"?"} | {
        "inner.zip": inner.getvalue()
    }


def zips() -> list[bytes]:
    """Zip archives of pictures and of one table, stored and compressed."""
    out = []
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        for held in (members(), {"x.csv": b"a,b\n1,2\n3,4\n5,6\n"}):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", kind) as archive:
                for name, content in held.items():
                    archive.writestr(name, content)
            out.append(packed.getvalue())
    return out


def tars() -> list[bytes]:
    """Tar archives in the formats of POSIX and GNU, one with a long name and a link."""
    out = []
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=kind) as archive:
            for name, content in members().items():
                entry = tarfile.TarInfo(name if kind == tarfile.USTAR_FORMAT else "d" * 120 + f"/{name}")
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
            link = tarfile.TarInfo("set/link.png")
            link.type, link.linkname = tarfile.SYMTYPE, "train/a/1.png"
            archive.addfile(link)
        out.append(packed.getvalue())
    return out


FILES: dict[str, Files] = {
    "Excel": excel,
    "Arrow": arrow,
    "JSON lines": json_lines,
    "Matrix Market": matrix_market,
    "svmlight": svmlight,
    "HDF5": hdf5,
    "MATLAB": matlab,
    "safetensors": safetensors,
    "PyTorch tensors": torch_tensors,
    "Zarr": zarr_zip,
    "NetCDF": netcdf,
    "FITS": fits,
    "PNG": pictures("PNG", "L", "RGB", "RGBA", "P", "1", "LA", "I;16"),
    "JPEG": pictures("JPEG", "L", "RGB", "CMYK"),
    "WebP": pictures("WEBP", "RGB", "RGBA"),
    "BMP": pictures("BMP", "L", "RGB", "P", "1"),
    "GIF": pictures("GIF", "L", "P"),
    "TIFF": pictures("TIFF", "L", "RGB", "I;16", "F", "CMYK", "1"),
    "PGM and PPM": pictures("PPM", "L", "RGB", "1"),
    "JPEG 2000": pictures("JPEG2000", "L", "RGB", "I;16"),
    "AVIF": pictures("AVIF", "L", "RGB"),
    "DICOM": dicom,
    "Video": video,
}
"""Small files of the formats, by their names in :data:`isthmus.data.readers.known.FORMATS`."""
SPECIAL = {"CSV", "Parquet", "NumPy", "NumPy archive", "IDX"}
"""Formats with makers of their own, in :mod:`fuzz.makers` and :mod:`fuzz.formats`."""


def spoiled(files: Files) -> Maker:
    """One of some files: whole, cut, damaged, spliced with another, or with a number in it that lies."""
    made = cache(files)

    def make(choose: Choose) -> bytes:
        data = pick(choose, made())
        how = choose(10)
        if how == 0:
            return data
        if how == 1:
            return data[: choose(len(data) + 1)]
        if how == 2:
            other = pick(choose, made())
            return data[: choose(len(data) + 1)] + other[choose(len(other) + 1) :]
        if how == 3:
            return _with_lie(data, choose)
        if data[:2] == b"PK" and choose(4):
            return _repacked(data, choose)
        return damaged(data, choose)

    return make


def _with_lie(data: bytes, choose: Choose) -> bytes:
    """Data with a number that is written somewhere as text or in binary replaced by another."""
    for code in ("<Q", "<I", ">I", "<H"):
        size = struct.calcsize(code)
        found = struct.pack(code, pick(choose, (1, 2, 3, 4, 5, 6, 8, 24, 32, 64, 96, 120)))
        if data.count(found) and choose(2):
            lie = struct.pack(code, pick(choose, INTEGERS) % 2 ** (8 * size))
            place = choose(data.count(found)) + 1
            return found.join(data.split(found)[:place]) + lie + found.join(data.split(found)[place:])
    digits = [place for place, byte in enumerate(data) if 48 <= byte < 58]
    if not digits:
        return damaged(data, choose)
    place = pick(choose, digits)
    return data[:place] + str(pick(choose, INTEGERS)).encode() + data[place + 1 :]


def _repacked(data: bytes, choose: Choose) -> bytes:
    """A zip archive of right checksums, one member of which is damaged or has a number that lies."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        chosen = pick(choose, old.namelist())
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                content = (_with_lie if choose(3) else damaged)(content, choose)
                content += bytes(pick(choose, (10**6, 3 * 10**7))) if choose(30) == 0 else b""
            new.writestr(name, content)
    return out.getvalue()
