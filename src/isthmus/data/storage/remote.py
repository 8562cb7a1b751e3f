"""Files at remote addresses, through fsspec: each is copied to the user's cache once, then read like one on disk."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from isthmus.data.base import SourceFile
from isthmus.data.formats import files
from isthmus.data.storage.archives import check_members, cleaned
from isthmus.data.storage.base import Tree
from isthmus.data.storage.disk import DiskFile
from isthmus.data.storage.names import Names, is_junk, natural
from isthmus.errors import BadData, IsthmusError, MissingExtra, one_line
from isthmus.files.atomic import replacing
from isthmus.files.cache import cache_folder

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://.+", re.IGNORECASE)
PIECE, LARGEST_CACHE = 2**20, 4 * files.LARGEST
"""Bytes that are read at a time; and size of all copies, above which those that were not used longest are removed."""
CONNECTING, WAITING = 30, 120
"""Seconds within which a web server must answer, and send the next bytes."""
DEEPEST = 16
"""Largest depth of the folders of a web server."""
VERSIONS = ("etag", "lastmodified", "mtime", "updated", "generation", "md5hash", "contentmd5", "digest", "created")
"""Fields that tell one version of a file from another, in lower case without marks."""
PLACES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
"""Libraries that read addresses of other kinds than those of the web."""


def is_address(data: object) -> bool:
    """Whether data is named by a remote address.

    >>> is_address("s3://bucket/x.csv"), is_address("data/x.csv"), is_address("C:/x.csv")
    (True, False, False)
    """
    return isinstance(data, str) and ADDRESS.fullmatch(data) is not None


def open_address(address: str) -> "DiskFile | RemoteTree":
    """The file at an address, or the files of a folder there.

    Raises:
        BadData: there is none, the network fails, or it is too large.
        MissingExtra: the library that reads such addresses is not installed.
    """
    system, path = _system(address)
    with _asking(address):
        info = system.info(path)
    # the web has no folders, only pages that list links
    if info.get("type") == "directory" or (_is_web(address) and path.endswith("/")):
        return RemoteTree(address, system, path)
    return _Remote(address, system, path, info).copied(_base(address))


class _Remote(NamedTuple):
    """A file at an address: its file system, its path there, and what that says about it."""

    address: str
    system: Any
    path: str
    info: Mapping[str, Any]

    @property
    def size(self) -> int | None:
        """Its size in bytes, as declared, if it is."""
        size = self.info.get("size")
        return size if isinstance(size, int) and size >= 0 else None

    def version(self) -> str:
        """What changes when its bytes do; empty if nothing is known."""
        plain = {re.sub("[^a-z0-9]", "", key.lower()): value for key, value in self.info.items()}
        return " ".join(f"{field}={plain[field]}" for field in VERSIONS if plain.get(field))

    def copied(self, name: str) -> DiskFile:
        """The copy in the cache; it is made if there is none of this version.

        Raises:
            BadData: it is larger than ``LARGEST``, or cannot be read.
        """
        version = self.version()
        key = hashlib.sha256(f"{self.address}\n{self.path}\n{self.size}\n{version}".encode()).hexdigest()[:32]
        target = cache_folder() / "remote" / key / name
        if not (version and target.is_file()):
            if self.size is not None:
                _check_size(self.size, self.address)
            with _asking(self.address), replacing(target) as temporary:
                self._copy(temporary)
            _tidy(target.parent)
        with suppress(OSError):
            target.parent.touch()
        return DiskFile(target, name, self.address)

    def _copy(self, target: Path) -> None:
        """Copy its bytes to a file on disk; their number is bounded even if the declared one is wrong."""
        # a block of 0 is a stream of the web, in one request
        options = {"block_size": 0} if _is_web(self.address) else {}
        count = 0
        with self.system.open(self.path, "rb", **options) as stream, target.open("wb") as out:
            while piece := stream.read(PIECE):
                count += len(piece)
                _check_size(count, self.address)
                out.write(piece)
        if self.size is not None and count != self.size:
            raise BadData(
                f"{shown(self.address)} has {self.size:,} bytes, but {count:,} were sent. Try again, or download it."
            )


class RemoteTree(Tree):
    """The files of a folder at an address, in natural order; each is copied to the cache when it is opened.

    Raises:
        BadData: it cannot be listed, is empty, or holds too many files.
    """

    def __init__(self, address: str, system: Any, path: str) -> None:
        self.name, self.origin, self._system = _base(address), address, system
        with _asking(address):
            options = {"maxdepth": DEEPEST} if _is_web(address) else {}
            listed: dict[str, Any] = system.find(path, detail=True, **options)
            found = dict(_below(listed, path.rstrip("/"), repr(self.name)))
        names = sorted(found, key=natural)
        self._names = Names(names, repr(self.name))
        self._found = [found[name] for name in names]

    def size(self, row: int) -> int:
        """Number of bytes of a file, as declared; 0 if it is not."""
        return self._remote(row).size or 0

    def packed(self, row: int) -> int:
        """Number of bytes of a file."""
        return self.file(row).size

    def open(self, row: int) -> BinaryIO:
        """A stream of the bytes of a file."""
        return self.file(row).open()

    def file(self, row: int) -> DiskFile:
        """One of the files, as its copy in the cache."""
        return self._remote(row).copied(self._names[row].rpartition("/")[2])

    def record(self) -> SourceFile:
        """Name, size and checksum of all files: by their names, sizes and versions."""
        digest = hashlib.sha256()
        for row, name in enumerate(self.names(np.arange(len(self)))):
            digest.update(f"{name} {self.size(row)} {self._remote(row).version()}\n".encode(errors="surrogateescape"))
        total = sum(self.size(row) for row in range(len(self)))
        return SourceFile(self.name, total, digest.hexdigest(), sampled=True)

    def _remote(self, row: int) -> _Remote:
        path, info = self._found[row]
        if _is_web(self.origin) and "url" not in info:
            # a page of links says nothing about what they lead to
            with _asking(self.origin):
                info = self._system.info(path)
            self._found[row] = path, info
        return _Remote(self.origin, self._system, path, info)


def _below(listed: Mapping[str, Any], root: str, where: str) -> Iterator[tuple[str, tuple[str, Any]]]:
    """The files below a folder by relative path, each with its path in the file system and what that says about it."""
    for count, (path, info) in enumerate(listed.items()):
        check_members(count + 1, where)
        # links of a page may lead anywhere
        if path.startswith(f"{root}/") and "/../" not in path and info.get("type") == "file":
            name = cleaned(path[len(root) + 1 :], where)
            if not any(map(is_junk, name.split("/"))):
                yield name, (path, info)


def _system(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it.

    Raises:
        BadData: the address is not one, or has a password.
        MissingExtra: the library for it is not installed.
    """
    kind, _, rest = address.partition("://")
    if "::" in address or ("@" in rest.partition("/")[0] and ":" in rest.partition("@")[0]):
        raise BadData(
            f"The address {shown(address)} has a password or several addresses in one, which are not supported. Use an "
            "address without, and the settings of the library for passwords."
        )
    try:
        from fsspec.core import url_to_fs

        with _asking(address):
            found: tuple[Any, str] = url_to_fs(address, **_settings(address))
    except ImportError as fault:
        library = PLACES.get(kind.lower())
        what = f"pip install {library}" if library and "fsspec" not in str(fault) else "pip install 'isthmus[remote]'"
        raise MissingExtra(
            f"Reading {shown(address)} requires a library that is not installed ({one_line(fault)}). Install it with "
            f"{what}."
        ) from fault
    return found


def _settings(address: str) -> dict[str, Any]:
    """Settings of the file system: on the web, bounded times and no compression that would change the size."""
    if not _is_web(address):
        return {}
    from aiohttp import ClientTimeout

    timeout = ClientTimeout(total=None, sock_connect=CONNECTING, sock_read=WAITING)
    return {"client_kwargs": {"timeout": timeout, "headers": {"Accept-Encoding": "identity"}}}


def _is_web(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def _base(address: str) -> str:
    """The name of the file at an address."""
    path = re.split(r"[?#]", address.partition("://")[2])[0].rstrip("/")
    name = re.sub(r"[^\w.() +-]", "_", path.rpartition("/")[2])[-150:]
    return name if name.strip(". ") else "data"


def shown(address: str) -> str:
    """An address for messages, without what may be secret.

    >>> shown("https://me:pass@host/x.csv?key=1")
    "'https://host/x.csv'"
    """
    kind, _, rest = re.split(r"[?#]", address)[0].partition("://")
    host, slash, path = rest.partition("/")
    return repr(f"{kind}://{host.rpartition('@')[2]}{slash}{path}"[:200])


@contextmanager
def _asking(address: str) -> Iterator[None]:
    """Convert any exception of a file system to one that names the address.

    Raises:
        BadData: for any exception except those of Isthmus and those of absent libraries.
    """
    try:
        yield
    except (IsthmusError, ImportError):
        raise
    except Exception as fault:  # each file system raises its own
        cause = fault.__cause__ if isinstance(fault.__cause__, Exception) else fault
        if isinstance(fault, FileNotFoundError) and (cause is fault or getattr(cause, "status", 0) in (404, 410)):
            raise BadData(f"There is nothing at {shown(address)}. Check the spelling.") from fault
        why = one_line(cause) if str(cause).strip() else type(cause).__name__
        raise BadData(
            f"{shown(address)} cannot be read: {why[:150]}. Check the address and the network, or download it."
        ) from fault


def _check_size(count: int, address: str) -> None:
    if count > files.LARGEST:
        raise BadData(
            f"{shown(address)} has {count / 2**30:,.1f} GiB or more, but at most {files.LARGEST // 2**30} GiB are "
            "downloaded. Download it, and pass the path."
        )


def _tidy(kept: Path) -> None:
    """Remove the copies that were not used longest, until the others are small enough."""
    with suppress(OSError):
        folders = sorted(kept.parent.iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        total = 0
        for folder in folders:
            total += sum(file.stat().st_size for file in folder.iterdir())
            if total > LARGEST_CACHE and folder != kept:
                shutil.rmtree(folder, ignore_errors=True)
