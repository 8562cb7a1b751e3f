"""What a clean answer is: the reader works, or raises one sentence of ours; nothing else may happen.

Not clean are: any other exception, a sentence of several lines, more time or memory than a bound, code that is run (a
pickle, ``exec``, a process, a connection), a file that is written, and a file outside the folder that is opened.
"""

import os
import re
import signal
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType

import isthmus
from isthmus.errors import IsthmusError

SECONDS = 10.0
MEMORY = 600 * 2**20
"""Bytes that one reading may add to the process, where the readers' own limits are :data:`fuzz.targets.LIMITS`."""
LONGEST = 2000
"""Characters of the longest sentence."""

FORBIDDEN = frozenset((
    "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "subprocess.Popen",
    "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink", "os.chmod", "os.chown",
    "shutil.rmtree", "shutil.copyfile", "socket.connect", "socket.getaddrinfo", "ctypes.dlopen",
))  # fmt: skip
PLACES = {
    sys.prefix,
    sys.base_prefix,
    *sysconfig.get_paths().values(),
    str(Path(isthmus.__file__).parent),
    "/proc/self",
    "/proc/cpuinfo",
    "/sys/fs/cgroup",
    str(Path(__file__).parents[1]),
}
# an environment may be reached by a link
LIBRARIES = (*PLACES, *map(os.path.realpath, PLACES))
CHECKERS = re.compile(r"/site-packages/(beartype|jaxtyping)/")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_watch: dict[str, str | list[str] | None] = {"folder": None}


class Unclean(AssertionError):
    """A reader did what no reader may do."""


def _audit(event: str, args: tuple[object, ...]) -> None:
    """Note what a reader does while it is watched."""
    folder = _watch["folder"]
    if folder is None or event == "import":
        return
    seen = _watch["seen"]
    assert isinstance(seen, list)
    if event in FORBIDDEN:
        # torch asks the driver for accelerators when it takes care of their generators
        if not _importing() and args[:1] != ("libnvidia-ml.so.1",):
            seen.append(f"{event}{args!r}"[:300])
    elif event == "exec":
        code = args[0]
        own = isinstance(code, CodeType) and code.co_filename.startswith((*LIBRARIES, "<frozen"))
        # a library that is imported late runs its own files, and what those make; nothing else is run
        if not own and not _importing():
            seen.append(f"exec of {getattr(code, 'co_filename', code)!r} by {_caller()}")
    elif event == "open" and isinstance(args[0], str | bytes | os.PathLike):
        path, flags = os.path.realpath(os.fsdecode(args[0])), args[2]
        inside = path == folder or path.startswith(f"{folder}{os.sep}")
        if _importing():
            return
        if isinstance(flags, int) and flags & WRITING:
            seen.append(f"opened {path!r} to write")
        elif not inside and not path.startswith(LIBRARIES):
            seen.append(f"opened {path!r}, which is outside the folder")


def _caller() -> str:
    """The nearest lines of Python that led here."""
    frames = traceback.extract_stack(limit=6)[:-2]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))


def _importing() -> bool:
    """Whether the code that runs was called by an import, or by what tests put around functions to check types."""
    frame: FrameType | None = sys._getframe(2)
    if frame is not None and CHECKERS.search(frame.f_code.co_filename):
        return True
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


sys.addaudithook(_audit)


def _too_long(number: int, frame: FrameType | None) -> None:
    raise Unclean(f"took more than {SECONDS:g} s")


@contextmanager
def _limited_time() -> Iterator[None]:
    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    # a library that waits in C hears no signal
    if time.monotonic() - started > SECONDS:
        raise Unclean(f"took {time.monotonic() - started:.0f} s")


def _resident(name: str) -> int:
    """A figure of this process in bytes: VmRSS (now) or VmHWM (the peak)."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith(name))


@contextmanager
def _limited_memory() -> Iterator[None]:
    """Compare the peak inside the block with what there was before; only Linux tells."""
    if not sys.platform.startswith("linux"):
        yield
        return
    # 5 sets the recorded peak back to what is used now
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    yield
    grown = _resident("VmHWM") - before
    if grown > MEMORY:
        raise Unclean(f"took {grown / 2**20:,.0f} MiB of memory")


@contextmanager
def _watched(folder: Path) -> Iterator[None]:
    seen: list[str] = []
    _watch["seen"], _watch["folder"] = seen, os.path.realpath(folder)
    try:
        yield
    finally:
        _watch["folder"] = None
    if seen:
        raise Unclean("; ".join(seen[:3]))


def judge(read: Callable[[], object], folder: Path) -> str | None:
    """The sentence that ``read`` is refused with, or ``None`` where it works.

    Raises:
        Unclean: anything else happened.
    """
    refusal = None
    with _limited_memory(), _limited_time(), _watched(folder):
        try:
            read()
        except IsthmusError as error:
            refusal = error
        except Unclean:
            raise
        except Exception as error:
            raise Unclean(f"{type(error).__name__}: {str(error)[:300]}") from error
    if refusal is None:
        return None
    sentence = str(refusal)
    if not sentence.strip() or len(sentence) > LONGEST or len(sentence.splitlines()) > 1:
        raise Unclean(f"no sentence of ours ({len(sentence)} characters): {sentence[:300]!r}") from refusal
    causes, fault = [], refusal.__cause__
    while fault is not None:
        causes.append(fault)
        fault = fault.__cause__
    if any("allocate" in str(cause) for cause in causes):
        raise Unclean(f"memory was asked for before it was refused: {causes[-1]}") from refusal
    return sentence
