"""A captured step is the step of the engine: for every recipe, before any compiler is involved."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from isthmus import zoo
from isthmus.models.recipe import Recipe
from isthmus.models.seeding import seeded
from isthmus.training.engine import Engine
from isthmus.training.steps import compiled, plan
from isthmus.training.steps.compiled import CompiledStep

LOOSE = {"deep": 1e-3, "conv_vae": 0.01, "categorical_vae": 0.01, "fsq": 0.01, "vq_vae": 0.5}
"""Recipes whose weights rounding moves apart: Muon orthogonalizes in bfloat16; biases before a batch normalization have
no gradient, but Adam moves them by rounding errors alone; and codewords that start as the same row tie."""
GAMES = {"gan": 5e-3, "vae_gan": 5e-3, "deepsim": 5e-3}
"""Recipes whose losses differ as much after a change of the initial weights by 1e-7: a game between two networks."""
SHAPE = (1, 12, 12)
X = torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(1))
TRAINED = [name for name in zoo.RECIPES if zoo.recipe(name).training.optimizer != "exact"]
UNWRITABLE = {"k_sparse": "__round__"}
"""Recipes whose step cannot be one graph: the number of values that a scheduled k keeps changes from step to step."""


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run captured graphs as they are, operation by operation."""
    monkeypatch.setattr(compiled, "compile_graph", lambda graph, _arguments: graph)
    monkeypatch.setattr(plan, "compiler", lambda: "none is called")


def engine(recipe: Recipe, how: str, **options: object) -> Engine:
    changes = {"training.steps": 9, "training.batch_size": 16, "training.compile": how, "training.keep": "last"}
    changed = recipe.with_options(changes | {f"training.{name}": value for name, value in options.items()})
    with seeded(0):
        objective = changed.build(SHAPE)
        objective.init_from_data(X)
    return Engine(objective, changed.training, X, seed=3)


def trained(recipe: Recipe, how: str, **options: object) -> tuple[Engine, list[float]]:
    made = engine(recipe, how, **options)
    return made, [epoch.train["loss"] for epoch in made.run().history]


def apart(one: Engine, other: Engine) -> float:
    """The difference of two runs' weights and buffers, relative to their size."""
    a, b = (torch.cat([v.double().flatten() for v in made.objective.state_dict().values()]) for made in (one, other))
    return float((a - b).norm() / a.norm())


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", TRAINED)
def test_the_graph_of_every_recipe_takes_the_steps_of_the_engine(name: str) -> None:
    recipe = zoo.recipe(name)
    if name in UNWRITABLE:
        pytest.skip("its step is not one graph")
    (eager, expected), (graph, found) = (trained(recipe, how, precision="32") for how in ("off", "on"))
    assert isinstance(graph.take_step, CompiledStep)
    assert graph.take_step.refusal is None
    # nine steps of float32, in which the two write Adam's update in another order
    assert found == pytest.approx(expected, rel=GAMES.get(name, 2e-5))
    assert apart(eager, graph) < LOOSE.get(name, 0.05 if name in GAMES else 1e-5)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "adamw", "weight_decay": 0.1},
        {"optimizer": "sgd", "momentum": 0.0},
        {"optimizer": "nesterov", "momentum_stage": 2},
        {"optimizer": "muon", "weight_decay": 0.1},
        {"gradient_clip": 0.5},
        {"schedule": "cosine", "warmup": 0.3},
        {"width_scaling": 20},
    ],
    ids=lambda options: ", ".join(map(str, options.values())),
)
def test_the_graph_follows_the_options_of_the_optimizer(options: dict[str, object]) -> None:
    recipe = zoo.recipe("vae")
    plain, _ = trained(recipe, "off", precision="32")
    (eager, expected), (graph, found) = (trained(recipe, how, precision="32", **options) for how in ("off", "on"))
    assert isinstance(graph.take_step, CompiledStep)
    assert graph.take_step.refusal is None
    assert found == pytest.approx(expected, rel=2e-5)
    # Muon orthogonalizes in bfloat16
    assert apart(eager, graph) < (2e-3 if options.get("optimizer") == "muon" else 1e-5)
    assert apart(eager, plain) > 2e-3


def changed(step: Callable[[CompiledStep], None]) -> tuple[Engine, list[float]]:
    made = engine(zoo.recipe("vae"), "on", precision="bf16")
    made.callback = lambda kind, what: step(made.take_step) if (kind, what) == ("step", 4) else None  # type: ignore[arg-type]
    return made, [epoch.train["loss"] for epoch in made.run().history]


@pytest.mark.usefixtures("uncompiled")
def test_weights_that_something_else_has_changed_are_used_in_low_precision_too() -> None:
    def reset(step: CompiledStep) -> None:
        with torch.no_grad():
            for layer in step.eager.objective.modules():
                if isinstance(layer, nn.Linear):
                    layer.weight.zero_()

    _, losses = changed(reset)
    _, undisturbed = changed(lambda _step: None)
    assert losses[1] != pytest.approx(undisturbed[1], rel=1e-3)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", UNWRITABLE)
def test_a_recipe_whose_step_is_not_one_graph_is_trained_without(name: str) -> None:
    eager, _ = trained(zoo.recipe(name), "off", precision="32")
    with pytest.warns(UserWarning, match=f"The training step is not compiled, because .*{UNWRITABLE[name]}"):
        graph, _ = trained(zoo.recipe(name), "on", precision="32")
    assert apart(eager, graph) == 0


class Reads(nn.Module):
    """An activation that depends on the value of a tensor in Python."""

    def forward(self, h: Tensor) -> Tensor:
        return h.relu() if bool(h.sum() > 0) else h.tanh()


@pytest.mark.usefixtures("uncompiled")
def test_a_part_that_reads_values_is_trained_without_compilation_and_gives_the_same_bits() -> None:
    results = []
    for how in ("off", "on"):
        made = engine(zoo.recipe("vae"), how, precision="32")
        made.objective.model.decoder[1] = Reads()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            made.run()
        results.append(made)
    assert apart(*results) == 0
    (warning,) = told
    assert "because it is not one graph" in str(warning.message)


def test_a_graph_that_computes_something_else_is_refused_and_the_run_goes_on_as_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(graph: nn.Module, _arguments: object) -> Callable[..., object]:
        def run(*given: Tensor) -> object:
            answer = graph(*given)
            given[0].data[0] = torch.nan
            return answer

        return run

    monkeypatch.setattr(compiled, "compile_graph", wrong)
    monkeypatch.setattr(plan, "compiler", lambda: "none is called")
    eager, _ = trained(zoo.recipe("vae"), "off", precision="32")
    with pytest.warns(UserWarning, match=r"compiled, it changes model\.encoder\.1\.weight differently \(by nan\)"):
        graph, _ = trained(zoo.recipe("vae"), "on", precision="32")
    assert apart(eager, graph) == 0
