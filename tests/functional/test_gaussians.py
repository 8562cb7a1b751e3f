"""Gaussians in closed form, against torch, numerical integrals, other closed forms and optimal assignment."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import norm
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from isthmus import functional as fn
from isthmus.errors import BadData

EPS = torch.finfo(torch.float64).eps
SIZES = [1, 2, 5]
every_size = pytest.mark.parametrize("d", SIZES)
every_space = pytest.mark.parametrize("space", [(), (5,), (2, 3, 4)])


def same(got: Tensor, expected: Tensor, terms: float = 256) -> None:
    """Equal up to ``terms`` roundings: sums of up to 25 squares, each with a few roundings of its own."""
    torch.testing.assert_close(got, expected, rtol=terms * EPS, atol=terms * EPS)


def diagonal(*shape: int) -> tuple[Tensor, Tensor]:
    return torch.randn(shape, dtype=torch.float64), torch.randn(shape, dtype=torch.float64).exp()


def full(*batch: int, d: int) -> tuple[Tensor, Tensor]:
    """A mean and a Cholesky factor of condition below about 100."""
    factor = 0.5 * torch.randn(*batch, d, d, dtype=torch.float64).tril(-1)
    scale = (0.7 * torch.randn(*batch, d, dtype=torch.float64)).exp()
    return torch.randn(*batch, d, dtype=torch.float64), factor + torch.diag_embed(scale)


def rotation(angle: float) -> Tensor:
    c, s = math.cos(angle), math.sin(angle)
    return torch.tensor([[c, -s], [s, c]], dtype=torch.float64)


@every_space
def test_the_entropy_of_a_diagonal_gaussian_is_that_of_torch(space):
    loc, scale = diagonal(7, *space)
    same(fn.entropy_gaussian(scale), Independent(Normal(loc, scale), len(space)).entropy())


@every_size
def test_the_entropy_of_a_full_gaussian_is_that_of_torch(d):
    loc, factor = full(7, d=d)
    same(fn.entropy_full_gaussian(factor), MultivariateNormal(loc, scale_tril=factor).entropy())


@every_space
@pytest.mark.parametrize("batch", [(), (7,)])
def test_the_divergence_of_two_diagonal_gaussians_is_that_of_torch(space, batch):
    loc, scale = diagonal(7, *space)
    other_loc, other_scale = diagonal(*batch, *space)
    q, p = Independent(Normal(loc, scale), len(space)), Independent(Normal(other_loc, other_scale), len(space))
    same(fn.kl_gaussian(loc, scale, other_loc, other_scale), kl_divergence(q, p), 4096)


@every_size
@pytest.mark.parametrize("batch", [(), (7,)])
def test_the_divergence_of_two_full_gaussians_is_that_of_torch(d, batch):
    loc, factor = full(7, d=d)
    other_loc, other_factor = full(*batch, d=d)
    q, p = MultivariateNormal(loc, scale_tril=factor), MultivariateNormal(other_loc, scale_tril=other_factor)
    # a solve loses digits in proportion to the condition, here up to 1e2, squared in the norm
    got = fn.kl_full_gaussian(loc, factor, other_loc.expand(7, d), other_factor.expand(7, d, d))
    torch.testing.assert_close(got, kl_divergence(q, p), rtol=1e4 * EPS, atol=1e4 * EPS)
    same(fn.kl_full_gaussian(loc, factor, other_loc, other_factor), got, 1e4)


@every_size
def test_the_divergence_of_a_full_gaussian_from_the_standard_normal_is_that_of_torch(d):
    loc, factor = full(7, d=d)
    standard = MultivariateNormal(torch.zeros(d).double(), torch.eye(d).double())
    expected = kl_divergence(MultivariateNormal(loc, scale_tril=factor), standard)
    same(fn.kl_full_standard_normal(loc, factor), expected)
    log_diagonal = factor.diagonal(dim1=-2, dim2=-1).log()
    same(fn.kl_full_standard_normal(loc, factor, log_diagonal), expected)


def test_the_divergence_of_a_full_gaussian_stays_finite_where_its_diagonal_underflows():
    log_diagonal = torch.tensor([[0.0, -1000.0]], dtype=torch.float64)
    factor = torch.diag_embed(log_diagonal.exp())
    factor[0, 1, 0] = 3.0
    # 1/2 (3^2 + 1 + 0 - 2) + 1000
    assert fn.kl_full_standard_normal(torch.zeros(1, 2).double(), factor, log_diagonal).item() == 1004.0


@every_size
def test_a_diagonal_gaussian_is_a_special_full_one(d):
    (loc, scale), (other_loc, other_scale) = diagonal(7, d), diagonal(7, d)
    a, b = torch.diag_embed(scale), torch.diag_embed(other_scale)
    same(fn.entropy_full_gaussian(a), fn.entropy_gaussian(scale))
    same(fn.kl_full_standard_normal(loc, a), fn.kl_standard_normal(loc, scale))
    same(fn.kl_full_gaussian(loc, a, other_loc, b), fn.kl_gaussian(loc, scale, other_loc, other_scale), 4096)
    same(fn.squared_wasserstein_full(loc, a, other_loc, b), fn.squared_wasserstein(loc, scale, other_loc, other_scale))


def test_entropy_and_divergence_in_one_dimension_are_their_integrals():
    """The trapezoid rule over 12 sigma at steps of sigma/50 converges to the last digits for a smooth integrand."""
    loc, scale, m, s = (torch.tensor([[v]], dtype=torch.float64) for v in (0.3, 0.8, -0.4, 1.7))
    z = loc.item() + scale.item() * torch.linspace(-12, 12, 1201, dtype=torch.float64)
    q, p = Normal(loc[0], scale[0]), Normal(m[0], s[0])
    density = q.log_prob(z).exp()
    entropy = torch.trapezoid(-density * q.log_prob(z), z)
    divergence = torch.trapezoid(density * (q.log_prob(z) - p.log_prob(z)), z)
    assert fn.entropy_gaussian(scale).item() == pytest.approx(entropy.item(), rel=1e-12)
    assert fn.entropy_full_gaussian(scale[None]).item() == pytest.approx(entropy.item(), rel=1e-12)
    assert fn.kl_gaussian(loc, scale, m, s).item() == pytest.approx(divergence.item(), rel=1e-11)
    assert fn.kl_full_gaussian(loc, scale[None], m, s[None]).item() == pytest.approx(divergence.item(), rel=1e-11)


@every_size
def test_a_divergence_is_zero_for_equal_gaussians_and_above_it_for_any_other(d):
    loc, scale = diagonal(7, d)
    _, factor = full(7, d=d)
    same(fn.kl_gaussian(loc, scale, loc, scale), torch.zeros(7).double())
    same(fn.kl_full_gaussian(loc, factor, loc, factor), torch.zeros(7).double(), 1e4)
    for moved in (1.1, 0.9):
        assert bool((fn.kl_gaussian(loc, scale, loc, moved * scale) > 1e-3).all())
        assert bool((fn.kl_gaussian(loc, scale, loc + moved, scale) > 1e-4).all())
        assert bool((fn.kl_full_gaussian(loc, factor, loc, moved * factor) > 1e-3).all())
        assert bool((fn.kl_full_gaussian(loc, factor, loc + moved, factor) > 1e-4).all())


def test_the_gradients_of_entropies_and_divergences_are_those_of_finite_differences():
    (loc, factor), (m, other) = full(3, d=3), full(3, d=3)
    scale = factor.diagonal(dim1=-2, dim2=-1)
    wanted = [v.clone().requires_grad_() for v in (loc, factor, m, other)]
    assert gradcheck(fn.kl_full_gaussian, wanted)
    assert gradcheck(fn.kl_full_standard_normal, wanted[:2])
    assert gradcheck(fn.entropy_full_gaussian, wanted[1:2])
    assert gradcheck(fn.kl_gaussian, (wanted[0], scale.clone().requires_grad_(), wanted[2], scale.clone() + 1))


@pytest.mark.parametrize(("m", "s"), [(0.3, 0.8), (-1.0, 0.8), (0.3, 2.5), (-2.0, 0.1)])
def test_the_distance_in_one_dimension_is_the_integral_over_quantiles(m, s):
    r"""With u = Phi(t) the integral of (F^-1(u) - G^-1(u))^2 is one over the standard normal density of t."""
    t = torch.linspace(-12, 12, 2401, dtype=torch.float64)
    # scipy keeps the digits of 1 - u where u is near 1: there the quantile is that of the upper tail
    u = norm.cdf(-np.abs(t.numpy()))
    quantiles = (np.where(t < 0, norm.ppf(u, a, b), norm.isf(u, a, b)) for a, b in ((0.3, 0.8), (m, s)))
    gap = torch.from_numpy(np.subtract(*quantiles))
    density = Normal(0.0, 1.0).log_prob(t).exp()
    expected = torch.trapezoid(gap.square() * density, t).item()
    one = torch.ones(1, 1, dtype=torch.float64)
    assert fn.squared_wasserstein(0.3 * one, 0.8 * one, m * one, s * one).item() == pytest.approx(expected, abs=1e-12)
    got = fn.squared_wasserstein_full(0.3 * one, 0.8 * one[None], m * one, s * one[None])
    assert got.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.4, 2.0])
@pytest.mark.parametrize("spread", [(4.0, 0.25, 1.0, 9.0), (2.0, 2.0, 2.0, 2.0), (3.0, 3.0, 5.0, 5.0)])
def test_the_distance_of_commuting_covariances_is_that_of_their_root_eigenvalues(angle, spread):
    a, b = torch.tensor(spread[:2], dtype=torch.float64), torch.tensor(spread[2:], dtype=torch.float64)
    turn = rotation(angle)
    first, second = (turn @ torch.diag(v) @ turn.T for v in (a, b))
    loc, m = torch.randn(2, 1, 2, dtype=torch.float64)
    got = fn.squared_wasserstein_full(loc, torch.linalg.cholesky(first)[None], m, torch.linalg.cholesky(second)[None])
    same(got, (loc - m).square().sum(1) + (a.sqrt() - b.sqrt()).square().sum())


@every_size
def test_the_distance_is_the_formula_with_roots_of_matrices(d):
    (loc, factor), (m, other) = full(4, d=d), full(4, d=d)
    expected = []
    for a, b in zip((factor @ factor.mT).numpy(), (other @ other.mT).numpy(), strict=True):
        root = np.real(sqrtm(a))
        expected.append(np.trace(a + b - 2 * np.real(sqrtm(root @ b @ root))))
    expected = torch.tensor(np.array(expected)) + (loc - m).square().sum(1)
    # two roots of matrices of condition up to 1e4
    torch.testing.assert_close(fn.squared_wasserstein_full(loc, factor, m, other), expected, rtol=1e-9, atol=1e-9)


def test_the_distance_does_not_depend_on_which_factor_of_a_covariance_is_given_nor_on_the_order():
    (loc, factor), (m, other) = full(4, d=3), full(4, d=3)
    turn = torch.linalg.qr(torch.randn(4, 3, 3, dtype=torch.float64)).Q
    expected = fn.squared_wasserstein_full(loc, factor, m, other)
    same(fn.squared_wasserstein_full(loc, factor @ turn, m, other), expected)
    same(fn.squared_wasserstein_full(m, other @ turn, loc, factor), expected)


def test_one_gaussian_may_be_shared_by_all_examples():
    (loc, factor), (m, other) = full(4, d=3), full(d=3)
    got = fn.squared_wasserstein_full(loc, factor, m, other)
    same(got, fn.squared_wasserstein_full(loc, factor, m.expand(4, 3), other.expand(4, 3, 3)))
    scale, s = factor.diagonal(dim1=-2, dim2=-1), other.diagonal()
    got = fn.squared_wasserstein(loc, scale, m, s)
    same(got, fn.squared_wasserstein(loc, scale, m.expand(4, 3), s.expand(4, 3)))


def test_the_distance_of_nearly_equal_gaussians_keeps_its_digits_and_is_never_below_zero():
    """Of (1 + h) L from L it is h^2 |L|^2; each entry of the difference loses a few eps / h of its digits."""
    loc, factor = full(200, d=5)
    h = 1e-7
    got = fn.squared_wasserstein_full(loc, (1 + h) * factor, loc, factor)
    expected = h**2 * factor.square().sum((-2, -1))
    torch.testing.assert_close(got, expected, rtol=1e3 * EPS / h, atol=0)
    equal = fn.squared_wasserstein_full(loc, factor, loc, factor)
    assert bool((equal >= 0).all())
    # a turn that is off by a few eps leaves their square
    assert equal.max().item() < (1e3 * EPS) ** 2 * factor.square().sum((-2, -1)).max().item()


@every_size
def test_the_gradient_of_the_distance_is_that_of_finite_differences(d):
    wanted = [v.requires_grad_() for v in (*full(3, d=d), *full(3, d=d))]
    assert gradcheck(fn.squared_wasserstein_full, wanted)
    shared = [v.detach().clone().requires_grad_() for v in (*full(3, d=d), *full(d=d))]
    assert gradcheck(fn.squared_wasserstein_full, shared)


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_the_gradient_of_the_distance_is_finite_and_right_at_equal_eigenvalues(scale, angle):
    factor = (scale * rotation(angle))[None].requires_grad_()
    other = torch.eye(2, dtype=torch.float64)[None].requires_grad_()
    loc = torch.zeros(1, 2, dtype=torch.float64)
    fn.squared_wasserstein_full(loc, factor, loc, other).sum().backward()
    # d/dL |L - Q|^2 with Q = L / scale, and the like for the other
    same(factor.grad, 2 * (scale - 1) * factor.detach() / scale)
    same(other.grad, 2 * (1 - scale) * other.detach())
    assert gradcheck(lambda a, b: fn.squared_wasserstein_full(loc, a, loc, b), (factor, other))


def test_the_gradient_of_the_distance_is_zero_at_equal_covariances():
    loc, factor = full(6, d=4)
    wanted = factor.clone().requires_grad_()
    fn.squared_wasserstein_full(loc, wanted, loc, factor).sum().backward()
    torch.testing.assert_close(
        wanted.grad, torch.zeros_like(factor), rtol=0, atol=1e3 * EPS * factor.abs().max().item()
    )


def test_the_distance_and_its_gradient_are_finite_where_a_covariance_is_singular():
    loc, factor = full(3, d=3)
    flat = factor.clone()
    flat[:, 2] = 0
    flat[0] = 0
    wanted = flat.requires_grad_()
    got = fn.squared_wasserstein_full(loc, wanted, loc, factor)
    # of a point mass from a Gaussian it is the total variance
    assert got[0].item() == pytest.approx(factor[0].square().sum().item(), rel=64 * EPS)
    got.sum().backward()
    assert bool(torch.isfinite(wanted.grad).all())


def test_a_second_derivative_of_the_distance_is_refused():
    loc, factor = full(1, d=2)
    wanted = factor.requires_grad_()
    value = fn.squared_wasserstein_full(loc, wanted, loc, torch.eye(2).double()[None]) * wanted.sum()
    (gradient,) = torch.autograd.grad(value, wanted, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_the_distance_is_that_of_optimally_assigned_draws():
    """Empirical measures P_n obey |W(P_n, Q_n) - W(P, Q)| <= W(P_n, P) + W(Q_n, Q), by the triangle inequality.

    W(P_n, P)^2 is at most the mean of W(P_n, P'_n)^2 over fresh P'_n (Jensen), so one such distance measures it;
    half as much again allows for its own spread.
    """
    (loc, factor), (m, other) = full(1, d=2), full(1, d=2)
    p, q = MultivariateNormal(loc[0], scale_tril=factor[0]), MultivariateNormal(m[0] + 4, scale_tril=other[0])

    def assigned(a: Tensor, b: Tensor) -> float:
        cost = cdist(a.numpy(), b.numpy(), "sqeuclidean")
        return math.sqrt(cost[linear_sum_assignment(cost)].mean())

    x, again, y, anew = (source.sample((600,)) for source in (p, p, q, q))
    tolerance = 1.5 * (assigned(x, again) + assigned(y, anew))
    expected = fn.squared_wasserstein_full(loc, factor, m + 4, other).sqrt().item()
    assert tolerance < 0.2 * expected
    assert assigned(x, y) == pytest.approx(expected, abs=tolerance)


@every_size
def test_a_fitted_gaussian_has_the_moments_of_its_sample(d: int):
    x = torch.randn(30, d, dtype=torch.float64) @ torch.randn(d, d, dtype=torch.float64) + 100
    loc, factor = fn.fitted_gaussian(x)
    same(loc[0], x.mean(0))
    torch.testing.assert_close((factor @ factor.mT)[0], torch.cov(x.T).reshape(d, d), rtol=1e-10, atol=1e-10)


def test_the_frechet_distance_of_two_samples_is_the_formula_with_square_roots():
    x, y = torch.randn(50, 3, dtype=torch.float64), 2 * torch.rand(40, 3, dtype=torch.float64)
    (a, b), (s, t) = (v.mean(0).numpy() for v in (x, y)), (torch.cov(v.T).numpy() for v in (x, y))
    expected = np.square(a - b).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    got = fn.squared_wasserstein_full(*fn.fitted_gaussian(x), *fn.fitted_gaussian(y))
    assert got.item() == pytest.approx(expected, rel=1e-9)


def test_a_constant_feature_has_a_factor_and_too_few_points_are_refused():
    x = torch.randn(20, 3)
    x[:, 1] = 7.0
    assert fn.squared_wasserstein_full(*fn.fitted_gaussian(x), *fn.fitted_gaussian(x)).item() < 1e-6
    with pytest.raises(BadData, match="The covariance of 3 features requires more than 3 points, but there are 3"):
        fn.fitted_gaussian(x[:3])
