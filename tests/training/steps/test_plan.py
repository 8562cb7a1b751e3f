"""Whether a run compiles its step: from its plan, and one sentence where there is no compiler."""

import warnings

import pytest
from torch import nn

from isthmus import zoo
from isthmus.models.objective import Objective
from isthmus.options import TrainingOptions
from isthmus.training.steps import plan
from isthmus.training.steps.plan import compiles

SHAPE = (1, 28, 28)
LONG = 20_000


@pytest.fixture(autouse=True)
def with_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "compiler", lambda: "g++")


def made(name: str = "vae") -> Objective:
    return zoo.recipe(name).build(SHAPE)


def decided(objective: Objective, steps: int, *, device: str = "cpu", processes: int = 1, **options: object) -> bool:
    training = TrainingOptions.model_validate(options)
    return compiles(objective, training, steps, device, processes)


def test_a_step_is_compiled_where_the_run_saves_more_than_the_wait() -> None:
    weights = sum(p.numel() for p in made().parameters())
    saved = plan.SAVED + plan.SAVED_PER_MILLION * weights / 1e6
    enough = int(plan.WAIT / saved) + 1
    assert not decided(made(), enough - 2)
    assert decided(made(), enough)


def test_larger_networks_need_fewer_steps() -> None:
    small = zoo.recipe("simple").build((8,))
    steps = int(plan.WAIT / (plan.SAVED + plan.SAVED_PER_MILLION)) + 1
    assert decided(zoo.recipe("overcomplete").build(SHAPE), steps)
    assert not decided(small, steps)


def test_convolutions_are_compiled_in_long_runs() -> None:
    enough = int(plan.WAIT_OF_CONVOLUTIONS / plan.SAVED_BY_CONVOLUTIONS) + 1
    assert not decided(made("conv_vae"), enough - 2)
    assert decided(made("conv_vae"), enough)


def test_pooling_and_upsampling_are_compiled_on_request_only() -> None:
    assert not decided(made("conv"), LONG)
    assert decided(made("conv"), 1, compile="on")
    upsampled = zoo.recipe("transposed_conv").with_options({"net.upsampling": "upsample"}).build(SHAPE)
    assert not decided(upsampled, LONG)


def test_parts_from_elsewhere_are_compiled_on_request_only() -> None:
    objective = made()
    objective.model.decoder.append(type("Mine", (nn.Identity,), {"__module__": "mine"})())
    assert not decided(objective, LONG)
    assert decided(objective, LONG, compile="on")


@pytest.mark.parametrize("how", ["auto", "on"])
def test_what_has_no_compiled_step_is_not_compiled(how: str) -> None:
    for options in ({"optimizer": "lbfgs"}, {"optimizer": "exact"}, {"compile": "off"}):
        assert not decided(made(), LONG, **{"compile": how, **options})
    assert not decided(made(), LONG, compile=how, device="cuda")
    assert not decided(made(), LONG, compile=how, processes=2)


def test_a_missing_compiler_is_told_in_one_sentence_where_the_step_would_be_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "compiler", lambda: None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not decided(made(), 10)
    with pytest.warns(UserWarning, match=r"no C\+\+ compiler.*Install g\+\+"):
        assert not decided(made(), LONG)


def test_the_compiler_of_the_environment_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from isthmus.training.steps import compiler

    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    assert compiler.compiler() is None
    monkeypatch.setenv("CXX", "/bin/sh")
    assert compiler.compiler() == "/bin/sh"


def test_nothing_that_compiles_is_imported_before_it_is_needed() -> None:
    import subprocess
    import sys

    code = "import sys, isthmus.training.engine; print([m for m in sys.modules if m.startswith('torch._inductor.')])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
