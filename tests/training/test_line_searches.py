"""Line searches: conjugate gradients end in as many searches as there are dimensions; a step never goes uphill."""

import pytest
import torch
from torch import Tensor, nn

from isthmus import zoo
from isthmus.errors import IsthmusError
from isthmus.options import TrainingOptions
from isthmus.runs.fit import fit
from isthmus.training.engine import Engine
from isthmus.training.line_searches import MAX_EVALUATIONS, LineSearches


def bowl(dimensions: int) -> tuple[nn.Parameter, Tensor]:
    """A point, and the curvatures of a quadratic bowl around 0."""
    return nn.Parameter(torch.ones(dimensions, dtype=torch.float64)), torch.logspace(0, 2, dimensions)


def step(x: nn.Parameter, curvature: Tensor, method: str, searches: int) -> float:
    def closure() -> float:
        x.grad = None
        loss = (0.5 * curvature * x * x).sum()
        loss.backward()
        return loss.item()

    LineSearches([x], method, searches).step(closure)
    return closure()


@pytest.mark.parametrize("dimensions", [2, 5])
def test_conjugate_gradients_need_as_many_searches_as_dimensions(dimensions: int) -> None:
    x, curvature = bowl(dimensions)
    # searches are not exact, so a fraction of a percent is left where exact ones would leave nothing
    before = 0.5 * curvature.sum().item()
    assert step(x, curvature, "cg", dimensions + 2) < 1e-3 * before


@pytest.mark.parametrize("method", ["cg", "lbfgs"])
def test_a_step_through_infinity_comes_back(method: str) -> None:
    x = nn.Parameter(torch.tensor([0.1], dtype=torch.float64))

    def closure() -> float:
        x.grad = None
        loss = (x - 2 * (1 - x).log()).sum() if x.item() < 1 else x.sum() * torch.inf
        loss.backward()
        return loss.item()

    before = closure()
    LineSearches([x], method, 3).step(closure)
    assert torch.isfinite(x).all()
    assert closure() < before


@pytest.mark.parametrize("method", ["cg", "lbfgs"])
@pytest.mark.parametrize("name", ["deep", "denoising", "vae", "vq_vae", "batch_top_k"])
def test_the_loss_of_a_batch_falls_in_every_step_though_parts_draw(method: str, name: str) -> None:
    options = TrainingOptions.model_validate({"optimizer": method, "batch_size": 64, "steps": 4, "line_searches": 3})
    shape = (1, 8, 8) if name == "vq_vae" else (12,)
    objective = zoo.recipe(name).with_options({"latent.size": 16}).build(shape)
    engine = Engine(objective, options, torch.rand(64, *shape), seed=1)
    seen: list[float] = []
    step_of_engine = engine.optimizers[0].step

    def monitored(closure) -> None:  # type: ignore[no-untyped-def]
        before = closure()
        assert closure() == before, "the same weights must give the same loss"
        step_of_engine(closure)
        seen.append(before - closure())

    engine.optimizers[0].step = monitored  # type: ignore[method-assign]
    engine.run()
    assert len(seen) == 4
    assert min(seen) > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deep", {"training.precision": "bf16"}),
        ("deep", {"training.gradient_clip": 1.0}),
        ("deep", {"training.weight_decay": 0.1}),
        ("wae_gan", {}),
    ],
)
def test_what_line_searches_cannot_do_is_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(IsthmusError, match="uses line searches"):
        fit(name, torch.rand(40, 12), options={"training.optimizer": "cg", "training.steps": 1, **options})


def test_a_search_that_gets_no_further_ends() -> None:
    x = nn.Parameter(torch.ones(3))
    evaluations = []

    def closure() -> float:
        # a loss without a slope that would lead anywhere
        x.grad = torch.ones(3)
        evaluations.append(1)
        return 1.0 + 1e-3 * len(evaluations)

    LineSearches([x], "cg", 2).step(closure)
    assert len(evaluations) <= 2 * MAX_EVALUATIONS
    assert torch.equal(x, torch.ones(3)), "nothing better was found"


@pytest.mark.slow
def test_line_searches_run_in_full_precision() -> None:
    run = fit("linear", torch.rand(40, 12), options={"training.optimizer": "cg", "training.precision": "auto"})
    assert run.metadata.outcome["precision"] == "32"
