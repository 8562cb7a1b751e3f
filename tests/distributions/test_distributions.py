"""Our own distributions: the point mass, and two of torch's in another form, equal to torch's."""

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Bernoulli, Distribution, Independent, Normal, kl_divergence

from isthmus.distributions import DiagonalGaussian, Dirac, IndependentBernoulli
from isthmus.functional import kl_standard_normal

EPS = torch.finfo(torch.float64).eps
every_space = pytest.mark.parametrize("space", [(1,), (5,), (2, 3, 4)])


def same(got: Tensor, expected: Tensor) -> None:
    """Equal up to 64 roundings; sums are of up to 24 terms."""
    torch.testing.assert_close(got, expected, rtol=64 * EPS, atol=64 * EPS)


def gaussians(space: tuple[int, ...]) -> tuple[DiagonalGaussian, Distribution]:
    loc, log_scale = torch.randn(2, 7, *space, dtype=torch.float64)
    return DiagonalGaussian(loc, log_scale), Independent(Normal(loc, log_scale.exp()), len(space))


def bernoullis(space: tuple[int, ...]) -> tuple[IndependentBernoulli, Distribution]:
    logits = 3 * torch.randn(7, *space, dtype=torch.float64)
    return IndependentBernoulli(logits), Independent(Bernoulli(logits=logits, validate_args=False), len(space))


@every_space
@pytest.mark.parametrize("make", [gaussians, bernoullis])
def test_shape_moments_and_density_are_those_of_torch(make, space):
    ours, theirs = make(space)
    assert (ours.batch_shape, ours.event_shape) == (theirs.batch_shape, theirs.event_shape)
    for name in ("mean", "mode", "variance", "stddev"):
        same(getattr(ours, name), getattr(theirs, name))
    for value in (theirs.sample(), theirs.sample((4,)), theirs.sample((3, 2))):
        assert ours.log_prob(value).shape == value.shape[: value.ndim - len(space)]
        same(ours.log_prob(value), theirs.log_prob(value))


@every_space
@pytest.mark.parametrize("make", [gaussians, bernoullis])
@pytest.mark.parametrize("n", [(), (4,), (3, 2)])
def test_the_same_seed_draws_the_same_as_torch(make, space, n):
    ours, theirs = make(space)
    torch.manual_seed(3)
    expected = theirs.sample(n)
    torch.manual_seed(3)
    same(ours.sample(n), expected)
    assert ours.sample(n).shape == (*n, 7, *space)


@every_space
def test_the_entropy_and_the_divergence_of_a_diagonal_gaussian_are_those_of_torch(space):
    ours, theirs = gaussians(space)
    same(ours.entropy(), theirs.entropy())
    prior = Independent(Normal(torch.zeros(space).double(), torch.ones(space).double()), len(space))
    same(kl_standard_normal(ours.loc, ours.scale, ours.log_scale), kl_divergence(theirs, prior))
    same(kl_standard_normal(ours.loc, ours.scale), kl_divergence(theirs, prior))


def test_draws_of_a_diagonal_gaussian_are_reparameterized_and_plain_samples_are_not():
    loc, log_scale = torch.randn(2, 7, 3, dtype=torch.float64).requires_grad_()
    q = DiagonalGaussian(loc, log_scale)
    assert q.has_rsample
    torch.manual_seed(3)
    grads = torch.autograd.grad(q.rsample((2,)).sum(), (loc, log_scale))
    torch.manual_seed(3)
    noise = torch.randn(2, 7, 3, dtype=torch.float64)
    same(grads[0], torch.full_like(loc, 2.0))
    same(grads[1], (log_scale.exp() * noise).sum(0))
    assert not q.sample().requires_grad


def test_plain_samples_of_a_bernoulli_have_no_gradient_and_no_reparameterization():
    p = IndependentBernoulli(torch.randn(7, 3, requires_grad=True))
    assert not p.has_rsample
    assert not p.sample().requires_grad


@every_space
def test_the_gradients_of_the_densities_are_those_of_finite_differences(space):
    a, b = torch.randn(2, 3, *space, dtype=torch.float64).requires_grad_()
    z = torch.randn(3, *space, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda loc, log_scale, v: DiagonalGaussian(loc, log_scale).log_prob(v), (a, b, z))
    x = torch.rand(3, *space, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda logits, v: IndependentBernoulli(logits).log_prob(v), (a, x))


def test_gray_values_are_allowed_and_give_the_cross_entropy():
    logits, x = torch.randn(4, 6, dtype=torch.float64), torch.rand(4, 6, dtype=torch.float64)
    r = torch.sigmoid(logits)
    same(IndependentBernoulli(logits).log_prob(x), (x * r.log() + (1 - x) * (1 - r).log()).sum(1))


def test_a_point_mass_draws_its_point_in_any_number():
    value = torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True)
    q = Dirac(value)
    assert (tuple(q.batch_shape), tuple(q.event_shape)) == ((4,), (2, 3))
    draws = q.rsample((5, 2))
    assert draws.equal(value.expand(5, 2, 4, 2, 3))
    draws.sum().backward()
    assert value.grad.equal(torch.full_like(value, 10.0))
    assert q.has_rsample
    assert q.mean is value
    assert q.mode is value
    assert q.variance.equal(torch.zeros(4, 2, 3, dtype=torch.float64))


def test_a_point_mass_refuses_to_have_a_density():
    with pytest.raises(NotImplementedError, match=r"^A Dirac distribution has no density\.$"):
        Dirac(torch.zeros(1, 2)).log_prob(torch.zeros(1, 2))


def test_a_plain_sample_of_a_point_mass_has_no_gradient_as_everywhere_in_torch():
    value = torch.randn(4, 2, requires_grad=True)
    assert not Dirac(value * 2).sample().requires_grad
