"""Archives as trees of files, made by the programs zip and tar of Python, and what is wrong with damaged ones."""

import contextlib
import io
import os
import resource
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.storage import archives, streams
from isthmus.data.storage.archives import ArchiveTree, cleaned
from isthmus.data.storage.compressed import on_disk
from isthmus.data.storage.disk import DiskFile
from isthmus.data.storage.tar import TarTree
from isthmus.data.storage.zip import ZipTree
from isthmus.errors import BadData

FILES = {f"top/{'ab'[n % 2]}/{n}.bin": bytes([n]) * (n * 700) + os.urandom(9) for n in range(12)}
ORDER = [f"{letter}/{n}.bin" for letter in "ab" for n in range(12) if "ab"[n % 2] == letter]


def zipped(path: Path, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED, before: bytes = b"") -> ZipTree:
    path.write_bytes(before)
    with zipfile.ZipFile(path, "a" if before else "w", kind) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return ZipTree(DiskFile(path))


def tarred(path: Path, members: dict[str, bytes | tarfile.TarInfo], mode: str = "w", form: int = 2) -> TarTree:
    with tarfile.open(path, mode, format=form) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name) if isinstance(data, bytes) else data
            info.size = len(data) if isinstance(data, bytes) else 0
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return TarTree(on_disk(path))


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def content(tree: ArchiveTree) -> dict[str, bytes]:
    found = {}
    for row, name in enumerate(tree.names(np.arange(len(tree)))):
        with tree.open(row) as stream:
            found[name] = stream.read()
    return found


MAKERS: dict[str, Callable[[Path], ArchiveTree]] = {
    "stored": lambda p: zipped(p / "x.zip", FILES, zipfile.ZIP_STORED),
    "deflated": lambda p: zipped(p / "x.zip", FILES),
    "after a program": lambda p: zipped(p / "x.zip", FILES, before=os.urandom(1000)),
    "tar": lambda p: tarred(p / "x.tar", FILES),
    "ustar": lambda p: tarred(p / "x.tar", FILES, form=tarfile.USTAR_FORMAT),
    "gnu": lambda p: tarred(p / "x.tar", FILES, form=tarfile.GNU_FORMAT),
    **{ending: lambda p, e=ending: tarred(p / f"x.tar.{e}", FILES, f"w:{e}") for ending in ("gz", "bz2", "xz")},
}


@pytest.mark.parametrize("maker", MAKERS)
def test_files_are_those_that_were_packed(tmp_path: Path, maker: str) -> None:
    tree = MAKERS[maker](tmp_path)
    assert tree.names(np.arange(len(tree))) == ORDER
    assert content(tree) == {name.removeprefix("top/"): data for name, data in FILES.items()}
    assert tree.common == "top/"
    row = ORDER.index("b/11.bin")
    with tree.open(row) as stream:
        stream.seek(-9, io.SEEK_END)
        assert stream.read() == FILES["top/b/11.bin"][-9:]
        assert stream.seek(5) == 5
        assert stream.read(2) == b"\x0b\x0b"
    assert tree.size(row) == tree.file(row).size == 11 * 700 + 9
    assert tree.file(row).record().name == next(tmp_path.iterdir()).name
    assert [path.name for path in tmp_path.iterdir()] == [tree.name], "nothing is extracted"


def test_large_files_come_through_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "SPILL", 1000)
    monkeypatch.setattr("isthmus.data.storage.zip.SPILL", 1000)
    monkeypatch.setattr(streams, "PIECE", 100)
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert content(zipped(tmp_path / "x.zip", FILES, kind))["b/11.bin"] == FILES["top/b/11.bin"]
    tree = tarred(tmp_path / "x.tar.gz", FILES, "w:gz")
    one, other = tree.open(11), tree.open(11)
    with one, other:
        assert one.read(3) == other.read(3)
        assert one.read() == FILES["top/b/11.bin"][3:] == other.read()


def test_long_names_many_files_and_zip64(tmp_path: Path) -> None:
    names = {f"{'d' * 120}/{'é' * 60}{n}.bin": b"%d" % n for n in range(3)}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert sorted(content(tarred(tmp_path / "x.tar", names, form=form)).values()) == [b"0", b"1", b"2"]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for n in range(70_000):
            archive.writestr(f"{n}.txt", b"")
        with archive.open(zipfile.ZipInfo("70000.txt"), "w", force_zip64=True) as stream:
            stream.write(b"last")
    tree = ZipTree(DiskFile(tmp_path / "x.zip"))
    assert len(tree) == 70_001
    assert tree.names(np.array([2, 10, 70_000])) == ["2.txt", "10.txt", "70000.txt"]
    with tree.open(70_000) as stream:
        assert stream.read() == b"last"


def test_sizes_of_zip64_are_read_from_the_extra_field(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    zipped(path, {"a": b"first", "b": b"second"}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    at = data.rindex(b"PK\1\2")
    extra = struct.pack("<2H3Q", 1, 24, 6, 6, data.rindex(b"PK\3\4"))
    entry = data[at : at + 20] + b"\xff" * 8 + struct.pack("<2H", 1, len(extra)) + data[at + 32 : at + 42] + b"\xff" * 4
    end = data.rindex(b"PK\5\6")
    tail = data[end : end + 12] + struct.pack("<2L", 47 + 47 + len(extra), data.index(b"PK\1\2")) + b"\0\0"
    path.write_bytes(data[:at] + entry + b"b" + extra + tail)
    assert content(ZipTree(DiskFile(path))) == {"a": b"first", "b": b"second"}
    with zipfile.ZipFile(path) as archive:
        assert archive.read("b") == b"second"


def test_junk_folders_and_repeated_names(tmp_path: Path) -> None:
    members = {"x/1": b"old", "__MACOSX/x/._1": b"", "x/.DS_Store": b"", "x/Thumbs.db": b"", "./x/2": b"", "x/y/": b""}
    path = tmp_path / "x.zip"
    zipped(path, members | {"x/3": b"new"})
    path.write_bytes(path.read_bytes().replace(b"x/3", b"x/1"))
    assert content(ZipTree(DiskFile(path))) == {"1": b"new", "2": b""}
    folder = link("x/y", "", tarfile.DIRTYPE)
    assert content(tarred(tmp_path / "x.tar", members | {"x/y/": folder})) == {"1": b"old", "2": b""}


def test_links_in_archives_are_the_files_that_they_lead_to(tmp_path: Path) -> None:
    members = {"a/1": b"one", "a/2": link("a/2", "1"), "b": link("b", "a/2"), "c": link("c", "a/1", tarfile.LNKTYPE)}
    others = {"d": link("d", "a"), "e": link("e", "nowhere"), "f": link("f", "", tarfile.FIFOTYPE)}
    tree = tarred(tmp_path / "x.tar", members | others | {"g": link("g", "", tarfile.CHRTYPE)})
    assert content(tree) == {"a/1": b"one", "a/2": b"one", "b": b"one", "c": b"one"}
    info = zipfile.ZipInfo("b")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a/1", b"one")
        archive.writestr(info, "a/1")
    assert content(ZipTree(DiskFile(tmp_path / "x.zip"))) == {"a/1": b"one", "b": b"one"}


@pytest.mark.parametrize(
    "name", ["../a", "/etc/passwd", "a/../../b", "..", "..\\..\\a", "C:\\a", "C:a", "a\0b", "./", "\\a"]
)
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadData, match=r"which leads out of the archive or is none") as caught:
        cleaned(name, "'x'")
    assert "\n" not in str(caught.value)
    # a name that the library would change
    zipped(tmp_path / "x.zip", {"x" * len(name): b"a"})
    data = (tmp_path / "x.zip").read_bytes().replace(b"x" * len(name), name.encode())
    (tmp_path / "x.zip").write_bytes(data)
    if not name.endswith("/"):
        with pytest.raises(BadData, match="which leads out"):
            ZipTree(DiskFile(tmp_path / "x.zip"))
    # the header of a tar archive ends a name at a zero byte
    if "\0" not in name and not name.endswith("/"):
        with pytest.raises(BadData, match="which leads out"):
            tarred(tmp_path / "x.tar", {name: b""})


@pytest.mark.parametrize("target", ["../x", "/etc/passwd", "a/../../b", ".."])
def test_links_that_lead_out_are_refused(tmp_path: Path, target: str) -> None:
    with pytest.raises(BadData, match="a link 'b' that leads out of the archive"):
        tarred(tmp_path / "x.tar", {"b": link("b", target)})
    with pytest.raises(BadData, match="leads out"):
        tarred(tmp_path / "x.tar", {"b": link("b", f"/{target}", tarfile.LNKTYPE)})
    info = zipfile.ZipInfo("b")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(info, target)
    with pytest.raises(BadData, match="a link 'b' that leads out of the archive"):
        ZipTree(DiskFile(tmp_path / "x.zip"))


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="leads in a circle"):
        tarred(tmp_path / "x.tar", {"a": link("a", "b"), "b": link("b", "a")})


def test_every_cut_and_many_damages_of_an_archive_are_refused_or_read(tmp_path: Path) -> None:
    path, members = tmp_path / "x.zip", {"a/1": b"one" * 30, "b": os.urandom(40)}
    for make in (lambda: zipped(path, members), lambda: tarred(path, members)):
        tree = make()
        whole, kind = path.read_bytes(), type(tree)
        size = whole.rindex(b"b") if kind is ZipTree else len(whole) - 10240 + 2048
        for cut in range(0, size if kind is ZipTree else 2048, 7):
            path.write_bytes(whole[:cut])
            with pytest.raises(BadData) as caught:
                content(kind(DiskFile(path)))
            assert "\n" not in str(caught.value)
        rng = np.random.default_rng(0)
        for _ in range(300):
            damaged = bytearray(whole)
            damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
            path.write_bytes(damaged)
            with contextlib.suppress(BadData):
                found = content(kind(DiskFile(path)))
                # the bytes in a zip archive have a checksum, those of a tar archive have none
                assert kind is TarTree or set(found.values()) <= set(members.values())


def test_wrong_checksums_sizes_and_headers_of_zip(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        zipped(path, {"a": b"0123456789" * 40}, kind)
        whole = path.read_bytes()
        at = whole.index(b"PK\1\2")
        for name, offset, value, message in (
            ("checksum", 16, 1, "its checksum is wrong"),
            ("too small", 24, 399, "more bytes than the 399 declared"),
            ("too large", 24, 401, "400 bytes, but 401 are declared"),
            ("huge", 24, 2**32 - 2, "would expand from"),
            ("place", 42, 1, "overlap|header"),
        ):
            changed = whole[: at + offset] + struct.pack("<L", value) + whole[at + offset + 4 :]
            path.write_bytes(changed)
            with pytest.raises(BadData, match=message):
                content(ZipTree(DiskFile(path)))
            assert name


def test_encrypted_and_unknown_compression_are_refused_when_such_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    for offset, value in ((8, 1), (10, 99)):
        zipped(path, {"a": b"abc", "b": b"abc"})
        data = bytearray(path.read_bytes())
        data[data.rindex(b"PK\1\2") + offset] = value
        path.write_bytes(data)
        tree = ZipTree(DiskFile(path))
        with tree.open(0) as stream:
            assert stream.read() == b"abc"
        with pytest.raises(BadData, match=r"'b' in 'x.zip' (is encrypted|is compressed.*not supported)"):
            tree.open(1)


def deflated_zeros(count: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(count)) + packer.flush()


def measured(task: Callable[[], object]) -> tuple[float, float]:
    """Seconds that a refusal takes, and its peak of memory in MiB."""
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(BadData) as caught:
        task()
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert "\n" not in str(caught.value)
    return seconds, peak


def test_bombs_take_little_memory_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.data.formats.files.FREE", 2**22)
    raw = deflated_zeros(64)
    header = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, len(raw), 2**22, 1, 0) + b"a"
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, len(raw), 2**22, 1, 0, 0, 0, 0, 0, 0) + b"a"

    def archive(copies: int, lie: int) -> Path:
        listing = entry.replace(struct.pack("<L", 2**22), struct.pack("<L", lie)) * copies
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, copies, copies, len(listing), len(header + raw), 0)
        (tmp_path / "x.zip").write_bytes(header + raw + listing + end)
        return tmp_path / "x.zip"

    for copies, lie in ((1, 2**26), (1, 2**22), (1000, 2**22)):
        path = archive(copies, lie)
        seconds, peak = measured(lambda path=path: content(ZipTree(DiskFile(path))))
        assert seconds < 5
        assert peak < 16
    for make in ("gz", "bz2", "xz"):
        with tarfile.open(tmp_path / f"x.tar.{make}", f"w:{make}") as out:
            info = tarfile.TarInfo("a")
            info.size = 2**26
            out.addfile(info, io.BytesIO(bytes(2**26)))
        seconds, peak = measured(lambda make=make: TarTree(on_disk(tmp_path / f"x.tar.{make}")))
        assert seconds < 5
        assert peak < 40


def test_millions_of_entries_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 50)
    members = {str(n): b"" for n in range(60)}
    for make in (lambda: zipped(tmp_path / "x.zip", members), lambda: tarred(tmp_path / "x.tar", members)):
        with pytest.raises(BadData, match="more than 50 files"):
            make()
    # the end says fewer than there are
    data = (tmp_path / "x.zip").read_bytes()
    at = data.rindex(b"PK\5\6")
    (tmp_path / "x.zip").write_bytes(data[: at + 8] + struct.pack("<2H", 3, 3) + data[at + 12 :])
    with pytest.raises(BadData, match="more than 50 files"):
        ZipTree(DiskFile(tmp_path / "x.zip"))


def header(size: bytes, kind: bytes = b"0") -> bytes:
    data = bytearray(tarfile.TarInfo("a").tobuf())
    data[124:136], data[156:157], data[148:156] = size, kind, b" " * 8
    data[148:156] = b"%06o\0 " % sum(data)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        header((-512).to_bytes(12, "big", signed=True)) * 3,
        header((2**70).to_bytes(12, "big")[:12].replace(b"\0", b"\x80", 1)) + bytes(1024),
        header(b"%011o\0" % 2**32, b"x") + bytes(1024),
        header(b"%011o\0" % 2**32, b"L") + bytes(1024),
        header(b"%011o\0" % 10) + bytes(512) + b"damaged" * 100 + bytes(1024),
        header(b"%011o\0" % 512, b"L") * 5000,
        header(b"%011o\0" % 10, b"S") + bytes(2048),
    ],
    ids=["negative", "beyond", "long pax", "long name", "damaged", "names of names", "sparse"],
)
def test_headers_of_tar_that_lie_are_refused_at_once(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, peak = measured(lambda: TarTree(DiskFile(tmp_path / "x.tar")))
    assert seconds < 3
    assert peak < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
