"""Two options away from the defaults at a time: each choice trains, or is refused in one sentence.

The options come from the tables of parts, so a new member meets all the others without a new line here.
"""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from isthmus.corruptions import CORRUPTIONS
from isthmus.errors import IsthmusError
from isthmus.functional import ACTIVATIONS
from isthmus.latents import LATENTS
from isthmus.likelihoods import LIKELIHOODS
from isthmus.nets import NETS
from isthmus.nets.layers import INITIAL_WEIGHTS, NORMS
from isthmus.objective import Objective
from isthmus.penalties import PENALTIES
from isthmus.priors import PRIORS
from isthmus.recipe import LatentPart, NetPart, Recipe

STEPS = 25
BASE = Recipe(
    net=NetPart.model_validate({"kind": "mlp", "widths": [12]}), latent=LatentPart(kind="deterministic", size=3)
)
CONV = {"net.kind": "conv", "net.channels": [6, 8]}
SCHEDULE = {"value": 2.0, "shape": "linear", "fraction": 0.5}

CHANGES: list[dict[str, object]] = [
    *({"net.kind": kind} for kind in NETS if kind not in ("mlp", "conv")),
    CONV,
    CONV | {"latent.size": None},
    CONV | {"net.down": "maxpool", "net.up": "upsample"},
    {"net.widths": []},
    {"net.widths": [10, 9]},
    {"net.tied": True},
    {"net.dropout": 0.2},
    *({"net.norm": name} for name in NORMS if name != "none"),
    {"net.activation": "tanh"},
    *({"net.weights": name} for name in INITIAL_WEIGHTS if name in ("he", "orthogonal", "torch")),
    *({"latent.kind": kind} for kind in LATENTS if kind != "deterministic"),
    *({"latent.activation": name} for name in ACTIVATIONS if name in ("relu", "sigmoid", "softplus")),
    {"latent.size": 1},
    {"latent.size": None, "latent.ratio": 2.0},
    *({"likelihood.kind": kind} for kind in LIKELIHOODS if kind != "bernoulli"),
    {"likelihood.kind": "gaussian", "likelihood.scale": 0.2},
    *({"corruption.kind": kind} for kind in CORRUPTIONS if kind != "identity"),
    *({"prior.kind": kind} for kind in PRIORS if kind != "standard_normal"),
    *({f"penalties.{kind}.kind": kind} for kind in PENALTIES),
    *({"latent.kind": "gaussian", f"penalties.{kind}.kind": kind} for kind in PENALTIES),
    {"latent.kind": "gaussian", "penalties.kl.kind": "kl", "penalties.kl.weight": SCHEDULE},
]
"""Ways to leave the defaults by one idea."""

PAIRS = [
    one | other
    for one, other in combinations([{}, *CHANGES], 2)
    if all(one[path] == other[path] for path in one.keys() & other.keys())
]
"""All pairs that do not ask two things of one option; each change alone is among them."""

SHAPES = [(1, 8, 8), (2, 5, 7), (7,)]


def kind_of(choice: dict[str, object]) -> str:
    return ",".join(f"{k}={v}" for k, v in choice.items())


def loss_at(objective: Objective, x: Tensor) -> Tensor:
    """The loss with the same draws every time, at its final weights."""
    torch.manual_seed(1)
    return objective(x).total


def examples(shape: tuple[int, ...]) -> Tensor:
    """Sixteen examples in [0, 1] of two factors, so that there is something to learn."""
    torch.manual_seed(0)
    factors = torch.rand(16, 2) @ torch.rand(2, int(torch.Size(shape).numel()))
    return (factors / factors.max()).reshape(16, *shape)


def check_gradients(objective: Objective, x: Tensor) -> None:
    """Each parameter has a gradient; where it is zero, the loss must really not depend on the parameter there."""
    objective.zero_grad()
    loss = loss_at(objective, x)
    loss.backward()
    for name, p in objective.named_parameters():
        assert p.grad is not None, f"{name} has no gradient"
        assert bool(torch.isfinite(p.grad).all()), f"{name} has a gradient that is not finite"
        if not bool(p.grad.any()):
            with torch.no_grad():
                step = 1e-4 * torch.randn_like(p)
                p += step
                moved = loss_at(objective, x)
                p -= step
            assert moved.item() == pytest.approx(loss.item(), rel=1e-6), f"{name} matters, but has a gradient of zeros"


def alive(recipe: Recipe, shape: tuple[int, ...], x: Tensor) -> Objective:
    """The first of ten draws of weights whose code tells examples apart.

    A relu code of one value is zero for all examples in about half of the draws, and then rightly has no gradient;
    ten such draws in a row have a probability of 1e-3, and mean a dead layer.
    """
    for seed in range(10):
        torch.manual_seed(seed)
        objective = recipe.build(shape)
        with torch.no_grad():
            q = objective.model.train().posterior(x)
        if q.mean.std(0).max() > 1e-3:
            return objective
    pytest.fail("the code does not depend on the example")


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: "x".join(map(str, s)))
@pytest.mark.parametrize("choice", PAIRS, ids=kind_of)
def test_a_pair_of_options_trains_or_is_refused_in_one_sentence(choice, shape):
    x = examples(shape)
    try:
        recipe = BASE.with_options(choice)
        recipe.build(shape)
    except IsthmusError as refusal:
        sentence = str(refusal)
        assert "\n" not in sentence
        assert 20 < len(sentence) < 400
        assert sentence.endswith(".")
        return
    objective = alive(recipe, shape, x)
    objective.model.likelihood.check(x)
    objective.train()
    before = loss_at(objective, x)
    assert before.ndim == 0
    assert bool(torch.isfinite(before))
    codes = torch.rand(16, *objective.model.code)
    assert objective.model.decoder(codes).std(0).max() > 1e-3, "the output does not depend on the code"
    check_gradients(objective, x)
    optimiser = torch.optim.Adam(objective.parameters(), lr=1e-2, foreach=True)
    for step in range(STEPS):
        optimiser.zero_grad()
        objective(x, step=step, total=STEPS).total.backward()
        optimiser.step()
    after = loss_at(objective, x)
    assert bool(torch.isfinite(after))
    assert after < before


def test_the_pairs_hold_both_kinds_many_times_and_are_not_refused_for_nothing():
    """What the table must refuse, it refuses; all else is built (so that a careless refusal is seen)."""
    built, refused = 0, []
    for choice in PAIRS:
        try:
            BASE.with_options(choice).build((1, 8, 8))
            built += 1
        except IsthmusError as error:
            refused.append(str(error))
    expected = (
        "There is no option",  # an option that the kind of net or latent does not have
        "A fully connected net needs the size of its code",
        "There is no option of",
        "Penalty kl needs a diagonal Gaussian",
    )
    assert all(r.startswith(expected) for r in refused), [r for r in refused if not r.startswith(expected)]
    assert built > len(refused) > 0


def test_every_member_of_every_table_takes_part():
    asked = [(path.split(".")[0], value) for choice in CHANGES for path, value in choice.items() if ".kind" in path]
    tables: dict[str, dict[str, object]] = {
        "net": NETS,
        "latent": LATENTS,
        "likelihood": LIKELIHOODS,
        "corruption": CORRUPTIONS,
        "prior": PRIORS,
        "penalties": PENALTIES,
    }
    defaults = [(f, getattr(BASE, f).kind) for f in tables if f != "penalties"]
    assert {(f, k) for f, table in tables.items() for k in table} <= {*asked, *defaults}
    assert isinstance(BASE.build((7,)), nn.Module)
