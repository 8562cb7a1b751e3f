"""What every penalty keeps to, with every latent."""

import pytest
import torch
from torch import nn

from isthmus import likelihoods, nets
from isthmus.errors import IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.recipe import LatentPart, PenaltyPart, options_of
from isthmus.parts.latents import LATENTS, Deterministic, Gaussian
from isthmus.parts.penalties import KL, PENALTIES
from isthmus.parts.priors import StandardNormal, UniformCategorical
from isthmus.parts.protocols import Capability, Penalty

SHAPE = (9,)


DRAWN = {"l1", "mmd", "sliced", "adversarial", "factor", "discriminator", "features", "code_norm"}
"""Penalties that read the drawn code, not the posterior."""
OF_DECODER = {"discriminator", "decoder_norm"}
"""Penalties whose gradient reaches the decoder alone."""
OF_WINDOWS = {"slowness"}
"""Penalties of codes with a time axis: tests/parts/nets/test_spatial.py."""


def made(kind: str, latent: str = "") -> nn.Module:
    prior = UniformCategorical() if latent == "categorical" else StandardNormal()
    return PenaltyPart(kind=kind).make(
        prior=prior,
        size=4,
        shape=SHAPE,
        critic=nets.critic,
        data_critic=nets.data_critic,
        comparator=nets.comparator,
    )


def autoencoder(latent: nn.Module, size: int | None = 4) -> Autoencoder:
    likelihood = likelihoods.Bernoulli()
    pair = nets.mlp(SHAPE, size, latent, likelihood, widths=(8,))
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=SHAPE)


def latent_of(kind: str) -> nn.Module:
    if kind == "sigmoid":
        return Deterministic("sigmoid")
    toy: dict[str, dict[str, object]] = {
        "categorical": {"classes": 2},
        "quantized": {"codebook_dim": 2},
        "jump_relu": {"threshold": 1e-3},
    }
    options = toy.get(kind, {})
    return LatentPart(kind=kind, size=4, **options).make(size=4, shape=SHAPE)


KINDS = [*LATENTS, "sigmoid"]
PLAIN = [p for p in PENALTIES if p not in OF_WINDOWS]
ALLOWED = [(p, la) for p in PLAIN for la in KINDS if made(p).requires <= latent_of(la).provides]
REFUSED = [(p, la) for p in PENALTIES for la in KINDS if not made(p).requires <= latent_of(la).provides]
each = pytest.mark.parametrize("kind", PENALTIES)
each_allowed = pytest.mark.parametrize(("kind", "latent"), ALLOWED)


@each
def test_a_penalty_is_a_module_that_keeps_its_protocol(kind):
    penalty = made(kind)
    assert isinstance(penalty, Penalty)
    assert isinstance(penalty, nn.Module)
    assert penalty.name == kind
    assert isinstance(penalty.requires, frozenset)
    assert all(isinstance(need, Capability) for need in penalty.requires)


@each
def test_a_penalty_says_what_it_is_and_what_its_options_mean(kind):
    assert PENALTIES[kind].__doc__.strip()
    assert all(f"{name}:" in PENALTIES[kind].__doc__ for name in options_of(PENALTIES[kind]).model_fields)


@each
def test_every_penalty_has_a_latent_that_satisfies_it(kind):
    assert any(made(kind).requires <= latent_of(latent).provides for latent in KINDS)


@each_allowed
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("batch", [1, 6])
def test_a_penalty_gives_a_finite_number_for_each_example_or_for_the_batch(kind, latent, dtype, batch):
    model = autoencoder(latent_of(latent)).to(dtype)
    value = made(kind, latent).to(dtype)(model, model(torch.rand(batch, *SHAPE, dtype=dtype)))
    assert tuple(value.shape) in ((batch,), ())
    assert value.dtype == dtype
    assert bool(torch.isfinite(value).all())


@each_allowed
def test_a_penalty_has_a_gradient_to_the_encoder_or_else_to_the_decoder(kind, latent):
    model = autoencoder(latent_of(latent)).double()
    made(kind, latent).double()(model, model(torch.rand(6, *SHAPE, dtype=torch.float64))).mean().backward()
    # a Jacobian does not depend on the bias behind a linear code
    reached, other = (model.decoder, model.encoder) if kind in OF_DECODER else (model.encoder, None)
    matrices = [p for p in reached.parameters() if p.ndim > 1]
    assert other is None or all(p.grad is None for p in other.parameters())
    assert all(p.grad is not None and bool(p.grad.any()) for p in matrices)


@each_allowed
def test_a_penalty_of_the_same_trace_is_the_same_every_time(kind, latent):
    model, penalty = autoencoder(latent_of(latent)).double().eval(), made(kind, latent).double().eval()
    trace = model(torch.rand(6, *SHAPE, dtype=torch.float64))
    torch.manual_seed(3)
    first = penalty(model, trace)
    torch.manual_seed(3)
    assert penalty(model, trace).equal(first)


@each_allowed
def test_a_penalty_for_each_example_does_not_look_at_the_others(kind, latent):
    if kind in DRAWN and Capability.DENSITY in latent_of(latent).provides:
        pytest.skip("another draw of the code is another value")
    model, penalty = autoencoder(latent_of(latent)).double().eval(), made(kind, latent).double().eval()
    x = torch.rand(6, *SHAPE, dtype=torch.float64)
    together = penalty(model, model(x))
    if together.ndim:
        apart = torch.cat([penalty(model, model(row[None])) for row in x])
        # matrix products of 9 terms in another order
        torch.testing.assert_close(apart, together, rtol=1e-12, atol=1e-14)
    else:
        assert penalty(model, model(x[:1])).ndim == 0


@each
def test_a_penalty_is_restored_by_its_state(kind):
    one, other = made(kind), made(kind)
    missing = other.load_state_dict(one.state_dict(), strict=True)
    assert (list(missing.missing_keys), list(missing.unexpected_keys)) == ([], [])


@pytest.mark.parametrize(("kind", "latent"), REFUSED)
def test_an_objective_refuses_a_penalty_whose_needs_the_latent_does_not_offer(kind, latent):
    model = autoencoder(latent_of(latent))
    message = rf"^Penalty {kind} requires .*, which latent \w+ does not provide\. Set latent\."
    with pytest.raises(IncompatibleParts, match=message):
        Objective(model, {made(kind): 1.0})


def test_the_refusal_names_what_is_needed_what_is_offered_and_what_to_do():
    message = (
        r"^Penalty kl requires a stochastic latent, with a density q\(z\|x\), which latent Deterministic does not "
        r"provide\. Set latent\.kind=gaussian, or penalties\.kl=null to remove it\.$"
    )
    with pytest.raises(IncompatibleParts, match=message):
        Objective(autoencoder(Deterministic()), {KL(StandardNormal()): 1.0})


@pytest.mark.parametrize("part", [nn.Identity(), Gaussian()])
def test_an_objective_refuses_what_is_no_penalty(part):
    message = (
        r"^A penalty must have the attributes name and requires and be callable with \(model, trace\), but "
        rf"{type(part).__name__} is not\. "
    )
    with pytest.raises(IncompatibleParts, match=message):
        Objective(autoencoder(Gaussian()), {part: 1.0})
