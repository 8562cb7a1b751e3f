"""NetCDF and FITS files, written by other libraries and by hand, with the values that were meant."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.opening import open_data
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

PLAIN = DataOptions()
X = np.random.default_rng(0).normal(size=(23, 4, 6)).astype(np.float32)
RAW = np.arange(-60, 60, dtype=">i2").reshape(5, 4, 6)


@pytest.mark.parametrize("version", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF4", "NETCDF4_CLASSIC"])
def test_scaled_values_of_the_netcdf_library_come_back(tmp_path: Path, version: str):
    library = pytest.importorskip("netCDF4", reason="netCDF4 is not installed")
    pytest.importorskip("h5py", reason="h5py is not installed (extra arrays)")
    with library.Dataset(tmp_path / "a.nc", "w", format=version) as file:
        for name, length in (("time", None), ("lat", 4), ("lon", 6), ("nv", 2)):
            file.createDimension(name, length)
        time = file.createVariable("time", "f8", ("time",))
        time.bounds, time[:] = "time_bnds", np.arange(5)
        file.createVariable("time_bnds", "f8", ("time", "nv"))[:] = 0
        celsius = file.createVariable("t2m", "i2", ("time", "lat", "lon"), fill_value=-999)
        celsius.scale_factor, celsius.add_offset = 0.25, 273.0
        celsius.set_auto_maskandscale(False)
        stored = RAW.astype("i2").copy()
        stored[1, 2, 3] = -999
        celsius[:] = stored
        file.createVariable("label", "i4", ("time",))[:] = [3, 1, 2, 1, 3]
    with library.Dataset(tmp_path / "a.nc") as file:
        # the library's own rule
        expected = np.ma.filled(file["t2m"][:].astype(np.float64), np.nan)
    dataset = open_data(tmp_path / "a.nc", PLAIN)
    np.testing.assert_array_equal(dataset.train.x, expected.astype(np.float32))
    assert np.isnan(dataset.train.x[1, 2, 3])
    assert dataset.train.labels.tolist() == [3, 1, 2, 1, 3]
    if version.startswith("NETCDF4"):
        streamed = open_data(tmp_path / "a.nc", DataOptions(memory="stream")).train
        np.testing.assert_array_equal(streamed.read(1, 4).values, expected[1:4].astype(np.float32))
    with pytest.raises(BadData, match="limits of the cells of an axis"):
        open_data(tmp_path / "a.nc", DataOptions(key="time_bnds"))


def netcdf3(x: np.ndarray, count: int | None = None) -> bytes:
    """A file of version 3 with one variable of bytes, as the specification says."""
    rows = len(x) if count is None else count

    def text(name: str) -> bytes:
        return struct.pack(">I", len(name)) + name.encode() + bytes(-len(name) % 4)

    head = b"CDF\x01" + struct.pack(">I", 0)
    head += struct.pack(">II", 10, 2) + text("n") + struct.pack(">I", rows) + text("x") + struct.pack(">I", x.shape[1])
    head += bytes(8) + struct.pack(">II", 11, 1) + text("raw") + struct.pack(">III", 2, 0, 1) + bytes(8)
    return head + struct.pack(">III", 1, x.size + -x.size % 4, len(head) + 12) + x.tobytes() + bytes(-x.size % 4)


def test_netcdf_written_by_hand_comes_back_and_every_cut_is_refused(tmp_path: Path):
    x = np.arange(15, dtype=np.int8).reshape(5, 3)
    data = netcdf3(x)
    (tmp_path / "a.nc").write_bytes(data)
    np.testing.assert_array_equal(open_data(tmp_path / "a.nc", PLAIN).train.x, x)
    for length in range(len(data) - 1):
        (tmp_path / "a.nc").write_bytes(data[:length])
        with pytest.raises(BadData, match=r"a\.nc"):
            open_data(tmp_path / "a.nc", PLAIN)
    for rows in (2**31 - 1, 2**30, 6):
        (tmp_path / "a.nc").write_bytes(netcdf3(x, rows))
        with pytest.raises(BadData, match=r"a\.nc"):
            open_data(tmp_path / "a.nc", PLAIN)


fits = pytest.importorskip("astropy.io.fits", reason="astropy is not installed (extra arrays)")


def unit(values: bytes, **cards: object) -> bytes:
    """An image of blocks of 2,880 bytes, as the standard says."""
    lines = [f"{name:<8}= {'T' if value is True else value:>20}".ljust(80) for name, value in cards.items()]
    head = "".join([*lines, "END".ljust(80)]).encode()
    return head + b" " * (-len(head) % 2880) + values + bytes(-len(values) % 2880)


def image(raw: np.ndarray, **more: object) -> bytes:
    bits = {"i": 8 * raw.dtype.itemsize, "f": -8 * raw.dtype.itemsize}[raw.dtype.kind]
    axes = {f"NAXIS{n + 1}": length for n, length in enumerate(raw.shape[::-1])}
    return unit(raw.tobytes(), SIMPLE=True, BITPIX=bits, NAXIS=raw.ndim, **axes, **more)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, RAW),
        ({"BZERO": 32768}, (RAW.astype(int) + 32768).astype(np.uint16)),
        ({"BSCALE": 0.5, "BZERO": 10}, (RAW * 0.5 + 10).astype(np.float32)),
        ({"BSCALE": 2, "BLANK": -60}, np.where(RAW == -60, np.nan, RAW * 2.0).astype(np.float32)),
    ],
    ids=["plain", "unsigned", "scaled", "blank"],
)
def test_fits_images_written_by_hand_have_the_values_that_were_meant(tmp_path: Path, more: dict, expected: np.ndarray):
    (tmp_path / "a.fits").write_bytes(image(RAW, **more))
    x = open_data(tmp_path / "a.fits", PLAIN).train.x
    np.testing.assert_array_equal(x, expected)
    assert x.dtype.kind == expected.dtype.kind


def test_columns_of_fits_tables_are_arrays(tmp_path: Path):
    columns = [
        fits.Column("flux", "24E", array=X.reshape(23, -1)),
        fits.Column("class", "J", array=np.arange(23) % 4),
        fits.Column("name", "3A", array=np.array([f"s{n % 2}" for n in range(23)])),
        fits.Column("ragged", "PE()", array=np.array([np.ones(n % 3 + 1) for n in range(23)], object)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRA")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
    dataset = open_data(tmp_path / "a.fits", PLAIN)
    np.testing.assert_array_equal(dataset.train.x, X.reshape(23, -1))
    assert dataset.notes[0] == "x is '/SPECTRA/flux' (23, 24); data.key sets another array."
    np.testing.assert_array_equal(dataset.train.labels, np.arange(23) % 4)
    assert open_data(tmp_path / "a.fits", DataOptions(labels="name")).label_names == ("s0", "s1")
    with pytest.raises(BadData, match="cells of format PE"):
        open_data(tmp_path / "a.fits", DataOptions(key="ragged"))


def test_images_of_several_units_and_compressed_ones_come_back(tmp_path: Path):
    small = (X * 100).astype(np.int16)
    units = [fits.PrimaryHDU(), fits.ImageHDU(X, name="SCI"), fits.ImageHDU(X, name="SCI"), fits.CompImageHDU(small)]
    fits.HDUList(units).writeto(tmp_path / "a.fits")
    np.testing.assert_array_equal(open_data(tmp_path / "a.fits", DataOptions(key="SCI")).train.x, X)
    with pytest.raises(BadData, match=r"several arrays .*'SCI' \(23, 4, 6\), 'SCI_2' \(23, 4, 6\), 'COMPRESSED_IMAGE'"):
        open_data(tmp_path / "a.fits", PLAIN)
    np.testing.assert_array_equal(open_data(tmp_path / "a.fits", DataOptions(key="COMPRESSED_IMAGE")).train.x, small)


def test_damaged_and_lying_fits_files_are_refused_in_one_line(tmp_path: Path):
    data = image(RAW)
    huge = data.replace(b"NAXIS3  =                    5", b"NAXIS3  =        1099511627776")
    assert huge != data
    cases = {"": b"", "no fits": b"PK\x03\x04" + data, "huge": huge, "no end": data[:160] * 40}
    cases |= {f"cut {length}": data[:length] for length in (*range(0, 2880, 97), 2880, 3000, 2880 + RAW.nbytes - 1)}
    for name, changed in cases.items():
        (tmp_path / "a.fits").write_bytes(changed)
        with pytest.raises(BadData, match=r"a\.fits") as caught:
            open_data(tmp_path / "a.fits", PLAIN)
        assert "\n" not in str(caught.value), name


def test_fits_in_gzip_is_decompressed_within_bounds_whatever_it_is_called(tmp_path: Path):
    (tmp_path / "a.fits").write_bytes(gzip.compress(image(RAW)))
    np.testing.assert_array_equal(open_data(tmp_path / "a.fits", PLAIN).train.x, RAW)
    (tmp_path / "a.fits").write_bytes(gzip.compress(image(RAW) + bytes(2**29)))
    with pytest.raises(BadData, match="decompression bomb"):
        open_data(tmp_path / "a.fits", PLAIN)


def test_missing_libraries_are_named_with_their_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.fits").write_bytes(image(RAW))
    monkeypatch.setitem(__import__("sys").modules, "astropy.io", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[arrays\]'"):
        open_data(tmp_path / "a.fits", PLAIN)


def test_gzip_tiles_that_could_be_a_bomb_are_not_decompressed(tmp_path: Path):
    out = io.BytesIO()
    x = np.random.default_rng(0).integers(0, 2**15, (200, 64, 64)).astype(np.int16)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(x, compression_type="GZIP_1", name="C")]).writeto(out)
    (tmp_path / "a.fits").write_bytes(out.getvalue())
    with pytest.raises(BadData, match=r"'C' in 'a\.fits' is compressed with gzip"):
        open_data(tmp_path / "a.fits", PLAIN)
