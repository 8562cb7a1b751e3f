"""A step that is really compiled: near the uncompiled one, the same bits twice and after an interruption."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus import fit
from isthmus.runs.run import Run
from isthmus.training.engine import Engine
from isthmus.training.steps import compiled
from isthmus.training.steps.compiled import CompiledStep
from isthmus.training.steps.compiler import compiler
from isthmus.training.steps.refusal import CannotCapture

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C++ compiler")
X = np.random.default_rng(0).random((70, 12), np.float32)
OPTIONS = {
    "latent.size": 3,
    "net.widths": [24],
    # 63 examples for training: batches of 16, and one of 15 that is not compiled
    "training.batch_size": 16,
    "training.epochs": 4,
    "training.keep": "last",
}


def trained(how: str, out: Path | None = None, **more: Any) -> Run:
    options = OPTIONS | {"training.compile": how} | more.pop("options", {})
    return fit("vae", X, options=options, out=out, progress=False, seed=1, **more)


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.objective.state_dict()


def apart(one: Run, other: Run) -> float:
    a, b = (torch.cat([v.flatten() for v in weights(run).values()]) for run in (one, other))
    return float((a - b).norm() / a.norm())


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[CompiledStep]:
    """The compiled steps that runs make."""
    made: list[CompiledStep] = []
    init = CompiledStep.__init__

    def noted(self: CompiledStep, *given: Any) -> None:
        init(self, *given)
        made.append(self)

    monkeypatch.setattr(CompiledStep, "__init__", noted)
    return made


@pytest.mark.parametrize(("precision", "tolerance"), [("32", 1e-5), ("bf16", 2e-2)])
def test_a_compiled_run_is_near_an_uncompiled_one_and_has_the_same_bits_twice(
    steps: list[CompiledStep], precision: str, tolerance: float
) -> None:
    options = {"training.precision": precision}
    one, two = (trained("on", options=options) for _ in range(2))
    assert [step.refusal for step in steps] == [None, None]
    assert all(weights(one)[name].equal(value) for name, value in weights(two).items())
    plain = trained("off", options=options)
    assert 0 < apart(one, plain) < tolerance
    losses = [[epoch["train"]["loss"] for epoch in run.history] for run in (one, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-2 if precision == "bf16" else 1e-5)


@pytest.mark.slow
def test_a_network_with_several_resolutions_is_compiled_for_constant_shapes(steps: list[CompiledStep]) -> None:
    images = np.random.default_rng(0).random((20, 8, 8), np.float32)
    options = {
        "net.channels": [4, 4],
        "net.residual_blocks": 1,
        "training.steps": 4,
        "training.batch_size": 4,
        "training.precision": "32",
    }
    one, plain = (
        fit("denoiser", images, options=options | {"training.compile": how}, progress=False, seed=1)
        for how in ("on", "off")
    )
    assert [step.refusal for step in steps] == [None]
    assert apart(one, plain) < 1e-5


def test_an_interrupted_compiled_run_resumes_to_the_same_bits(
    steps: list[CompiledStep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained("on")
    step = Engine._step

    def interrupted(self: Engine, *given: Any) -> Any:
        if self.step == 6 and not self.resumed_at:
            self._stop.asked = True
        return step(self, *given)

    monkeypatch.setattr(Engine, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trained("on", tmp_path / "run")
    resumed = trained("on", tmp_path / "run", resume=True)
    assert resumed.metadata.outcome["resumed_at"] == [7]
    assert [made.refusal for made in steps] == [None, None, None]
    assert all(weights(whole)[name].equal(value) for name, value in weights(resumed).items())


def test_a_compiler_that_fails_is_told_in_one_sentence_and_the_run_is_trained_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_given: object) -> None:
        raise CannotCapture("the compiler failed (CppCompileError: no headers)")

    monkeypatch.setattr(compiled, "compile_graph", fails)
    with pytest.warns(UserWarning, match=r"training step is not compiled, because the compiler failed .*no headers"):
        run = trained("on")
    assert apart(run, trained("off")) == 0
    assert run.metadata.outcome["compiled"] is False


def test_a_run_states_whether_its_step_was_compiled() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert trained("on").metadata.outcome["compiled"] is True
        assert trained("auto").metadata.outcome["compiled"] is False
