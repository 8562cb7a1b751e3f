"""Downloads from a server on this machine: checked, complete or not there at all."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from isthmus.data import load_dataset
from isthmus.data.catalogue.checksums import CHECKSUMS
from isthmus.data.catalogue.download import ADDRESSES, fetch
from isthmus.errors import BadData
from isthmus.files.cache import cache_folder

FILE = "6_cardio.npz"


@pytest.fixture
def offered(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small stand-in for one of ADBench's files, on the server and in the table of checksums."""
    path = mirror / "adbench" / FILE
    path.parent.mkdir()
    np.savez(path, X=np.eye(4), y=np.array([0, 0, 0, 1]))
    monkeypatch.setitem(CHECKSUMS["adbench"], FILE, hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def cached() -> list[str]:
    return sorted(p.name for p in cache_folder().rglob("*"))


def test_a_named_set_is_downloaded_once(offered: Path):
    dataset = load_dataset("adbench/cardio")
    np.testing.assert_array_equal(dataset.train.x, np.eye(4))
    assert dataset.train.labels.tolist() == [0, 0, 0, 1]
    assert cached() == [FILE, "adbench"]
    offered.unlink()
    assert len(load_dataset("adbench/cardio").train) == 4


def test_a_wrong_checksum_leaves_nothing(offered: Path):
    offered.write_bytes(b"another file")
    with pytest.raises(BadData, match=f"'{FILE}' could not be .*SHA-256 is not the known one") as caught:
        load_dataset("adbench/cardio")
    assert "\n" not in str(caught.value)
    assert cached() == []


def test_a_missing_file_leaves_nothing(offered: Path):
    offered.unlink()
    with pytest.raises(BadData, match=r"could not be downloaded from http://127.0.0.1.*404.*ISTHMUS_MIRROR"):
        load_dataset("adbench/cardio")
    assert cached() == []


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ISTHMUS_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(
        BadData, match=r"127.0.0.1:9.*: there is no connection\. .*put the files into \$ISTHMUS_DATA/mnist"
    ) as caught:
        load_dataset("mnist")
    assert "\n" not in str(caught.value)
    assert cached() == []


def test_a_checked_file_stays_when_the_next_one_fails(offered: Path):
    with pytest.raises(BadData, match=r"4_breastw.npz"):
        fetch("adbench", [FILE, "4_breastw.npz"])
    assert cached() == [FILE, "adbench"]


def test_kodak_says_that_copies_differ(mirror: Path):
    (mirror / "kodak").mkdir()
    (mirror / "kodak" / "kodim01.png").write_bytes(b"another copy")
    with pytest.raises(BadData, match="copies of these photographs differ in bytes"):
        fetch("kodak", ["kodim01.png"])


def test_research_sets_are_never_downloaded(mirror: Path):
    for name in ("olivetti", "cmu_faces", "coil20", "bsds500"):
        assert name not in ADDRESSES
        with pytest.raises(BadData, match="cannot be downloaded"):
            fetch(name, [])
        with pytest.raises(BadData, match="cannot be downloaded"):
            load_dataset(name)


def test_a_mirror_must_be_a_web_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ISTHMUS_MIRROR", "ftp://somewhere")
    with pytest.raises(BadData, match="ISTHMUS_MIRROR is 'ftp://somewhere'"):
        load_dataset("mnist")


def test_the_cache_is_the_users_own_unless_named(monkeypatch: pytest.MonkeyPatch):
    import pooch

    monkeypatch.delenv("ISTHMUS_CACHE")
    assert cache_folder() == Path(pooch.os_cache("isthmus"))
