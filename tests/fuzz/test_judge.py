"""The judge sees what no reader may do."""

import ctypes
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz import judge as court
from fuzz.judge import Unclean, judge
from isthmus.errors import BadData


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (os.getenv, ("HOME",))


def refuse(sentence: str) -> None:
    raise BadData(sentence)


def hidden_lack_of_memory() -> None:
    try:
        raise MemoryError("Unable to allocate 1 TiB")
    except MemoryError as fault:
        raise BadData("It cannot be read.") from fault


UNCLEAN: dict[str, tuple[Callable[[], object], str]] = {
    "another exception": (lambda: {}["x"], "KeyError"),
    "a warning made an error": (lambda: int("x"), "ValueError"),
    "several lines": (lambda: refuse("one\ntwo"), "no sentence"),
    "no words": (lambda: refuse(""), "no sentence"),
    "very many words": (lambda: refuse("x" * 10_000), "no sentence"),
    "a pickle": (lambda: pickle.loads(pickle.dumps(Bomb())), "pickle.find_class"),
    "code": (lambda: eval("1 + 1"), "exec of '<string>'"),
    "a process": (lambda: subprocess.run(["true"], check=True), "subprocess.Popen"),
    "a file elsewhere": (lambda: Path("/etc/hostname").read_bytes(), "outside the folder"),
    "a file that is written": (lambda: Path("/dev/null").write_bytes(b""), "to write"),
    "memory that was asked for": (hidden_lack_of_memory, "before it was refused"),
    "memory": (lambda: bytearray(700 * 2**20), "MiB of memory"),
}


@pytest.fixture(autouse=True)
def trimmed() -> None:
    """Memory that earlier tests freed would be used again, and so not be seen as new."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).malloc_trim(0)


@pytest.mark.parametrize("name", UNCLEAN)
def test_what_is_not_clean_is_seen(name: str, tmp_path: Path) -> None:
    act, message = UNCLEAN[name]
    with pytest.raises(Unclean, match=message):
        judge(act, tmp_path)


def test_a_hang_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(court, "SECONDS", 0.05)
    with pytest.raises(Unclean, match=r"took .* s"):
        judge(lambda: time.sleep(1), tmp_path)


def test_a_clean_answer_is_none_or_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    assert judge((tmp_path / "x").read_bytes, tmp_path) is None
    assert judge(lambda: refuse("No."), tmp_path) == "No."
