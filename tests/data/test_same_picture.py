"""One set of pictures gives one set of codes, to the bit, whatever holds it."""

import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import isthmus as it
from isthmus.runs.run import Run

PICTURES = np.random.default_rng(0).integers(0, 256, (24, 7, 6), dtype=np.uint8)


def folder(place: Path, ending: str, nested: bool = False, **options: object) -> Path:
    for row, picture in enumerate(PICTURES):
        path = place / (f"a{row // 8}/b{row // 4}" if nested else "") / f"{row:02}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path, **options)
    return place


def in_zip(place: Path) -> Path:
    with zipfile.ZipFile(place / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder(place / "pictures", ".png").iterdir()):
            archive.write(path, f"pictures/{path.name}")
    return place / "x.zip"


def in_tar(place: Path) -> Path:
    with tarfile.open(place / "x.tar.gz", "w:gz") as archive:
        archive.add(folder(place / "pictures", ".png", nested=True), "pictures")
    return place / "x.tar.gz"


def saved(name: str, write: Callable[[Path], object]) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        place.mkdir(exist_ok=True)
        write(place / name)
        return place / name

    return make


def hdf5(path: Path) -> None:
    with pytest.importorskip("h5py").File(path, "w") as file:
        file["scans/raw"] = PICTURES


def gif_pages(path: Path) -> None:
    first, *others = [Image.fromarray(picture) for picture in PICTURES]
    first.save(path, save_all=True, append_images=others)


FORMS: dict[str, Callable[[Path], Path]] = {
    "TIFF": lambda place: folder(place / "x", ".tif"),
    "compressed TIFF": lambda place: folder(place / "x", ".tif", compression="tiff_lzw"),
    "BMP": lambda place: folder(place / "x", ".bmp"),
    "PGM": lambda place: folder(place / "x", ".pgm"),
    "GIF": lambda place: folder(place / "x", ".gif"),
    "WebP lossless": lambda place: folder(place / "x", ".webp", lossless=True),
    "JPEG 2000": lambda place: folder(place / "x", ".jp2"),
    "nested folders": lambda place: folder(place / "x", ".png", nested=True),
    "zip archive": in_zip,
    "tar.gz archive": in_tar,
    "npy": saved("x.npy", lambda path: np.save(path, PICTURES)),
    "npy, compressed": saved("x.npy.gz", lambda path: _gzipped(path)),
    "npz": saved("x.npz", lambda path: np.savez(path, anything=PICTURES)),
    "HDF5": saved("x.h5", hdf5),
    "MATLAB": saved("x.mat", lambda path: pytest.importorskip("scipy.io").savemat(path, {"x": PICTURES})),
    "Zarr": saved("x.zarr", lambda path: pytest.importorskip("zarr").save(str(path), PICTURES)),
    "PyTorch": saved("x.pt", lambda path: torch.save({"x": torch.from_numpy(PICTURES)}, path)),
    "pages of a TIFF": saved("x.tif", lambda path: pytest.importorskip("tifffile").imwrite(path, PICTURES)),
    "frames of a GIF": saved("x.gif", gif_pages),
}


def _gzipped(path: Path) -> None:
    import gzip

    with gzip.open(path, "wb") as stream:
        np.save(stream, PICTURES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return it.fit("simple", folder(tmp_path_factory.mktemp("pictures"), ".png"), epochs=1)


@pytest.mark.parametrize("form", FORMS)
def test_pictures_have_one_code_in_every_container(form: str, run: Run, tmp_path: Path) -> None:
    assert np.array_equal(run.encode(FORMS[form](tmp_path)), run.encode(PICTURES))


def test_images_of_pillow_have_that_code_too(run: Run) -> None:
    images = [Image.fromarray(picture) for picture in PICTURES]
    assert np.array_equal(run.encode(images), run.encode(PICTURES))
