"""A run that was stopped goes on to the very bits that it would have reached."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus import fit, zoo
from isthmus.errors import BadData, BadRun
from isthmus.runs.run import Run
from isthmus.training import engine, signals
from isthmus.training.checkpointing import files
from isthmus.training.checkpointing.files import CheckpointStore
from isthmus.training.engine import Engine

# a closed form is one step, with nothing to stop between
RECIPES = sorted(name for name in zoo.RECIPES if zoo.recipe(name).training.optimizer != "exact")
GREY = np.random.default_rng(3).random((44, 8, 8)).astype(np.float32)


class Killed(BaseException):
    """Ends a run as a power cut would: nothing of ours catches it."""


def small(name: str) -> dict[str, object]:
    """Options that make a recipe tiny and let it write a checkpoint after every step."""
    return {"training.batch_size": 12, "training.checkpoint_interval": 0, "training.epochs": 3, "training.steps": None}


def same(one: Run, other: Run) -> None:
    """Weights, buffers and every figure but the time are equal to the bit."""
    first, second = one.objective.state_dict(), other.objective.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    timeless = [[{k: v for k, v in row.items() if "second" not in k} for row in run.history] for run in (one, other)]
    assert timeless[0] == timeless[1]
    assert one.metadata.outcome["kept_epoch"] == other.metadata.outcome["kept_epoch"]


def in_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Killed in the middle of the step after ``step``: gradients are there, weights not yet moved."""
    before = Engine._step

    def struck(self: Engine, x: torch.Tensor) -> Any:
        found = before(self, x)
        if self.at.step == step:
            raise Killed
        return found

    monkeypatch.setattr(Engine, "_step", struck)


def between_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when the second epoch has been measured, before anybody took note of it."""
    monkeypatch.setattr(engine.BestWeights, "see", raising)


def in_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while the validation part is measured."""
    monkeypatch.setattr(engine, "losses", raising)


def in_writing_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed with half the tensors of a checkpoint written."""

    def torn(_tensors: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(files, "save_file", torn)


def in_writing_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when a checkpoint's tensors are there and its record is not."""
    monkeypatch.setattr(files, "write_text", raising)


def raising(*_arguments: object, **_more: object) -> None:
    raise Killed


PHASES: list[Callable[[pytest.MonkeyPatch], None]] = [
    lambda patch: in_step(patch, 2),
    in_validation,
    in_writing_tensors,
    lambda patch: in_step(patch, 5),
    between_epochs,
    in_writing_the_record,
]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_ends_in_the_same_bits_however_often_it_was_killed(name: str, tmp_path: Path) -> None:
    def run(folder: str, *, resume: bool = False) -> Run:
        return fit(name, GREY, options=small(name), out=tmp_path / folder, resume=resume)

    whole = run("whole")
    for number, phase in enumerate(PHASES):
        with pytest.MonkeyPatch.context() as patch:
            phase(patch)
            with pytest.raises(Killed):
                run("killed", resume=number > 0)
        assert not (tmp_path / "killed").exists()
    resumed = run("killed", resume=True)
    same(whole, resumed)
    rows = (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2, 3]
    assert not (tmp_path / "killed.part").exists()
    assert resumed.metadata.outcome["finished"] is True


def started(tmp_path: Path, **options: object) -> None:
    """A run of the VAE that was killed in its second epoch, with a checkpoint after every step."""
    with pytest.MonkeyPatch.context() as patch:
        in_step(patch, 5)
        with pytest.raises(Killed):
            fit("vae", GREY, options=small("vae") | options, out=tmp_path / "run")


def resumed(tmp_path: Path, **more: Any) -> Run:
    changes = more.pop("options", {})
    return fit("vae", more.pop("data", GREY), options=small("vae") | changes, out=tmp_path / "run", resume=True, **more)


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """Ctrl-C is heard, also where a shell started the tests in the background and has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def whole() -> Run:
    """The VAE run that nothing stopped."""
    return fit("vae", GREY, options=small("vae"))


def test_only_the_last_two_moments_and_the_best_weights_are_kept(tmp_path: Path) -> None:
    started(tmp_path)
    names = sorted(path.name for path in (tmp_path / "run.part" / "checkpoints").iterdir())
    steps = [f"step-00000000{n}-00001.{kind}" for n in (4, 5) for kind in ("json", "safetensors")]
    assert names == ["best-00001.safetensors", *steps]


@pytest.mark.parametrize("kind", ["json", "safetensors"])
@pytest.mark.parametrize("fault", ["torn", "altered", "gone"])
def test_a_spoiled_checkpoint_is_found_out_and_the_one_before_it_used(
    kind: str, fault: str, tmp_path: Path, whole: Run
) -> None:
    started(tmp_path)
    path = tmp_path / "run.part" / "checkpoints" / f"step-000000005-00001.{kind}"
    content = path.read_bytes()
    middle = len(content) // 2
    if fault == "gone":
        path.unlink()
    else:
        path.write_bytes(
            content[:middle] + (b"" if fault == "torn" else bytes([content[middle] ^ 1]) + content[middle + 1 :])
        )
    if fault == "gone" and kind == "json":
        same(whole, resumed(tmp_path))
        return
    with pytest.warns(UserWarning, match=r"step 5 is damaged \(.+\)\. Using the one of step 4 instead\."):
        same(whole, resumed(tmp_path))


def test_spoiled_best_weights_spoil_the_checkpoints_that_need_them(tmp_path: Path) -> None:
    started(tmp_path)
    (tmp_path / "run.part" / "checkpoints" / "best-00001.safetensors").write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(BadRun, match=r"All checkpoints in .* are damaged"):
        resumed(tmp_path)


OTHERWISE: list[tuple[dict[str, Any], str]] = [
    ({"options": {"latent.size": 3}}, r"started with latent.size = 16, but this call has 3"),
    ({"options": {"training.learning_rate": 0.1}}, r"started with training.learning_rate"),
    ({"options": {"training.epochs": 4}}, r"training.epochs = 3, but this call has 4"),
    ({"seed": 1}, r"started with seed = 0"),
    ({"data": GREY[:40]}, r"started with counts"),
    ({"data": 1 - GREY}, r"started with other values of the data, but this call has these"),
]


@pytest.mark.parametrize("case", range(len(OTHERWISE)))
def test_another_command_cannot_go_on_with_a_run(case: int, tmp_path: Path, whole: Run) -> None:
    change, message = OTHERWISE[case]
    started(tmp_path)
    with pytest.raises(BadRun, match=message):
        resumed(tmp_path, **change)
    same(whole, resumed(tmp_path))


def test_an_unfinished_run_is_not_lost_to_a_second_command(tmp_path: Path) -> None:
    started(tmp_path)
    with pytest.raises(BadRun, match=r"unfinished run\. Resume it with resume=True, replace it with overwrite=True"):
        fit("vae", GREY, options=small("vae"), out=tmp_path / "run")
    fit("linear", GREY, epochs=1, out=tmp_path / "run", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_resume_begins_what_was_not_begun_and_leaves_what_is_finished(tmp_path: Path, whole: Run) -> None:
    same(whole, resumed(tmp_path))
    with pytest.warns(UserWarning, match="is already finished, so it is loaded"):
        again = resumed(tmp_path)
    assert again.history == json.loads(json.dumps(again.history))
    assert torch.equal(again.model.encode(torch.ones(1, 64)), whole.model.encode(torch.ones(1, 64)))
    with pytest.raises(BadRun, match=r"started with latent\.size"):
        resumed(tmp_path, options={"latent.size": 3})


def test_another_torch_is_refused_and_accepted_elsewhere(tmp_path: Path, whole: Run) -> None:
    started(tmp_path)
    path = tmp_path / "run.part" / "plan.json"
    plan = json.loads(path.read_text())
    assert plan["settings"]["torch"] == torch.__version__
    plan["settings"]["torch"] = "1.0"
    path.write_text(json.dumps(plan))
    with pytest.raises(BadRun, match=r'another version of torch \("1\.0"; here .*pass allow_different_results=True'):
        resumed(tmp_path)
    same(whole, resumed(tmp_path, allow_different_results=True))


def test_threads_and_precision_are_those_the_run_was_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started(tmp_path)
    path = tmp_path / "run.part" / "plan.json"
    plan = json.loads(path.read_text())
    other = {"bf16": "32", "32": "bf16"}[plan["settings"]["precision"]]
    plan["settings"] |= {"threads": 2, "precision": other}
    path.write_text(json.dumps(plan))
    seen: set[tuple[int, object]] = set()
    step = Engine._step

    def monitored(self: Engine, x: torch.Tensor) -> Any:
        seen.add((torch.get_num_threads(), self.objective.model.autocast))
        return step(self, x)

    monkeypatch.setattr(Engine, "_step", monitored)
    resumed(tmp_path)
    assert seen == {(2, torch.bfloat16 if other == "bf16" else None)}
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("phase", ["step", "validation", "first epoch"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_request_to_stop_writes_a_checkpoint_of_that_moment_and_says_how_to_go_on(
    phase: str, number: int, tmp_path: Path, whole: Run
) -> None:
    options = small("vae") | {"training.checkpoint_interval": 1000}
    with pytest.MonkeyPatch.context() as patch:
        if phase == "validation":
            losses = engine.losses

            def interrupted(*arguments: Any, **more: Any) -> Any:
                os.kill(os.getpid(), number)
                return losses(*arguments, **more)

            patch.setattr(engine, "losses", interrupted)
        else:
            step = Engine._step

            def stopped(self: Engine, x: torch.Tensor) -> Any:
                if self.at.step == (4 if phase == "step" else 1):
                    os.kill(os.getpid(), number)
                return step(self, x)

            patch.setattr(Engine, "_step", stopped)
        kept = "The best weights so far are in '.*run'. " if phase == "step" else ""
        with pytest.raises(KeyboardInterrupt, match=f"{kept}Resume with the same call and resume=True"):
            fit("vae", GREY, options=options, out=tmp_path / "run")
    place = "run" if phase == "step" else "run.part"
    assert [path.name for path in tmp_path.iterdir()] == [place]
    assert signal.getsignal(number) is (signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    same(whole, fit("vae", GREY, options=options, out=tmp_path / "run", resume=True))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_second_request_ends_the_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "ONE_REQUEST", 0.0)
    with signals.interruptible() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_full_disk_costs_a_warning_and_no_work(tmp_path: Path, whole: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:

        def full(_tensors: object, path: Path) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(files, "save_file", full)
        with pytest.warns(UserWarning, match=r"could not be written: .*No space left on device.*Training continues"):
            run = fit("vae", GREY, options=small("vae"), out=tmp_path / "run")
    same(whole, run)
    assert not any((tmp_path / "run" / "checkpoints").iterdir())


def test_a_run_that_cannot_be_saved_at_its_end_can_go_on(tmp_path: Path, whole: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save", raising)
        with pytest.raises(Killed):
            fit("vae", GREY, options=small("vae"), out=tmp_path / "run")
    same(whole, resumed(tmp_path))


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadRun, match=r"cannot be created: .*Use another folder"):
        fit("vae", GREY, epochs=1, out=tmp_path / "file" / "run")


def test_a_checkpoint_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    said: list[str] = []
    kept = CheckpointStore(tmp_path, 0, said.append)
    kept.write((3, 1), {"a": torch.ones(2)}, {"x": 1}, (1, {"b": torch.ones(1)}))
    path = tmp_path / "step-000000003-00001.json"
    content = json.loads(path.read_text())
    for name in ("../best-00001.safetensors", "/etc/passwd", "best-00001.safetensors\n"):
        content["files"]["best"]["name"] = name
        del content["sha256"]
        content["sha256"] = files._digest(content)
        path.write_text(json.dumps(content))
        with pytest.raises(BadRun):
            kept.read()
        assert "it refers to the unexpected file" in said[-1]


def test_an_interrupted_run_stays_where_it_is_when_it_is_not_gone_on_with(tmp_path: Path, whole: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        step = Engine._step

        def stopped(self: Engine, x: torch.Tensor) -> Any:
            if self.at.step == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return step(self, x)

        patch.setattr(Engine, "_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit("vae", GREY, options=small("vae"), out=tmp_path / "run")
    with pytest.raises(BadRun, match="started with seed = 0"):
        resumed(tmp_path, seed=1)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    same(whole, resumed(tmp_path))


def test_a_file_that_vanished_stops_a_run_until_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "gray.npy"
    np.save(path, GREY)

    def run(folder: str, *, resume: bool = False) -> Run:
        return fit("vae", path, options=small("vae"), out=tmp_path / folder, resume=resume)

    with pytest.MonkeyPatch.context() as patch:
        in_step(patch, 5)
        with pytest.raises(Killed):
            run("killed")
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(BadData, match=r"There is no file or folder .*gray\.npy"):
        run("killed", resume=True)
    path.write_bytes(content)
    same(run("whole"), run("killed", resume=True))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB: room for half a checkpoint."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_costs_warnings_and_one_sentence(tiny_disk: Path) -> None:
    with (
        pytest.warns(UserWarning, match=r"could not be written: .*No space left on device.*Training continues"),
        pytest.raises(BadRun, match=r"weights cannot be written: .*No space left"),
    ):
        fit("vae", GREY, options=small("vae"), out=tiny_disk / "run")
    assert not [path for path in tiny_disk.rglob("*") if path.name.startswith(".")]
