"""What every prior keeps to."""

import pytest
import torch
from torch import nn

from isthmus import nets
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.recipe import PriorPart, options_of
from isthmus.parts.latents import Categorical, Gaussian
from isthmus.parts.likelihoods import Bernoulli
from isthmus.parts.penalties import KL
from isthmus.parts.priors import PRIORS
from isthmus.parts.protocols import Capability, Prior

FEW = {"components": 4}
DISCRETE = {"uniform"}
"""Priors over one-hot codes, here of two classes; the others have a density."""
SIZES: dict[str, tuple[int | None, ...]] = {"mixture": (1, 4), "uniform": (2, 4, None)}
"""Sizes of the codes that a prior is over, where it is not over all; a code without a size is a map."""
each = pytest.mark.parametrize("kind", PRIORS)
every_code = pytest.mark.parametrize(
    ("kind", "size"), [(kind, size) for kind in PRIORS for size in SIZES.get(kind, (1, 4, None))]
)


def met(kind: str, size: int | None = 4) -> Autoencoder:
    """A model with a code of ``size`` values, or a map, that suits the prior."""
    latent, likelihood = Categorical(2) if kind in DISCRETE else Gaussian(), Bernoulli()
    pair = nets.conv((1, 4, 8), size, latent, likelihood, channels=(4,))
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(1, 4, 8))


def made(kind: str, size: int | None = 4) -> nn.Module:
    few = {name: value for name, value in FEW.items() if name in options_of(PRIORS[kind]).model_fields}
    return PriorPart(kind=kind, **few).make(shape=(1, 4, 8), size=size)


@each
def test_a_prior_is_a_module_that_says_what_it_is_and_is_called_as_in_the_table(kind):
    assert isinstance(made(kind), nn.Module)
    assert isinstance(made(kind), Prior)
    assert made(kind).name == kind
    assert PRIORS[kind].__doc__.strip()
    assert PRIORS[kind].distribution.__doc__.strip()
    assert all(f"{name}:" in PRIORS[kind].__doc__ for name in options_of(PRIORS[kind]).model_fields)


@each
def test_what_a_prior_asks_of_the_latent_are_offers(kind):
    assert all(isinstance(need, Capability) for need in getattr(made(kind), "needs", frozenset()))


@every_code
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_prior_is_a_distribution_over_one_code_in_the_precision_of_the_model(kind, size, dtype):
    model = met(kind, size).to(dtype)
    prior = made(kind, size).to(dtype).distribution(model)
    assert (tuple(prior.batch_shape), tuple(prior.event_shape)) == ((), model.code_shape)
    z = prior.sample((6,))
    assert (tuple(z.shape), z.dtype, z.requires_grad) == ((6, *model.code_shape), dtype, False)
    for codes in (z, z.reshape(2, 3, *model.code_shape)):
        log_p = prior.log_prob(codes)
        assert (log_p.shape, log_p.dtype) == (codes.shape[: codes.ndim - len(model.code_shape)], dtype)
        assert bool(torch.isfinite(log_p).all())


@every_code
def test_the_log_density_of_a_prior_has_a_gradient_to_the_code_and_to_every_parameter(kind, size):
    model, prior = met(kind, size).double(), made(kind, size).double()
    z = torch.randn(6, *model.code_shape, dtype=torch.float64, requires_grad=True)
    prior.distribution(model).log_prob(z).sum().backward()
    assert bool((z.grad != 0).all())
    assert all(p.grad is not None and bool(p.grad.any()) for p in prior.parameters())


@each
def test_the_same_seed_draws_the_same_codes(kind):
    prior = made(kind).distribution(met(kind))
    torch.manual_seed(3)
    first = prior.sample((5,))
    torch.manual_seed(3)
    assert prior.sample((5,)).equal(first)


@each
def test_a_prior_that_was_shown_the_data_is_restored_by_its_state_and_by_that_of_its_model(kind):
    model, one, other, z = met(kind), made(kind), made(kind), torch.randn(5, 4)
    if hasattr(one, "meet"):
        one.init_from_data(torch.rand(9, 1, 4, 8))
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    expected = one.distribution(model).log_prob(z)
    assert other.distribution(model).log_prob(z).equal(expected)

    Objective(model, {KL(one): 1.0})
    again = met(kind)
    Objective(again, {KL(made(kind)): 1.0})
    again.load_state_dict(model.state_dict(), strict=True)
    assert again.prior_distribution().log_prob(z).equal(expected)


@each
def test_a_prior_does_not_hold_the_model(kind):
    model, prior = met(kind), made(kind)
    prior.distribution(model)
    theirs = {id(p) for p in model.parameters()}
    assert not any(id(p) in theirs for p in prior.parameters())


@pytest.mark.parametrize("kind", [kind for kind in PRIORS if kind not in DISCRETE])
def test_a_density_of_one_value_integrates_to_one(kind):
    """The trapezoid rule over +-40 converges faster than any power of the step for a smooth density."""
    z = torch.linspace(-40, 40, 16001, dtype=torch.float64)
    density = made(kind, 1).double().distribution(met(kind, 1).double()).log_prob(z[:, None]).exp()
    torch.testing.assert_close(torch.trapezoid(density, z).item(), 1.0, rtol=0, atol=1e-12)
