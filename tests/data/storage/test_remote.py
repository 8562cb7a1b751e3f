"""Data at remote addresses: in the memory of fsspec, and from a web server in a thread."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.base import SourceFile
from isthmus.data.opening import open_data, source_name
from isthmus.data.storage import remote
from isthmus.data.storage.disk import DiskFile
from isthmus.data.storage.remote import RemoteTree, open_address, shown
from isthmus.errors import BadData, MissingExtra
from isthmus.options import DataOptions

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
X = np.arange(60.0).reshape(20, 3)
TABLE = b"a,b,c\n" + b"\n".join(b"%d,%d,%d" % tuple(row) for row in X.astype(int).tolist())


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISTHMUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/remote"


@pytest.fixture
def memory() -> Iterator[object]:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


class Server(http.server.SimpleHTTPRequestHandler):
    """A web server with files from a dictionary, and with lies about their sizes."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    sizes: dict[str, int | None] = {}  # noqa: RUF012
    versions: dict[str, str] = {}  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012

    def answer(self, *, body: bool) -> None:
        self.asked.append(f"{self.command} {self.path}")
        data = self.files.get(self.path.partition("?")[0])
        if data is None:
            self.send_error(404)
            return
        self.send_response(200)
        size = self.sizes.get(self.path, len(data))
        if size is not None:
            self.send_header("Content-Length", str(size))
        if self.path in self.versions:
            self.send_header("ETag", self.versions[self.path])
        self.send_header("Content-Type", "text/html" if data.startswith(b"<a") else "application/octet-stream")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def log_message(self, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def web() -> Iterator[str]:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed")
    for known in (Server.files, Server.sizes, Server.versions, Server.asked):
        known.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def values(address: str, **options: object) -> np.ndarray:
    dataset = open_data(address, DataOptions(**options))
    assert dataset.provenance.name == address == source_name(address)
    return dataset.train.read(0, len(dataset.train)).values


def test_a_file_in_memory_is_read_like_one_on_disk(memory: object, tmp_path: Path) -> None:
    memory.pipe("/some/x.csv", TABLE)
    (tmp_path / "x.csv").write_bytes(TABLE)
    assert (values("memory://some/x.csv") == X).all()
    here, there = (open_data(p, DataOptions()).provenance.files for p in (tmp_path / "x.csv", "memory://some/x.csv"))
    assert here == there
    # other bytes at the same address are read anew
    memory.pipe("/some/x.csv", TABLE.replace(b"a,b", b"7,b").replace(b"7,b", b"a,b").replace(b"0,1,2", b"5,1,2"))
    assert values("memory://some/x.csv")[0, 0] == 5


def test_a_folder_in_memory_is_a_tree(memory: object) -> None:
    for name in ("a10/x.bin", "a2/y.bin", "a2/.hidden", "__MACOSX/z"):
        memory.pipe(f"/top/{name}", name.encode())
    tree = open_address("memory://top")
    assert isinstance(tree, RemoteTree)
    assert tree.names(np.arange(len(tree))) == ["a2/y.bin", "a10/x.bin"]
    with tree.open(1) as stream:
        assert stream.read() == b"a10/x.bin"
    assert (tree.size(0), tree.packed(0), tree.file(0).name) == (8, 8, "y.bin")
    memory.pipe("/top/a2/y.bin", b"other")
    assert open_address("memory://top").record() != tree.record()


def test_a_folder_of_parts_in_memory_is_a_data_set(memory: object, tmp_path: Path) -> None:
    for part, rows in (("train", X[:12]), ("test", X[12:])):
        np.save(tmp_path / f"{part}.npy", rows)
        memory.put(str(tmp_path / f"{part}.npy"), f"/top/{part}.npy")
    dataset = open_data("memory://top/", DataOptions())
    assert (dataset.train.read(0, 12).values == X[:12]).all()
    assert (dataset.test.read(0, 8).values == X[12:]).all()


def test_a_file_of_the_web_is_copied_once_per_version(web: str, cache: Path) -> None:
    Server.files["/x.csv"], Server.versions["/x.csv"] = TABLE, '"one"'
    for _ in range(2):
        assert (values(f"{web}/x.csv") == X).all()
    assert Server.asked.count("GET /x.csv") == 1
    Server.versions["/x.csv"] = '"two"'
    assert (values(f"{web}/x.csv") == X).all()
    assert Server.asked.count("GET /x.csv") == 2
    assert len(list(cache.iterdir())) == 2
    Server.files["/y.csv"] = TABLE
    for _ in range(2):
        assert (values(f"{web}/y.csv") == X).all()
    assert Server.asked.count("GET /y.csv") == 2, "without a version it may be another file"


def test_a_file_of_the_web_without_a_size_and_with_a_query(web: str) -> None:
    Server.files["/x.csv"], Server.sizes["/x.csv?key=1"] = TABLE, None
    found = open_address(f"{web}/x.csv?key=1")
    assert isinstance(found, DiskFile)
    assert (found.name, found.size, found.origin) == ("x.csv", len(TABLE), f"{web}/x.csv?key=1")
    assert (values(f"{web}/x.csv?key=1") == X).all()


def test_a_page_of_links_is_a_folder(web: str) -> None:
    Server.files["/top/"] = b'<a href="a.npy">a</a><a href="../out.npy">b</a><a href="/etc/c">c</a><a href="sub/">d</a>'
    Server.files["/top/sub"] = b'<a href="b.npy">b</a>'
    Server.files |= {"/top/a.npy": b"A", "/top/sub/b.npy": b"B", "/out.npy": b"C", "/etc/c": b"D"}
    Server.versions["/top/a.npy"] = "1"
    tree = open_address(f"{web}/top/")
    assert tree.names(np.arange(len(tree))) == ["a.npy", "sub/b.npy"]
    with tree.open(0) as one, tree.open(1) as other:
        assert one.read() + other.read() == b"AB"
    assert tree.size(0) == 1


def test_a_server_that_sends_more_than_it_says_is_refused_or_cut(web: str) -> None:
    Server.files["/x.csv"], Server.sizes["/x.csv"] = TABLE, len(TABLE) - 1
    # the client refuses the rest if it comes with the last piece
    with contextlib.suppress(BadData):
        assert open_address(f"{web}/x.csv").size == len(TABLE) - 1


def test_a_server_that_sends_less_than_it_says_is_refused(web: str, cache: Path) -> None:
    Server.files["/x.csv"], Server.sizes["/x.csv"] = TABLE, len(TABLE) + 1
    with pytest.raises(BadData, match=r"'http://127.0.0.1:\d+/x.csv' cannot be read"):
        open_address(f"{web}/x.csv")
    assert not [file for folder in cache.glob("*") for file in folder.iterdir()]


def test_sizes_are_bounded_before_and_while_they_are_read(
    web: str, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr("isthmus.data.formats.files.LARGEST", 1000)
    monkeypatch.setattr(remote, "PIECE", 300)
    Server.files |= {"/x.npy": bytes(1001), "/y.npy": bytes(5000)}
    Server.sizes["/y.npy"] = None
    with pytest.raises(BadData, match="at most 0 GiB are downloaded"):
        open_address(f"{web}/x.npy")
    assert "GET /x.npy" not in Server.asked
    with pytest.raises(BadData, match="at most 0 GiB are downloaded"):
        open_address(f"{web}/y.npy")
    assert not [file for folder in cache.glob("*") for file in folder.iterdir()]


def test_old_copies_are_removed(memory: object, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(remote, "LARGEST_CACHE", 250)
    for n in range(5):
        memory.pipe(f"/{n}.bin", bytes(100))
        open_address(f"memory://{n}.bin")
    assert sorted(file.name for folder in cache.iterdir() for file in folder.iterdir()) == ["3.bin", "4.bin"]


def test_what_is_not_there_is_said_in_one_sentence(web: str, memory: object) -> None:
    with pytest.raises(BadData, match=r"There is nothing at 'http://127.0.0.1:\d+/absent.csv'. Check the spelling."):
        open_data(f"{web}/absent.csv?token=secret", DataOptions())
    with pytest.raises(BadData, match=r"There is nothing at 'memory://absent.csv'"):
        open_data("memory://absent.csv", DataOptions())
    with pytest.raises(BadData, match=r"'http://127.0.0.1:9/x.csv' cannot be read") as caught:
        open_data("http://127.0.0.1:9/x.csv", DataOptions())
    assert "\n" not in str(caught.value)
    with pytest.raises(BadData, match=r"'nonsense://x.csv' cannot be read: Protocol not known"):
        open_data("nonsense://x.csv", DataOptions())
    with pytest.raises(BadData, match=r"The address 'https://host/x.csv' has a password"):
        open_data("https://me:secret@host/x.csv", DataOptions())
    with pytest.raises(BadData, match="several addresses in one"):
        open_data("zip://a.csv::memory://x.zip", DataOptions())


def test_absent_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(address: str, **options: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", absent)
    with pytest.raises(MissingExtra, match="pip install s3fs"):
        open_data("s3://bucket/x.csv", DataOptions())
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[remote\]'"):
        open_data("s3://bucket/x.csv", DataOptions())


def test_records_name_the_file_and_not_the_copy(web: str) -> None:
    Server.files["/x.csv"] = TABLE
    (record,) = open_data(f"{web}/x.csv", DataOptions()).provenance.files
    assert isinstance(record, SourceFile)
    assert (record.name, record.bytes) == ("x.csv", len(TABLE))


def test_addresses_in_messages_have_no_secrets() -> None:
    assert shown("s3://key:secret@bucket/a/b.csv?x=1#y") == "'s3://bucket/a/b.csv'"
