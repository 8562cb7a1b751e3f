"""Every latent with every penalty: the join trains, or is refused in a sentence that names the way out."""

import re

import pytest
import torch
from torch import Tensor

from isthmus.errors import IncompatibleParts
from isthmus.models.objective import Objective
from isthmus.models.recipe import PenaltyPart, Recipe
from isthmus.parts.fidelities import FIDELITIES
from isthmus.parts.latents import LATENTS
from isthmus.parts.nets import comparator, critic, data_critic
from isthmus.parts.penalties import PENALTIES
from isthmus.parts.priors import PRIORS, StandardNormal

STEPS, SHAPE = 50, (1, 6, 6)
LATENT_OPTIONS: dict[str, dict[str, object]] = {
    "categorical": {"latent.classes": 2},
    "top_k": {"latent.k": 2, "latent.dead_after": 5},
    "batch_top_k": {"latent.k": 2},
    "k_sparse": {"latent.k": 2},
    "quantized": {"latent.codebook_size": 8, "latent.codebook_dim": 2, "latent.update": "gradient"},
    "deterministic": {"latent.activation": "sigmoid"},
}
"""What makes a latent at home in a code of four values."""


def chosen(latent: str, changes: dict[str, object]) -> Recipe:
    base = Recipe().with_options(
        {"net.widths": [12], "net.activation": "tanh", "latent.kind": latent, "latent.size": 4}
    )
    options = {k: v for k, v in LATENT_OPTIONS.get(latent, {}).items() if k.split(".")[1] in base.to_dict()["latent"]}
    prior = {"prior.kind": "uniform"} if latent == "categorical" else {}
    return base.with_options({**options, **prior, **changes})


def examples() -> Tensor:
    """Forty examples of three factors, so that there is something to learn."""
    torch.manual_seed(0)
    return torch.sigmoid(torch.randn(40, 3) @ torch.randn(3, 36)).reshape(40, *SHAPE)


def train(objective: Objective, x: Tensor) -> tuple[set[str], list[float]]:
    """Train every player for some steps; names of the parameters that got a gradient, and the losses."""
    objective.init_from_data(x)
    objective.train()
    members = [p for player in objective.players().values() for p in player]
    optimizer = torch.optim.Adam(members, lr=3e-3)
    moved: set[str] = set()
    losses = []
    for step in range(STEPS):
        total, _, critics = objective(x, step=step, total=STEPS, population=len(x))
        optimizer.zero_grad()
        sum(critics.values(), total).backward()
        optimizer.step()
        moved |= {n for n, p in objective.named_parameters() if p.grad is not None and bool(p.grad.any())}
        assert bool(torch.isfinite(total))
        losses.append(total.item())
    return moved, losses


def check_trains(recipe: Recipe) -> None:
    """Every parameter that an optimizer holds gets a gradient at least once, and inference works behind it."""
    x = examples()
    torch.manual_seed(1)
    objective = recipe.build(SHAPE)
    moved, _ = train(objective, x)
    trained = {n for n, p in objective.named_parameters() if p.requires_grad}
    assert trained - moved == set(), "no gradient ever"
    model = objective.model.eval()
    z = model.encode(x)
    assert z.equal(model.encode(x))
    assert z[:3].equal(model.encode(x[:3])) or torch.allclose(z[:3], model.encode(x[:3]), atol=1e-6)
    assert model.reconstruct(x).shape == x.shape
    if model.generative:
        assert model.sample(3).shape == (3, *SHAPE)


def check_refusal(refusal: IncompatibleParts) -> None:
    sentence = str(refusal)
    assert "\n" not in sentence
    assert re.search(r"(Use|Choose|Set|Leave|--set)", sentence), sentence
    assert sentence.endswith(".")


def built(recipe: Recipe) -> Recipe | None:
    """The recipe, or ``None`` where its parts refuse each other in good form."""
    try:
        recipe.build(SHAPE)
    except IncompatibleParts as refusal:
        check_refusal(refusal)
        return None
    return recipe


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("latent", LATENTS)
def test_a_latent_and_a_penalty_train_or_are_refused(latent, penalty):
    recipe = built(chosen(latent, {f"penalties.{penalty}.kind": penalty}))
    if recipe is not None:
        check_trains(recipe)


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("how", ["penalties.kl.kind", "fidelity.kind"])
def test_a_latent_and_a_prior_train_or_are_refused(latent, prior, how):
    value = "kl" if how.startswith("penalties") else "importance"
    more = {"fidelity.samples": 3} if value == "importance" else {}
    recipe = built(chosen(latent, {how: value, **more, "prior.kind": prior}))
    if recipe is not None:
        check_trains(recipe)


@pytest.mark.parametrize("latent", LATENTS)
@pytest.mark.parametrize("fidelity", FIDELITIES)
def test_a_latent_and_a_fidelity_train_or_are_refused(latent, fidelity):
    recipe = built(chosen(latent, {"fidelity.kind": fidelity, "corruption.kind": "masking"}))
    if recipe is not None:
        check_trains(recipe)


NETWORKS = {"critic": critic, "data_critic": data_critic, "comparator": comparator}


def test_a_join_is_refused_exactly_where_a_need_is_not_offered():
    for latent in LATENTS:
        provides = chosen(latent, {}).build(SHAPE).model.latent.provides
        for penalty in PENALTIES:
            handed = {"prior": StandardNormal(), "size": 4, "shape": SHAPE, **NETWORKS}
            requires = PenaltyPart(kind=penalty).make(**handed).requires
            trains = built(chosen(latent, {f"penalties.{penalty}.kind": penalty})) is not None
            # windows of frames are a need of the data, not of the latent
            assert trains == (requires <= provides and penalty != "slowness"), f"{latent} with {penalty}"
