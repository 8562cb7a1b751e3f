"""Locks between writers to the same place, which the system releases when their process ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]


def lock_file(path: Path) -> Path:
    """The hidden file beside ``path`` that is locked in its place."""
    return path.parent / f".{path.name}.lock"


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether the block alone, of all that ask, may write to ``path``, a file or folder that need not exist.

    True where the system has no such locks, or the folder does not permit them. Missing folders are created, and
    removed again if they remain empty.
    """
    path = path.absolute()
    made = _made(path.parent)
    try:
        handle = _locked(lock_file(path))
    except BlockingIOError:
        yield False
        return
    except (OSError, ValueError):
        # no locks here, or no such folder, about which the writer has more to say
        handle = None
    try:
        yield True
    finally:
        if handle is not None:
            with suppress(OSError):
                # first, so that nobody locks a file that is about to be removed
                lock_file(path).unlink()
            os.close(handle)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def _made(folder: Path) -> list[Path]:
    """Create a folder; returns it and its parents that did not exist, the innermost first."""
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    with suppress(OSError, ValueError):
        folder.mkdir(parents=True, exist_ok=True)
    return missing


def _locked(path: Path) -> int | None:
    """A handle that locks a file, or ``None`` where there are no locks.

    Raises:
        BlockingIOError: another handle locks it.
    """
    if fcntl is None:
        return None
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # whoever held the lock before may have removed the file
            if os.path.lexists(path) and os.path.samestat(os.fstat(handle), os.lstat(path)):
                return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
