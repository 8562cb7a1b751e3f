"""Callbacks see every step and epoch with named losses, and may stop a run."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from isthmus import Callback, LivePlot, fit, load
from isthmus.errors import BadOption
from isthmus.training.callbacks import TrainingState

X = torch.rand(60, 5, generator=torch.Generator().manual_seed(2)).numpy()
OPTIONS = {"net.widths": [8], "latent.size": 2, "training.batch_size": 10}
STEPS = 5  # 49 of the 60 rows are trained on


class Recorder(Callback):
    def __init__(self) -> None:
        self.steps: list[tuple[int, int, dict[str, float]]] = []
        self.epochs: list[tuple[int, int, dict[str, float], dict[str, float] | None]] = []

    def on_step_end(self, state: TrainingState) -> None:
        self.steps.append((state.epoch, state.step, state.losses))

    def on_epoch_end(self, state: TrainingState) -> None:
        self.epochs.append((state.epoch, state.step, state.losses, state.valid_losses))


def test_a_callback_sees_every_step_and_epoch_with_the_named_losses() -> None:
    seen = Recorder()
    run = fit("vae", X, epochs=3, options=OPTIONS, callbacks=[seen])
    assert [(epoch, step) for epoch, step, _ in seen.steps] == [(1 + n // STEPS, n + 1) for n in range(3 * STEPS)]
    assert [(epoch, step) for epoch, step, *_ in seen.epochs] == [(n, n * STEPS) for n in (1, 2, 3)]
    for (_, _, losses, valid), row in zip(seen.epochs, run.history, strict=True):
        assert losses == row["train"]
        assert valid == row["valid"]
        assert {"loss", "reconstruction", "kl"} == set(losses)
    # after the last step of an epoch the mean over its examples so far is that of the epoch
    assert seen.steps[STEPS - 1][2] == seen.epochs[0][2]
    assert seen.steps[0][2] != seen.epochs[0][2]


def test_callbacks_do_not_change_the_run() -> None:
    without = fit("vae", X, epochs=2, options=OPTIONS)
    watched = fit("vae", X, epochs=2, options=OPTIONS, callbacks=[Recorder(), lambda state: state.losses])
    for name, value in without.model.state_dict().items():
        assert torch.equal(value, watched.model.state_dict()[name])


def test_a_function_is_called_after_every_epoch() -> None:
    seen: list[tuple[int, int, int, int]] = []
    fit(
        "vae",
        X,
        epochs=2,
        options=OPTIONS,
        callbacks=[lambda s: seen.append((s.epoch, s.epochs, s.step, s.steps))],
    )
    assert seen == [(1, 2, 5, 10), (2, 2, 10, 10)]


def test_a_callback_may_stop_the_run_after_an_epoch(tmp_path: Path) -> None:
    def stop(state: TrainingState) -> None:
        if state.epoch == 2:
            state.stop()

    run = fit("vae", X, epochs=5, options=OPTIONS, callbacks=[stop], out=tmp_path / "run")
    assert len(run.history) == 2
    assert run.metadata.outcome["stopped"] == "early, as a callback stopped it"
    assert run.metadata.outcome["finished"] is True
    assert len(load(tmp_path / "run").history) == 2


def test_a_callback_may_stop_the_run_after_a_step() -> None:
    class Stop(Callback):
        def on_step_end(self, state: TrainingState) -> None:
            if state.step == 7:
                state.stop()

    run = fit("vae", X, epochs=5, options=OPTIONS, callbacks=[Stop()])
    assert [row["step"] for row in run.history] == [5, 7]
    assert np.isfinite(run.encode(X)).all()


def test_a_callback_can_use_the_model() -> None:
    codes: list[np.ndarray] = []
    options = {**OPTIONS, "training.keep": "last"}
    run = fit("vae", X, epochs=3, options=options, callbacks=[lambda s: codes.append(s.model.encode(X))])
    np.testing.assert_array_equal(codes[-1], run.model.encode(X))
    assert not np.array_equal(codes[0], codes[1])
    # encoding between epochs changes nothing
    without = fit("vae", X, epochs=3, options=options)
    np.testing.assert_array_equal(without.model.encode(X), codes[-1])


def test_an_error_in_a_callback_is_not_hidden(tmp_path: Path) -> None:
    def fail(state: TrainingState) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match=r"^mine$"):
        fit("vae", X, epochs=2, options=OPTIONS, callbacks=[fail], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("wrong", [3, LivePlot, "curves"])
def test_what_cannot_be_called_is_no_callback(wrong: object) -> None:
    with pytest.raises(BadOption, match=r"A callback must be a function or an isthmus\.Callback object"):
        fit("vae", X, epochs=1, options=OPTIONS, callbacks=[wrong])  # type: ignore[list-item]


def test_the_live_plot_is_drawn_after_every_epoch(tmp_path: Path) -> None:
    pictures: list[bytes] = []
    path = tmp_path / "curves.png"
    callbacks = [LivePlot(path), lambda _state: pictures.append(path.read_bytes())]
    fit("vae", X, epochs=3, options=OPTIONS, callbacks=callbacks)
    assert len(set(pictures)) == 3
    with Image.open(path) as picture:
        assert picture.size[0] > 300


def test_a_live_plot_outside_of_a_notebook_needs_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "IPython.display", None)
    with pytest.raises(BadOption, match=r"LivePlot needs a notebook, or a file to write\. Pass path='curves\.png'\."):
        fit("vae", X, epochs=1, options=OPTIONS, callbacks=[LivePlot()])
