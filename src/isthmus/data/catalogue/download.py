"""Downloads of the named files that may be redistributed; each is verified by its SHA-256 before it gets its name.

``$ISTHMUS_MIRROR`` is a base URL that replaces all others, with files at ``<mirror>/<folder>/<file>``;
``$ISTHMUS_CACHE`` replaces the user's cache folder.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from isthmus.data.catalogue.checksums import CHECKSUMS
from isthmus.errors import BadData, one_line
from isthmus.files.cache import cache_folder

ADDRESSES: dict[str, str | None] = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "binarized_mnist": None,
    "kodak": "https://r0k.us/graphics/kodak/kodak/",
    "adbench": "https://github.com/Minqi824/ADBench/raw/main/adbench/datasets/Classical/",
}
"""Base URL of each folder whose terms allow redistribution; ``None`` where only a mirror can have the file."""


def address(name: str) -> str | None:
    """The base URL of a folder's files; ``None`` if they may not or cannot be downloaded.

    Raises:
        BadData: ``$ISTHMUS_MIRROR`` is not a URL.
    """
    if name not in ADDRESSES:
        return None
    mirror = os.environ.get("ISTHMUS_MIRROR")
    if not mirror:
        return ADDRESSES[name]
    if not mirror.startswith(("https://", "http://")):
        raise BadData(f"ISTHMUS_MIRROR is {mirror!r}, but must start with https:// or http://.")
    return f"{mirror.rstrip('/')}/{name}/"


def fetch(name: str, files: Iterable[str]) -> Path:
    """The folder in the cache with the named ``files``; each is downloaded unless a valid copy exists.

    A file is written under a temporary name, verified, then renamed; a failed download leaves no file.

    Raises:
        BadData: there is no URL, the network fails, or a checksum differs.
    """
    import pooch

    base = address(name)
    if base is None:
        raise BadData(f"The files of {name!r} cannot be downloaded. Put them into $ISTHMUS_DATA/{name}.")
    folder = cache_folder() / name
    for file in files:
        try:
            pooch.retrieve(
                base + file, known_hash=f"sha256:{CHECKSUMS[name][file]}", fname=file, path=folder, progressbar=False
            )
        except Exception as fault:  # requests, urllib3 and the file system each raise their own
            with contextlib.suppress(OSError):
                folder.rmdir()  # only if it is empty
            raise BadData(_advice(name, file, base, fault)) from fault
    return folder


def _advice(name: str, file: str, base: str, fault: Exception) -> str:
    """Message about a failed download, and what to do."""
    if isinstance(fault, ValueError) and "hash" in str(fault):
        why = "its SHA-256 is not the known one, so it was discarded"
        if name == "kodak":
            why += " (copies of these photographs differ in bytes between servers)"
    elif type(fault).__name__ == "ConnectionError":  # of Python or of requests, whose text is very long
        why = "there is no connection"
    else:
        why = one_line(fault)
    return (
        f"{file!r} could not be downloaded from {base}: {why}. Try again, set ISTHMUS_MIRROR to another "
        f"URL, or put the files into $ISTHMUS_DATA/{name}."
    )
