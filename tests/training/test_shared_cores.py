"""Waiting compute threads sleep while other processes need the cores, spin otherwise, and no result depends on it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from isthmus import fit
from isthmus.training import shared_cores
from isthmus.training.shared_cores import IdleTeam, SharedCores, ready_threads, yielding_cores

X = torch.rand(60, 5, generator=torch.Generator().manual_seed(2)).numpy()


class FakeTeam:
    alive = 0

    def __init__(self, size: int) -> None:
        self.size = size
        FakeTeam.alive += 1

    def disband(self) -> None:
        FakeTeam.alive -= 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_cores, "IdleTeam", FakeTeam)
    monkeypatch.setattr(FakeTeam, "alive", 0)


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("fake")
def test_a_team_is_there_while_more_threads_are_ready_than_there_are_cores() -> None:
    shared = SharedCores(2)
    for _ in range(50):
        shared.see(2)
    assert FakeTeam.alive == 0
    # a moment is no load, whatever number of threads it makes ready: a program that starts
    shared.see(40)
    assert FakeTeam.alive == 0
    for _ in range(10):
        shared.see(4)
    assert FakeTeam.alive == 1
    assert shared.team is not None
    assert shared.team.size > 2  # with the first team more threads than cores
    shared.see(2)
    assert FakeTeam.alive == 1
    for _ in range(20):
        shared.see(2)
    assert FakeTeam.alive == 0
    for _ in range(10):
        shared.see(9)
    shared.end()
    assert FakeTeam.alive == 0


@pytest.mark.usefixtures("two_threads")
def test_the_load_is_watched_in_the_block_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    load = tmp_path / "loadavg"
    load.write_text("9.00 9.00 9.00 500/900 1\n")
    monkeypatch.setattr(shared_cores, "LOAD", load)
    monkeypatch.setattr(shared_cores, "PERIOD", 0.001)
    raised = threading.Event()

    class Team(IdleTeam):
        def __init__(self, size: int) -> None:
            super().__init__(size)
            raised.set()

    monkeypatch.setattr(shared_cores, "IdleTeam", Team)
    with yielding_cores():
        assert raised.wait(10)
    assert not [t for t in threading.enumerate() if t.name.startswith("isthmus-")]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("content", ["", "1 2 3", "1 2 3 x/y 5"])
def test_where_the_load_is_not_known_nothing_is_done(
    content: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shared_cores, "LOAD", tmp_path / "none")
    assert ready_threads() is None
    (tmp_path / "none").write_text(content)
    assert ready_threads() is None
    with yielding_cores():
        assert not [t for t in threading.enumerate() if t.name.startswith("isthmus-")]


@pytest.mark.usefixtures("two_threads")
def test_the_bits_do_not_depend_on_the_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(ready: int) -> dict[str, torch.Tensor]:
        monkeypatch.setattr(shared_cores, "ready_threads", lambda: ready)
        monkeypatch.setattr(shared_cores, "PERIOD", 0.001)
        options = {"net.widths": [64], "latent.size": 2, "training.batch_size": 10}
        return fit("vae", X, epochs=5, options=options).model.state_dict()

    quiet, busy = weights(0), weights(500)
    assert all(torch.equal(value, busy[name]) for name, value in quiet.items())
