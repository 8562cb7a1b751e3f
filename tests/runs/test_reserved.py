"""Several fits that write at the same time: each has its own folder, or is refused; a killed one locks nothing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from isthmus import Run, fit, load
from isthmus.cli.fit import _claimed
from isthmus.errors import BadRun
from isthmus.files.locks import lock_file, locked

X = np.random.default_rng(4).random((60, 5)).astype(np.float32)
unix = pytest.mark.skipif(os.name == "nt", reason="needs flock")


@unix
def test_one_of_two_holds_a_lock_and_the_next_gets_it_afterwards(tmp_path: Path) -> None:
    place = tmp_path / "new" / "run"
    with locked(place) as first, locked(place) as second:
        assert first
        assert not second
    with locked(place) as third:
        assert third
    # nothing stays
    assert list(tmp_path.iterdir()) == []


@unix
def test_only_one_at_a_time_holds_a_lock_whose_file_comes_and_goes(tmp_path: Path) -> None:
    inside, most, turns = [], [], [0]

    def work() -> None:
        for _ in range(300):
            with locked(tmp_path / "run") as alone:
                if alone:
                    inside.append(1)
                    most.append(len(inside))
                    turns[0] += 1
                    inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert turns[0] > 10


@unix
def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    code = "import sys, time\nfrom pathlib import Path\nfrom isthmus.files.locks import locked\n"
    code += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with locked(tmp_path / "run") as alone:
        assert not alone
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert lock_file(tmp_path / "run").is_file()
    with locked(tmp_path / "run") as alone:
        assert alone


def test_without_locks_a_fit_works_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.files.locks.fcntl", None)
    with locked(tmp_path / "run") as first, locked(tmp_path / "run") as second:
        assert first
        assert second
    assert fit("linear", X, epochs=1, out=tmp_path / "run").folder == tmp_path / "run"


@unix
@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_a_second_fit_of_the_same_folder_is_refused_and_the_first_is_whole(
    options: dict[str, bool], tmp_path: Path
) -> None:
    messages: list[str] = []

    def second(_state: object) -> None:
        with pytest.raises(BadRun) as caught:
            fit("linear", X, epochs=1, seed=2, out=tmp_path / "run", **options)
        messages.append(str(caught.value))

    run: Run = fit("linear", X, epochs=2, seed=1, out=tmp_path / "run", callbacks=[second])
    assert len(messages) == 2
    assert all("is being written by another fit" in message for message in messages)
    assert load(tmp_path / "run").metadata.seed == 1
    np.testing.assert_allclose(load(tmp_path / "run").encode(X), run.encode(X), atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_refused_fit_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nosuch"):
        fit("linear", "nosuch.csv", out=tmp_path / "runs" / "run")
    assert list(tmp_path.iterdir()) == []


def test_folders_are_claimed_by_one_each(tmp_path: Path) -> None:
    usual = tmp_path / "runs" / "vae"
    with _claimed(usual) as first, _claimed(usual) as second:
        (tmp_path / "runs" / "vae-3").mkdir()
        with _claimed(usual) as fourth:
            assert [path.name for path in (first, second, fourth)] == ["vae", "vae-2", "vae-4"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["vae-3"]


def _claim_some(usual: Path, barrier: object, names: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    for _ in range(10):
        with _claimed(usual) as folder:
            folder.mkdir()
            names.put(folder.name)  # type: ignore[attr-defined]


def test_processes_that_claim_at_the_same_time_get_different_folders(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
    barrier, names = context.Barrier(3), context.Queue()
    workers = [context.Process(target=_claim_some, args=(tmp_path / "vae", barrier, names)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = [names.get(timeout=60) for _ in range(30)]
    for worker in workers:
        worker.join()
    assert len(set(found)) == 30
