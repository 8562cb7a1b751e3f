"""Output distributions: integrals of one, moments by quadrature, gradients by differences, scales that are optimal."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import ContinuousBernoulli as TorchContinuousBernoulli
from torch.distributions import Distribution, Independent, Normal
from torch.distributions import Laplace as TorchLaplace
from torch.distributions import StudentT as TorchStudentT

from isthmus import latents, nets
from isthmus.distributions import IndependentContinuousBernoulli
from isthmus.errors import BadOption
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.likelihoods import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    DiscretizedLogistics,
    Gaussian,
    Laplace,
    OptimalGaussian,
    PixelGaussian,
    SharedGaussian,
    StudentT,
)

EPS = torch.finfo(torch.float64).eps
LEAST = math.exp(-6)
SLOPES = [0.0, 1e-9, 1e-3, 0.02, 0.2499, 0.2501, 0.7, 3.0, 12.0, 60.0]
SIGNED = [sign * slope for slope in SLOPES for sign in (1, -1)]


def doubles(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


def log_prob_by_feature(p: Distribution, x: Tensor) -> Tensor:
    return p.base_dist.log_prob(x) if isinstance(p, Independent) else p.log_prob_by_feature(x)


def gauss_legendre(low: float, high: float, pieces: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of a rule with 16 nodes in each of so many pieces: exact to rounding for smooth functions."""
    nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(16))
    edges = torch.linspace(low, high, pieces + 1, dtype=torch.float64)
    half = (edges[1:] - edges[:-1]) / 2
    x = (edges[:-1] + half)[:, None] + half[:, None] * nodes
    return x.flatten(), (half[:, None] * weights).flatten()


def moments(p: Distribution, nodes: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Total, mean and variance of each value of one example, by a sum over nodes."""
    x = nodes.reshape(-1, 1, *(1,) * len(p.event_shape)).expand(-1, 1, *p.event_shape)
    density = log_prob_by_feature(p, x).exp() * weights.reshape(-1, 1, *(1,) * len(p.event_shape))
    total, mean = density.sum(0), (density * x).sum(0)
    return total, mean, (density * x.square()).sum(0) - mean.square()


def gap(exact: Tensor) -> float:
    """The largest gap between the share of sorted draws and what their distribution function says."""
    n = len(exact)
    steps = torch.arange(n, dtype=torch.float64) / n
    return max((exact - steps).abs().max().item(), (exact - steps - 1 / n).abs().max().item())


# densities over the real line

TAILED = {
    "gaussian": (Gaussian(0.3), lambda h: Normal(h, 0.3)),
    "laplace": (Laplace(0.3), lambda h: TorchLaplace(h, 0.3)),
    "student_t": (StudentT(4.0, 0.3), lambda h: TorchStudentT(4.0, h, 0.3)),
    "heavy_student_t": (StudentT(1.5, 2.0), lambda h: TorchStudentT(1.5, h, 2.0)),
}


@pytest.mark.parametrize("name", TAILED)
@pytest.mark.parametrize("space", [(3,), (2, 3, 2)])
def test_a_likelihood_of_fixed_scale_is_the_distribution_of_torch(name, space):
    head, theirs = TAILED[name]
    h, x = torch.randn(2, 4, *space, dtype=torch.float64)
    p, expected = head(h), Independent(theirs(h), len(space))
    # constants of a handful of roundings, sums of up to 12 terms
    torch.testing.assert_close(p.log_prob(x), expected.log_prob(x), rtol=128 * EPS, atol=128 * EPS)
    for moment in ("mean", "mode", "variance"):
        torch.testing.assert_close(getattr(p, moment), getattr(expected, moment), rtol=16 * EPS, atol=0)


def test_a_student_t_of_many_degrees_is_a_gaussian():
    h, x = torch.randn(2, 5, 4, dtype=torch.float64)
    # the log-density differs by terms of order (x/s)^4 / nu: 1e-6 at nu = 1e6 with errors of a few s, over 4 values
    torch.testing.assert_close(StudentT(1e6, 0.7)(h).log_prob(x), Gaussian(0.7)(h).log_prob(x), rtol=0, atol=2e-4)


def test_a_laplace_and_a_student_t_integrate_to_one():
    """In t with x = tan t the line is an interval; Student-t is smooth there, Laplace has its kink at an edge."""
    t, weights = gauss_legendre(-math.pi / 2, math.pi / 2, 400)
    x, weights = torch.tan(t), weights / torch.cos(t).square()
    for head in (Laplace(0.3), Laplace(2.0), StudentT(1.5, 0.3), StudentT(4.0), StudentT(30.0, 2.0)):
        total, _, _ = moments(head(doubles(0.0)), x, weights)
        # the pole of the map leaves 1e-9 of the mass of a t with 1.5 degrees beyond the last node
        assert total.item() == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize(("df", "scale"), [(1.5, 2.0), (4.0, 0.3)])
def test_draws_of_a_student_t_are_spread_as_its_distribution_function(df, scale):
    """Kolmogorov and Smirnov: the largest gap of n draws exceeds 1.95 / sqrt(n) once in a thousand times."""
    n = 20_000
    draws = StudentT(df, scale)(doubles(0.7)).sample((n,)).flatten().sort().values
    exact = torch.from_numpy(stats.t(df, 0.7, scale).cdf(draws.numpy()))
    assert gap(exact) < 1.95 / math.sqrt(n)


# the Gaussians that learn their scale


def test_a_pixel_gaussian_has_the_density_of_a_normal_of_its_own_scale_for_each_value():
    h, x = torch.randn(4, 6, 2, 2, dtype=torch.float64), torch.randn(4, 3, 2, 2, dtype=torch.float64)
    p = PixelGaussian(min_scale=0.2)(h)
    expected = Independent(Normal(h[:, :3], 0.2 + h[:, 3:].exp()), 3)
    torch.testing.assert_close(p.log_prob(x), expected.log_prob(x), rtol=64 * EPS, atol=64 * EPS)
    assert p.mean.equal(h[:, :3])


def test_the_density_of_a_pixel_that_never_changes_is_bounded():
    p = PixelGaussian(min_scale=0.1)(doubles(0.5, -1e4))
    assert p.log_prob(doubles(0.5)).exp().item() == pytest.approx(1 / (0.1 * math.sqrt(2 * math.pi)), rel=1e-14)


@pytest.mark.parametrize("rho", [-8.0, -1.0, 0.0, 2.0])
def test_a_shared_gaussian_is_a_fixed_one_of_its_scale(rho):
    head = SharedGaussian().double()
    with torch.no_grad():
        head.rho.fill_(rho)
    scale = LEAST + math.exp(rho)
    h, x = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    p, expected = head(h), Gaussian(scale)(h)
    torch.testing.assert_close(p.log_prob(x), expected.log_prob(x), rtol=64 * EPS, atol=64 * EPS)
    torch.testing.assert_close(p.variance, torch.full_like(h, scale**2), rtol=16 * EPS, atol=0)
    assert p.mean.equal(h)
    assert p.mode.equal(h)


def scan(h: Tensor, x: Tensor, scales: Tensor) -> float:
    """The largest log-likelihood of a batch that a fixed Gaussian of one of these scales gives."""
    return max(Gaussian(s.item())(h).log_prob(x).sum().item() for s in scales)


@pytest.mark.parametrize("spread", [0.02, 0.5, 4.0])
def test_an_optimal_gaussian_gives_a_batch_the_most_that_any_fixed_scale_gives(spread):
    h = torch.randn(6, 3, 2, dtype=torch.float64)
    x = h + spread * torch.randn_like(h)
    best = OptimalGaussian().double()(h).log_prob(x).sum().item()
    root = (x - h).square().mean().sqrt()
    scales = root * torch.exp(torch.linspace(-1, 1, 401, dtype=torch.float64))
    # the middle of the scan is the root itself: there they agree to the rounding of 36 terms
    assert best == pytest.approx(scan(h, x, scales), rel=1e-13, abs=1e-12)
    neighbors = torch.cat([scales[:200], scales[201:]])
    assert best > scan(h, x, neighbors)


def test_an_optimal_gaussian_stops_at_the_least_scale():
    h = torch.randn(6, 3, dtype=torch.float64)
    for x in (h, h + 1e-4 * torch.randn_like(h)):
        got = OptimalGaussian().double()(h).log_prob(x)
        torch.testing.assert_close(got, Gaussian(LEAST)(h).log_prob(x), rtol=64 * EPS, atol=64 * EPS)


def test_an_optimal_gaussian_in_evaluation_stops_at_the_least_scale_too():
    head, h = OptimalGaussian().double(), torch.randn(6, 3, dtype=torch.float64)
    head(h).log_prob(h)
    x = h + 1e-3
    # the running error is 0 now, whose logarithm is not to be taken
    assert head.error.item() == 0
    got = head.eval()(h).log_prob(x)
    torch.testing.assert_close(got, Gaussian(LEAST)(h).log_prob(x), rtol=64 * EPS, atol=64 * EPS)


def test_a_perfect_reconstruction_has_a_gradient_of_zero_and_not_of_nan():
    h = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    OptimalGaussian().double()(h).log_prob(h.detach()).sum().backward()
    assert h.grad.eq(0).all()


def test_the_loss_of_an_optimal_gaussian_is_the_logarithm_of_its_error():
    """-log p = D/2 log(2 pi e s^2) on average, whose gradient is that of D/2 log s^2 (the paper's equation)."""
    h = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    x = torch.randn(5, 4, dtype=torch.float64)
    loss = -OptimalGaussian().double()(h).log_prob(x).mean()
    error = (x - h).square().mean()
    torch.testing.assert_close(loss, 2 * torch.log(2 * math.pi * math.e * error), rtol=64 * EPS, atol=0)
    (got,) = torch.autograd.grad(loss, h, retain_graph=True)
    (expected,) = torch.autograd.grad(2 * torch.log(error), h)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-15)


def test_the_scale_of_one_example_moves_with_the_errors_of_the_others_in_training_alone():
    h, x = torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    head = OptimalGaussian().double()
    (gradient,) = torch.autograd.grad(head(h).log_prob(x)[0], x)
    # with s^2 = 1: d/ds^2 of -3/2 (log s^2 + 1/s^2) is 0, so here only example 0's own error counts
    torch.testing.assert_close(gradient, torch.tensor([[-1.0], [0.0]]).double().expand(2, 3), rtol=0, atol=1e-14)
    (gradient,) = torch.autograd.grad(head(h).log_prob(x * doubles(1.0, 2.0).T)[0], x)
    assert gradient[1].abs().min() > 0.1
    (gradient,) = torch.autograd.grad(head.eval()(h).log_prob(x * doubles(1.0, 2.0).T)[0], x)
    assert gradient[1].eq(0).all()


def test_the_running_error_is_the_mean_of_the_first_batches_and_then_forgets_by_a_twentieth():
    head = OptimalGaussian().double()
    h = torch.zeros(4, 3, dtype=torch.float64)
    errors = (torch.rand(30, dtype=torch.float64) + 0.5).tolist()
    for n, error in enumerate(errors, 1):
        before = head.error.item()
        head(h).log_prob(torch.full_like(h, math.sqrt(error)))
        if n <= 20:
            # a share of 1/n is exact in float32 to 6e-8
            assert head.error.item() == pytest.approx(sum(errors[:n]) / n, rel=1e-6)
        else:
            assert head.error.item() == pytest.approx(0.95 * before + 0.05 * error, rel=1e-6)
    head.eval()
    kept = head.error.clone()
    x = torch.randn_like(h)
    got = head(h).log_prob(x)
    torch.testing.assert_close(got, Gaussian(kept.sqrt().item())(h).log_prob(x), rtol=64 * EPS, atol=64 * EPS)
    assert head.error.equal(kept)
    assert not head.error.requires_grad


def test_draws_of_an_optimal_gaussian_have_the_running_scale_in_training_too():
    head = OptimalGaussian().double()
    h = torch.zeros(1, 2, dtype=torch.float64)
    head(h).log_prob(torch.full_like(h, 0.2))
    draws = head(h).sample((20_000,))
    # the error of a standard deviation from n normal values is s / sqrt(2 n); five of them
    assert draws.std().item() == pytest.approx(0.2, abs=5 * 0.2 / math.sqrt(2 * 40_000))


def test_a_shared_gaussian_reaches_the_optimal_scale_by_gradient():
    h = torch.randn(50, 4, dtype=torch.float64)
    x = h + 0.1 * torch.randn_like(h)
    head = SharedGaussian().double()

    def loss() -> Tensor:
        return -head(h).log_prob(x).mean()

    for _ in range(60):
        (gradient,) = torch.autograd.grad(loss(), head.rho)
        with torch.no_grad():
            # the curvature at the optimum is 2 D = 8 in log s: this is nearly Newton's step
            head.rho -= gradient / 8
    # each step keeps at most a tenth of the error near the optimum, so 60 of them leave rounding alone
    assert head(h).variance[0, 0].item() == pytest.approx((x - h).square().mean().item(), rel=1e-12)
    best = -OptimalGaussian().double()(h).log_prob(x).mean().item()
    assert loss().item() == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("head", [SharedGaussian, OptimalGaussian])
def test_a_learned_scale_starts_at_what_the_mean_example_leaves(head):
    x = torch.rand(40, 3, 2, dtype=torch.float64)
    part = head().double()
    part.init_from_data(x)
    p = part.eval()(x.mean(0, keepdim=True))
    torch.testing.assert_close(p.variance[0, 0, 0], (x - x.mean(0)).square().mean(), rtol=1e-12, atol=0)
    # data that never changes leaves nothing: the start is then just above the least scale
    part.init_from_data(torch.full((5, 3), 0.25, dtype=torch.float64))
    # a parameter of minus infinity would have that scale too, and no gradient to leave it by
    assert all(bool(torch.isfinite(v).all()) for v in part.state_dict().values())
    scale = part(torch.zeros(1, 3, dtype=torch.float64)).variance.max().sqrt().item()
    assert LEAST * (1 - 1e-12) <= scale <= 1.0011 * LEAST


# the continuous Bernoulli


@pytest.mark.parametrize("slope", SIGNED)
def test_a_continuous_bernoulli_integrates_to_one_and_has_the_moments_of_its_integrals(slope):
    nodes, weights = gauss_legendre(0, 1, 100)
    p = ContinuousBernoulli()(doubles(slope))
    total, mean, variance = moments(p, nodes, weights)
    # a smooth integrand of 1,600 nodes: exact to a few hundred roundings; the closed variance loses 1/slope^2 eps
    assert total.item() == pytest.approx(1, abs=1e-13)
    assert p.mean.item() == pytest.approx(mean.item(), abs=1e-13)
    assert p.variance.item() == pytest.approx(variance.item(), abs=1e-13)


@pytest.mark.parametrize("slope", SIGNED)
def test_the_gradient_of_a_continuous_bernoulli_is_the_data_less_the_mean(slope):
    """An exponential family: d log p / d eta = x - E[x], on both sides of the point where the series takes over."""
    h = doubles(slope).requires_grad_()
    p = ContinuousBernoulli()(h)
    for x in (0.0, 0.3, 1.0):
        (gradient,) = torch.autograd.grad(p.log_prob(doubles(x)).sum(), h)
        # the closed form of the gradient is a difference of terms of size 1/eta: 4 eps at eta = 1/4
        assert gradient.item() == pytest.approx(x - p.mean.item(), abs=32 * EPS)


@pytest.mark.parametrize("slope", [-20.0, -3.0, -0.5, 0.5, 3.0, 20.0])
def test_a_continuous_bernoulli_is_that_of_torch_where_torch_is_exact(slope):
    theirs = TorchContinuousBernoulli(logits=doubles(slope))
    p, x = ContinuousBernoulli()(doubles(slope)), doubles(0.3)
    # torch goes through probabilities: at a logit of 20 their complement has kept 7 digits
    rel = 1e-13 if abs(slope) < 10 else 1e-7
    assert p.log_prob(x).item() == pytest.approx(theirs.log_prob(x).item(), rel=rel)
    assert p.mean.item() == pytest.approx(theirs.mean.item(), rel=rel)
    assert p.variance.item() == pytest.approx(theirs.variance.item(), rel=1e-12 if rel < 1e-10 else 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_logits_of_a_continuous_bernoulli_cannot_overflow(dtype):
    h = torch.tensor([[1e4, -1e4, 800.0, -800.0, 0.0]], dtype=dtype, requires_grad=True)
    p = ContinuousBernoulli()(h)
    # at the likely edge the density is eta itself
    expected = [math.log(1e4)] * 2 + [math.log(800.0)] * 2 + [0.0]
    got = p.log_prob_by_feature(torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.5]], dtype=dtype))
    # a difference of two numbers of 1e4
    torch.testing.assert_close(got[0], torch.tensor(expected, dtype=dtype), rtol=0, atol=4e4 * torch.finfo(dtype).eps)
    for value in (got.sum(), p.mean.sum(), p.variance.sum()):
        (gradient,) = torch.autograd.grad(value, h, retain_graph=True)
        assert bool(torch.isfinite(gradient).all())
    for _ in range(20):
        draw = p.sample((100,))
        assert 0 <= draw.min() <= draw.max() <= 1


@pytest.mark.parametrize("slope", [-60.0, -3.0, -1e-3, 0.0, 0.3, 3.0, 60.0])
def test_draws_of_a_continuous_bernoulli_are_spread_as_its_distribution_function(slope):
    """Kolmogorov and Smirnov: the largest gap of n draws exceeds 1.95 / sqrt(n) once in a thousand times."""
    p, n = ContinuousBernoulli()(doubles(slope)), 200_000
    draws = p.sample((n,)).flatten().sort().values
    exact = draws if slope == 0 else torch.expm1(slope * draws) / math.expm1(slope)
    assert gap(exact) < 1.95 / math.sqrt(n)


def test_the_mode_of_a_continuous_bernoulli_is_the_end_it_rises_to():
    assert IndependentContinuousBernoulli(doubles(-0.1, 0.1, 5.0)).mode.tolist() == [[0.0, 1.0, 1.0]]


# gray levels

GRIDS = {
    "bernoulli": (Bernoulli(), 2),
    "categorical": (Categorical(17), 17),
    "two_levels": (Categorical(2), 2),
    "logistics": (DiscretizedLogistics(3, 17), 17),
    "one_logistic": (DiscretizedLogistics(1, 256), 256),
    "logistics_of_two_levels": (DiscretizedLogistics(2, 2), 2),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("spread", [0.5, 8.0])
@pytest.mark.parametrize("space", [(2,), (2, 3)])
def test_masses_over_the_levels_sum_to_one_and_give_mean_variance_and_mode(name, spread, space):
    head, levels = GRIDS[name]
    p = head(spread * torch.randn(1, head.width(space[0]), *space[1:], dtype=torch.float64))
    grid = torch.arange(levels, dtype=torch.float64) / (levels - 1)
    total, mean, variance = moments(p, grid, torch.ones(levels, dtype=torch.float64))
    # up to 256 masses, each a product of a few roundings
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1024 * EPS)
    torch.testing.assert_close(p.mean, mean, rtol=0, atol=1024 * EPS)
    if not name.startswith(("logistic", "one")):
        torch.testing.assert_close(p.variance, variance, rtol=0, atol=1024 * EPS)
    x = grid.reshape(-1, 1, *(1,) * len(space)).expand(-1, 1, *space)
    masses = log_prob_by_feature(p, x)
    torch.testing.assert_close(masses.max(0).values, log_prob_by_feature(p, p.mode), rtol=0, atol=1024 * EPS)


@pytest.mark.parametrize("name", GRIDS)
def test_drawn_levels_come_as_often_as_their_mass_says(name):
    head, levels = GRIDS[name]
    p, n = head(2 * torch.randn(2, head.width(2), 3, dtype=torch.float64)), 4_000
    draws = (p.sample((n // 4, 4)) * (levels - 1)).round()
    x = torch.arange(levels, dtype=torch.float64) / (levels - 1)
    masses = log_prob_by_feature(p, x.reshape(-1, 1, 1, 1).expand(-1, 2, 2, 3)).exp()
    often = torch.stack([(draws == k).double().mean((0, 1)) for k in range(levels)])
    # the count of a level is binomial: six standard errors (12 x 256 are looked at), and one draw's worth
    error = (masses * (1 - masses) / n).sqrt()
    assert bool(((often - masses).abs() <= 6 * error + 1 / n).all())


def test_a_categorical_is_that_of_torch_and_keeps_the_logits_of_a_level_side_by_side():
    h = torch.randn(3, 5 * 2, 4, dtype=torch.float64)
    logits = h.reshape(3, 5, 2, 4).movedim(1, -1)
    index = torch.randint(5, (7, 3, 2, 4))
    expected = Independent(TorchCategorical(logits=logits), 2).log_prob(index)
    torch.testing.assert_close(Categorical(5)(h).log_prob(index / 4.0), expected, rtol=64 * EPS, atol=0)


@pytest.mark.parametrize("levels", [50, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gray_levels_find_their_own_level_though_they_are_rounded(levels, dtype):
    """1/49 times 49 is below 1 in both precisions: a level is the nearest, not the one below."""
    logits = torch.randn(1, levels, levels, dtype=torch.float64)
    x = (torch.arange(levels, dtype=torch.uint8).to(dtype) / (levels - 1))[None]
    expected = torch.log_softmax(logits, 1)[0].diagonal()[None]
    assert Categorical(levels)(logits.flatten(1)).log_prob_by_feature(x).equal(expected)


def test_the_mass_of_a_mixture_is_the_sum_over_components_of_differences_of_sigmoids():
    levels, h = 17, torch.randn(1, 6, dtype=torch.float64)
    p = DiscretizedLogistics(2, levels)(h)
    least = 0.02 * 2 / (levels - 1)
    for k in range(levels):
        y, half = 2 * k / (levels - 1) - 1, 1 / (levels - 1)
        expected = 0.0
        for share, loc, rho in zip(torch.softmax(h[0, :2], 0), h[0, 2:4], h[0, 4:], strict=True):
            scale = rho.exp() + least
            above = torch.sigmoid((y + half - loc) / scale) if k < levels - 1 else 1.0
            below = torch.sigmoid((y - half - loc) / scale) if k > 0 else 0.0
            expected += share * (above - below)
        # a difference of numbers of up to 1
        assert p.log_prob(doubles(k / (levels - 1))).exp().item() == pytest.approx(float(expected), abs=32 * EPS)


def test_the_mass_far_from_a_narrow_logistic_is_its_tail_and_not_zero():
    """A scale of a fiftieth of a level: from the middle to the edge the logarithm falls by the distance over it."""
    levels = 256
    scale = 0.02 * 2 / (levels - 1)
    h = doubles(0.0, 0.0, -1e4).requires_grad_()
    log_p = DiscretizedLogistics(1, levels)(h).log_prob(doubles(1.0))
    edge = 1 - 1 / (levels - 1)
    assert log_p.item() == pytest.approx(-edge / scale, rel=1e-12)
    (gradient,) = torch.autograd.grad(log_p, h)
    assert gradient[0, 1].item() == pytest.approx(1 / scale, rel=1e-12)
    assert bool(torch.isfinite(gradient).all())


# gradients, draws, starts


HEADS = {
    "bernoulli": Bernoulli(),
    "continuous_bernoulli": ContinuousBernoulli(),
    "gaussian": Gaussian(0.5),
    "shared_gaussian": SharedGaussian(),
    "optimal_gaussian": OptimalGaussian(),
    "optimal_gaussian_in_evaluation": OptimalGaussian().eval(),
    "pixel_gaussian": PixelGaussian(),
    "laplace": Laplace(0.5),
    "student_t": StudentT(3.0, 0.5),
    "categorical": Categorical(5),
    "discretized_logistics": DiscretizedLogistics(2, 5),
}


@pytest.mark.parametrize("name", HEADS)
def test_the_gradient_of_the_log_likelihood_of_each_value_is_that_of_finite_differences(name):
    head = HEADS[name].double()
    h = torch.randn(2, head.width(2), 2, dtype=torch.float64, requires_grad=True)
    x = (torch.rand(2, 2, 2, dtype=torch.float64) * 4).round() / 4
    assert gradcheck(lambda features: log_prob_by_feature(head(features), x), h)


@pytest.mark.parametrize("name", HEADS)
def test_many_draws_have_the_mean_and_do_not_repeat(name):
    head = HEADS[name].double()
    p = head(torch.randn(2, head.width(3), dtype=torch.float64))
    draws = p.sample((20_000,))
    assert bool(((draws.mean(0) - p.mean).abs() < 5 * draws.std(0) / math.sqrt(20_000)).all())
    assert not draws[0].equal(draws[1]) or not draws[1].equal(draws[2])
    assert not p.sample().requires_grad


def test_a_bernoulli_that_starts_from_the_mean_is_the_mean_of_the_data_where_its_logits_are_zero():
    x = torch.rand(30, 2, 3, dtype=torch.float64).round()
    x[:, 0, 0], x[:, 0, 1] = 0, 1
    head = Bernoulli((2, 3), from_mean=True).double()
    assert list(head.state_dict()) == ["offset"]
    head.init_from_data(x)
    expected = x.mean(0).clamp(0.001, 0.999).expand(4, 2, 3)
    zeros = torch.zeros(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(head(zeros).mean, expected, rtol=16 * EPS, atol=0)
    assert head(zeros).mean[0, 0, :2].tolist() == pytest.approx([0.001, 0.999], rel=1e-14)
    h = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(head(h).logits, h + head.offset, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3, 3)])
def test_a_gaussian_that_starts_from_the_mean_is_the_mean_of_the_data_where_its_features_are_zero(shape):
    x = torch.rand(30, *shape, dtype=torch.float64)
    x[:20, 0] = math.nan
    head = Gaussian(2.0, shape, from_mean=True).double()
    head.init_from_data(x)
    zeros = torch.zeros(5, *shape, dtype=torch.float64)
    # frames share one mean image
    expected = x.nanmean((0, 1) if len(shape) == 4 else 0)
    torch.testing.assert_close(head(zeros).mean, expected.expand(5, *shape))
    assert not head.identity_mean
    assert Gaussian().identity_mean
    assert Gaussian().state_dict() == {}
    with pytest.raises(BadOption, match=r"^A Gaussian likelihood with from_mean=True requires the shape"):
        Gaussian(from_mean=True)


def test_a_bernoulli_that_does_not_start_from_the_mean_keeps_nothing_and_adds_nothing():
    head = Bernoulli((2, 3))
    head.init_from_data(torch.rand(5, 2, 3))
    h = torch.randn(4, 2, 3)
    assert head(h).logits is h
    assert head.state_dict() == {}


@pytest.mark.parametrize("likelihood", [SharedGaussian(), OptimalGaussian()])
def test_a_model_finds_the_noise_of_its_data(likelihood):
    """A line in 12 dimensions and noise of 0.1: the code takes the noise along the line too, 1/12 of all."""
    x = torch.randn(500, 1) @ torch.ones(1, 12) + 0.1 * torch.randn(500, 12)
    latent = latents.Deterministic()
    encoder, decoder, _ = nets.linear((12,), 1, latent, likelihood)
    objective = Objective(Autoencoder(encoder, decoder, latent, likelihood, shape=(12,)))
    objective.init_from_data(x)
    step = torch.optim.Adam(objective.parameters(), lr=0.02)
    for _ in range(300):
        step.zero_grad()
        objective(x).total.backward()
        step.step()
    found = objective.eval().model.output(torch.zeros(1, 1)).variance[0, 0].sqrt().item()
    # the root of the mean square of 500 x 11 values has an error of 1 / sqrt(2 x 5,500) = 1 %; five of them
    assert found == pytest.approx(0.1 * math.sqrt(11 / 12), rel=0.05)
