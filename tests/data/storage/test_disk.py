"""Folders as trees of files: which files, in which order, and what leads out of them."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.storage import names
from isthmus.data.storage.disk import DiskFile, DiskTree
from isthmus.data.storage.names import Names, natural
from isthmus.errors import BadData


def filled(folder: Path, *paths: str) -> DiskTree:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(path.encode())
    return DiskTree(folder)


def content(tree: DiskTree, row: int) -> bytes:
    with tree.open(row) as stream:
        return stream.read()


def listed(tree: DiskTree) -> list[str]:
    return tree.names(np.arange(len(tree)))


def test_files_at_any_depth_in_natural_order(tmp_path: Path) -> None:
    wanted = ["a2/x/1.png", "a2/x/2.png", "a2/x/10.png", "a2/y.png", "a10/1.png", "B2/é.png", "b.png", "c/d/e/f/g.png"]
    tree = filled(tmp_path, *sorted(wanted), ".hidden", ".git/a", "__MACOSX/._b.png", "c/Thumbs.db", "c/.DS_Store")
    assert listed(tree) == wanted
    assert [content(tree, row).decode() for row in range(len(tree))] == wanted
    assert tree.size(1) == tree.packed(1) == len("a2/x/2.png")
    assert (tree.file(0).name, tree.file(0).suffix, tree.file(0).path) == (
        "a2/x/1.png",
        ".png",
        tmp_path / "a2/x/1.png",
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2", "10"),
        ("a2b", "a10b"),
        ("a", "a1"),
        ("a/z", "a b/a"),
        ("img9.png", "img10.png"),
        ("007", "8"),
        ("Ab", "ac"),
    ],
)
def test_natural_order(first: str, second: str) -> None:
    assert natural(first) < natural(second)


def test_names_that_are_not_utf8_and_very_many_are_kept(tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    kept = Names([odd, "", "b"], "x")
    assert (len(kept), kept.of(np.array([0, 2, 1]))) == (3, [odd, "b", ""])


def test_too_many_files_are_refused_while_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_FILES", 3)
    with pytest.raises(BadData, match=r"holds more than 3 files"):
        filled(tmp_path, *"abcd")


def test_links_inside_are_followed_to_files_only(tmp_path: Path) -> None:
    filled(tmp_path / "top", "a/1.png")
    (tmp_path / "top/2.png").symlink_to("a/1.png")
    (tmp_path / "top/again").symlink_to("a")
    (tmp_path / "top/a/loop").symlink_to("..")
    (tmp_path / "top/nowhere.png").symlink_to("absent")
    tree = DiskTree(tmp_path / "top")
    assert listed(tree) == ["2.png", "a/1.png"]
    assert content(tree, 0) == b"a/1.png"


@pytest.mark.parametrize("target", ["../secret", "/etc/hostname", "../outside", "a/../../secret"])
def test_links_that_lead_out_are_refused(tmp_path: Path, target: str) -> None:
    filled(tmp_path / "top", "a/1.png")
    filled(tmp_path, "secret", "outside/1.png")
    (tmp_path / "top/a/link.png").symlink_to(target)
    (tmp_path / "top/link.png").symlink_to(target)
    with pytest.raises(BadData, match=r"'link.png' in 'top' is a link that leads out of the folder"):
        DiskTree(tmp_path / "top")


def test_a_file_that_becomes_a_link_later_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    tree = filled(tmp_path / "top", "1.png")
    filled(tmp_path, "secret")
    (tmp_path / "top/1.png").unlink()
    (tmp_path / "top/1.png").symlink_to("../secret")
    with pytest.raises(BadData, match="leads out of the folder"):
        tree.open(0)


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(BadData, match="cannot be read as a folder"):
        DiskTree(tmp_path)


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    filled(tmp_path, "1.png", "2.png")
    os.mkfifo(tmp_path / "0.png")
    tree = DiskTree(tmp_path)
    assert listed(tree) == ["1.png", "2.png"]
    (tmp_path / "2.png").unlink()
    os.mkfifo(tmp_path / "2.png")
    faults: list[Exception] = []

    def open_it() -> None:
        try:
            tree.open(1)
        except BadData as fault:
            faults.append(fault)

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()
    thread.join(5)
    assert [str(fault)[:40] for fault in faults] == [f"'2.png' in {tmp_path.name!r} is not a file any more."[:40]]


def test_absent_folders_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="'absent' cannot be read as a folder"):
        DiskTree(tmp_path / "absent")
    with pytest.raises(BadData, match="'absent' cannot be read as a file"):
        DiskFile(tmp_path / "absent")
