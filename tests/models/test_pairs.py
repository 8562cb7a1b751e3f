"""Two options away from the defaults at a time: each choice trains, or is refused in one sentence.

The options come from the tables of parts, so a new member meets all the others without a new line here.
"""

import re
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from isthmus.errors import IsthmusError
from isthmus.functional import ACTIVATIONS
from isthmus.models.objective import Objective
from isthmus.models.recipe import LatentPart, NetPart, Recipe
from isthmus.parts.corruptions import CORRUPTIONS
from isthmus.parts.fidelities import FIDELITIES
from isthmus.parts.latents import LATENTS
from isthmus.parts.likelihoods import LIKELIHOODS
from isthmus.parts.nets import NETS
from isthmus.parts.nets.layers import INITIAL_WEIGHTS, NORMS
from isthmus.parts.penalties import PENALTIES
from isthmus.parts.priors import PRIORS

STEPS = 25
LEVELS = 5
"""Gray levels of the examples."""
BASE = Recipe(
    net=NetPart.model_validate({"kind": "mlp", "widths": [12]}), latent=LatentPart(kind="deterministic", size=3)
)
PAPERS: dict[str, dict[str, object]] = {
    "dcgan": {"net.channels": [6, 8], "net.init": "glorot"},
    "vae_gan": {"net.channels": [6, 8], "net.hidden": 12},
    "wae": {"net.channels": [6, 8]},
    "spatial": {"net.channels": [6], "net.hidden": [12], "latent.size": 4},
}
"""Small nets, with initial weights from which a code with thresholds is not zero."""
CONV = {"net.kind": "conv", "net.channels": [6, 8]}
SCHEDULE = {"value": 2.0, "shape": "linear", "fraction": 0.5}

HOME: dict[str, dict[str, object]] = {
    "categorical": {"latent.size": 4, "latent.classes": 2},
    "quantized": {"latent.size": 4, "latent.codebook_size": 8, "latent.codebook_dim": 2},
    **{kind: {"latent.size": 4, "latent.k": 2} for kind in ("top_k", "batch_top_k", "k_sparse")},
}
"""Options that suit a code of a few values."""
NOISY: dict[str, dict[str, object]] = {"recorruption": {"likelihood.kind": "gaussian", "corruption.scale": 0.1}}
GREY: dict[str, dict[str, object]] = {
    kind: {"likelihood.levels": LEVELS} for kind in ("categorical", "discretized_logistics")
}

CHANGES: list[dict[str, object]] = [
    *({"net.kind": kind} | PAPERS.get(kind, {}) for kind in NETS if kind not in ("mlp", "conv")),
    CONV,
    CONV | {"latent.size": None},
    CONV | {"net.downsampling": "maxpool", "net.upsampling": "upsample"},
    {"net.widths": []},
    {"net.widths": [10, 9]},
    {"net.tied": True},
    {"net.dropout": 0.2},
    *({"net.norm": name} for name in NORMS if name != "none"),
    {"net.activation": "tanh"},
    *({"net.init": name} for name in INITIAL_WEIGHTS if name in ("he", "orthogonal", "torch")),
    *({"latent.kind": kind, **HOME.get(kind, {})} for kind in LATENTS if kind != "deterministic"),
    *({"latent.activation": name} for name in ACTIVATIONS if name in ("relu", "sigmoid", "softplus")),
    {"latent.size": 1},
    {"latent.size": None, "latent.ratio": 2.0},
    *({"likelihood.kind": kind, **GREY.get(kind, {})} for kind in LIKELIHOODS if kind != "bernoulli"),
    {"likelihood.kind": "gaussian", "likelihood.scale": 0.2},
    *({"corruption.kind": kind, **NOISY.get(kind, {})} for kind in CORRUPTIONS if kind != "identity"),
    *({"fidelity.kind": kind} for kind in FIDELITIES if kind not in ("likelihood", "importance", "inversion")),
    {
        "fidelity.kind": "inversion",
        "penalties.discriminator.kind": "discriminator",
        "penalties.discriminator.ratio": None,
    },
    {"fidelity.kind": "importance", "fidelity.samples": 3, "latent.kind": "gaussian"},
    *(
        {"prior.kind": kind, "latent.kind": "gaussian", "penalties.kl.kind": "kl"}
        for kind in PRIORS
        if kind not in ("standard_normal", "uniform")
    ),
    {"prior.kind": "uniform", "latent.kind": "categorical", "penalties.kl.kind": "kl", **HOME["categorical"]},
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
CASES = [
    (choice, shape)
    for number, choice in enumerate(PAIRS)
    for place, shape in enumerate(SHAPES)
    if choice in CHANGES or number % len(SHAPES) == place
]
"""Each change alone with every shape; the pairs take turns."""


def kind_of(choice: dict[str, object]) -> str:
    return ",".join(f"{k}={v}" for k, v in choice.items())


def loss_at(objective: Objective, x: Tensor) -> Tensor:
    """The loss of all players with the same draws every time, at its final weights."""
    torch.manual_seed(1)
    loss = objective(x)
    return sum(loss.critics.values(), loss.total)


def examples(shape: tuple[int, ...]) -> Tensor:
    """Sixteen examples in [0, 1] of two factors, so that there is something to learn."""
    torch.manual_seed(0)
    factors = torch.rand(16, 2) @ torch.rand(2, int(torch.Size(shape).numel()))
    gray = (factors / factors.max() * (LEVELS - 1)).round() / (LEVELS - 1)
    return gray.reshape(16, *shape)


def check_gradients(objective: Objective, x: Tensor) -> None:
    """Each parameter has a gradient; where it is zero, the loss must really not depend on the parameter there."""
    objective.zero_grad()
    loss = loss_at(objective, x)
    loss.backward()
    for name, p in objective.named_parameters():
        if not p.requires_grad:
            # a comparator is fixed
            continue
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
    """The first of forty draws of weights whose code tells examples apart.

    A relu code of one value is zero for all examples in about half of the draws, and then rightly has no gradient; a
    code with thresholds and small initial weights in nine of ten. If all are, the layer is dead.
    """
    for seed in range(40):
        torch.manual_seed(seed)
        objective = recipe.build(shape)
        with torch.no_grad():
            q = objective.model.train().posterior(x)
        if q.mean.std(0).max() > 1e-3:
            return objective
    pytest.fail("the code does not depend on the example")


FAST = 8
"""Every so many pairs are tried by make test, the others by make test-slow."""
SPREAD = [pytest.param(*case, marks=() if n % FAST == 0 else pytest.mark.slow) for n, case in enumerate(CASES)]


@pytest.mark.parametrize(("choice", "shape"), SPREAD, ids=lambda v: kind_of(v) if isinstance(v, dict) else str(v))
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
    codes = torch.rand(16, *objective.model.code_shape)
    assert objective.model.decoder(codes).std(0).max() > 1e-3, "the output does not depend on the code"
    check_gradients(objective, x)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-2, foreach=True)
    for step in range(STEPS):
        optimizer.zero_grad()
        objective(x, step=step, total=STEPS).total.backward()
        optimizer.step()
    after = loss_at(objective, x)
    assert bool(torch.isfinite(after))
    # where players play against each other the sum of their losses need not fall
    assert after < before or objective.adversaries


@pytest.mark.slow
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
        "A fully connected net requires a vector code",
        "A critic requires a vector code",
        "A Gaussian with full covariance requires a vector code",
        "A mixture prior requires a vector code",
        "A categorical latent requires a prior over one-hot codes with the same 2 classes",
        "The importance-weighted bound contains the prior already",
        "Tied weights require a likelihood with one feature per value",
        "Wasserstein2 requires the standard normal prior",
        "Recorruption adds noise to targets",
        "fidelity.kind=inversion has no pairs of example and output",
        "The penalty slowness compares 3 or more consecutive frames",
        "The penalty separation compares points",
    )
    need = re.compile(
        r"(Penalty|Fidelity) \w+ requires .*, which latent \w+ does not provide\. "
        r"|latent\.size is \d+, but the code of a U-Net "
    )
    assert [r for r in refused if not r.startswith(expected) and not need.match(r)] == []
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
