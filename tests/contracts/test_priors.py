"""What every prior keeps to."""

import pytest
import torch
from torch import nn

from isthmus.priors import PRIORS
from isthmus.recipe import PriorPart, options_of

each = pytest.mark.parametrize("kind", PRIORS)
every_code = pytest.mark.parametrize("code", [(1,), (4,), (2, 3, 5)])


def made(kind: str) -> nn.Module:
    return PriorPart(kind=kind).make()


@each
def test_a_prior_is_a_module_that_says_what_it_is_and_is_called_as_in_the_table(kind):
    assert isinstance(made(kind), nn.Module)
    assert made(kind).name == kind
    assert PRIORS[kind].__doc__.strip()
    assert PRIORS[kind].distribution.__doc__.strip()
    assert all(f"{name}:" in PRIORS[kind].__doc__ for name in options_of(PRIORS[kind]).model_fields)


@each
@every_code
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_prior_is_a_distribution_over_one_code_in_the_precision_asked_for(kind, code, dtype):
    prior = made(kind).to(dtype).distribution(code, torch.zeros(1, dtype=dtype))
    assert (tuple(prior.batch_shape), tuple(prior.event_shape)) == ((), code)
    z = prior.sample((6,))
    assert (tuple(z.shape), z.dtype) == ((6, *code), dtype)
    log_p = prior.log_prob(z)
    assert (tuple(log_p.shape), log_p.dtype) == ((6,), dtype)
    assert bool(torch.isfinite(log_p).all())


@each
@every_code
def test_the_log_density_of_a_prior_has_a_gradient_to_the_code(kind, code):
    z = torch.randn(6, *code, dtype=torch.float64, requires_grad=True)
    made(kind).double().distribution(code, z).log_prob(z).sum().backward()
    assert bool((z.grad != 0).all())


@each
def test_the_same_seed_draws_the_same_codes(kind):
    prior = made(kind).distribution((4,), torch.zeros(1))
    torch.manual_seed(3)
    first = prior.sample((5,))
    torch.manual_seed(3)
    assert prior.sample((5,)).equal(first)


@each
def test_a_prior_is_restored_by_its_state(kind):
    one, other, z = made(kind), made(kind), torch.randn(5, 4)
    assert list(other.load_state_dict(one.state_dict(), strict=True).missing_keys) == []
    assert one.distribution((4,), z).log_prob(z).equal(other.distribution((4,), z).log_prob(z))


@each
def test_a_density_of_one_value_integrates_to_one(kind):
    """The trapezoid rule over +-40 converges faster than any power of the step for a smooth density."""
    z = torch.linspace(-40, 40, 8001, dtype=torch.float64)
    density = made(kind).double().distribution((1,), z).log_prob(z[:, None]).exp()
    torch.testing.assert_close(torch.trapezoid(density, z).item(), 1.0, rtol=0, atol=1e-12)
