"""Distances between samples and the total correlation: closed forms, exact sums over small sets, and sampling laws."""

import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from isthmus.errors import BadData, BadOption
from isthmus.functional import (
    kernel_matrix,
    log_aggregate_posterior,
    random_directions,
    samples,
    sliced_wasserstein,
    squared_mmd,
    total_correlation,
)

EPS = torch.finfo(torch.float64).eps
each_kernel = pytest.mark.parametrize("kernel", ["gaussian", "imq"])
each_estimator = pytest.mark.parametrize("estimator", ["stratified", "weighted"])


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def same(got: Tensor, expected: Tensor | float) -> None:
    """Equal up to 1000 roundings: sums of at most some hundred terms of the size of the result."""
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=got.dtype), rtol=1000 * EPS, atol=1000 * EPS)


def means(values: Tensor, expected: float) -> bool:
    """Whether draws have a mean, by 5 standard errors."""
    return abs(values.mean().item() - expected) < 5 * values.std().item() / math.sqrt(len(values))


def kernel_of(kernel: str, x: Tensor, y: Tensor, scale: float) -> float:
    """One value of a kernel, as the papers write it."""
    squared, c = sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True)), 2 * len(x) * scale**2
    if kernel == "gaussian":
        return math.exp(-squared / c)
    return sum(s * c / (s * c + squared) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))


def mean_kernel(kernel: str, pairs: list[tuple[Tensor, Tensor]], scale: float) -> float:
    return sum(kernel_of(kernel, a, b, scale) for a, b in pairs) / len(pairs)


@each_kernel
def test_a_kernel_is_that_of_its_formula_for_each_pair(kernel):
    x, y = normal(4, 3), 2 * normal(5, 3)
    expected = [[kernel_of(kernel, a, b, 0.7) for b in y] for a in x]
    same(kernel_matrix(x, y, kernel, 0.7), expected)


@each_kernel
def test_a_kernel_does_not_change_when_codes_and_scale_grow_alike(kernel):
    x, y = normal(4, 3), normal(5, 3)
    same(kernel_matrix(3 * x, 3 * y, kernel, 3.0), kernel_matrix(x, y, kernel))


@each_kernel
def test_a_kernel_keeps_its_digits_far_from_the_origin(kernel):
    x = (1e4 + normal(6, 3)).float()
    # the inputs are exact in both; differences of 1 lose nothing, each value is a few operations in float32
    expected = kernel_matrix(x.double(), x.double(), kernel).float()
    torch.testing.assert_close(kernel_matrix(x, x, kernel), expected, rtol=1e-5, atol=1e-6)


def test_the_scales_of_the_inverse_multiquadratic_are_those_of_the_paper():
    assert samples.IMQ_SCALES == (0.1, 0.2, 0.5, 1, 2, 5, 10)


@each_kernel
def test_the_biased_discrepancy_is_the_mean_over_all_pairs(kernel):
    x, y = normal(4, 3), 1 + normal(6, 3)
    pairs = [list(itertools.product(a, b)) for a, b in ((x, x), (y, y), (x, y))]
    xx, yy, xy = (mean_kernel(kernel, p, 0.8) for p in pairs)
    same(squared_mmd(x, y, kernel, 0.8, unbiased=False), xx + yy - 2 * xy)


@each_kernel
def test_the_unbiased_discrepancy_leaves_out_the_pairs_of_a_point_with_itself(kernel):
    x, y = normal(4, 3), 1 + normal(6, 3)
    xx, yy = (mean_kernel(kernel, list(itertools.permutations(v, 2)), 0.8) for v in (x, y))
    xy = mean_kernel(kernel, list(itertools.product(x, y)), 0.8)
    same(squared_mmd(x, y, kernel, 0.8), xx + yy - 2 * xy)


@each_kernel
@pytest.mark.parametrize("n", [1, 7])
def test_the_biased_discrepancy_of_a_sample_from_itself_is_exactly_zero(kernel, n):
    x = normal(n, 3)
    assert squared_mmd(x, x, kernel, unbiased=False).item() == 0


@each_kernel
def test_the_mean_of_the_unbiased_discrepancy_of_equal_distributions_is_zero_and_of_the_biased_is_not(kernel):
    pairs = [(normal(10, 2), normal(15, 2)) for _ in range(500)]
    assert means(torch.stack([squared_mmd(x, y, kernel) for x, y in pairs]), 0.0)
    assert not means(torch.stack([squared_mmd(x, y, kernel, unbiased=False) for x, y in pairs]), 0.0)


def test_the_gaussian_discrepancy_of_two_gaussians_has_its_closed_form():
    d, scale, shift, spread = 2, 0.9, 1.2, 0.6
    c = 2 * d * scale**2

    def expected_kernel(distance: float, variance: float) -> float:
        """Mean of exp(-u^2 / C) for u of that mean in the first coordinate, and that variance in each."""
        return (c / (c + 2 * variance)) ** (d / 2) * math.exp(-(distance**2) / (c + 2 * variance))

    closed = expected_kernel(0, 2) + expected_kernel(0, 2 * spread**2) - 2 * expected_kernel(shift, 1 + spread**2)
    at = torch.tensor([shift, 0.0]).double()
    draws = [squared_mmd(normal(20, d), at + spread * normal(25, d), "gaussian", scale) for _ in range(1000)]
    assert means(torch.stack(draws), closed)


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 1)])
def test_a_point_alone_has_no_unbiased_discrepancy(n, m):
    message = rf"^The unbiased discrepancy requires at least two points per sample, .* have {n} and {m}\. Pass larger"
    with pytest.raises(BadData, match=message):
        squared_mmd(normal(n, 2), normal(m, 2))


@each_kernel
@pytest.mark.parametrize("unbiased", [False, True])
def test_the_gradient_of_the_discrepancy_is_that_of_finite_differences(kernel, unbiased):
    x, y = normal(4, 2).requires_grad_(), normal(3, 2).requires_grad_()
    assert gradcheck(lambda a, b: squared_mmd(a, b, kernel, unbiased=unbiased), (x, y))


@each_kernel
def test_codes_that_coincide_have_a_finite_gradient(kernel):
    x = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    squared_mmd(x, torch.zeros(4, 2).double(), kernel).backward()
    assert x.grad.equal(torch.zeros(3, 2, dtype=torch.float64))


def test_an_unknown_kernel_and_a_scale_of_zero_are_refused():
    allowed = r"^The kernel cannot be 'imp'; did you mean 'imq'\? Allowed: gaussian, imq, polynomial\.$"
    with pytest.raises(BadOption, match=allowed):
        kernel_matrix(normal(2, 2), normal(2, 2), "imp")
    with pytest.raises(BadOption, match=r"^The kernel's scale must be above 0, but is 0\.$"):
        squared_mmd(normal(2, 2), normal(2, 2), scale=0.0)


def test_in_one_dimension_the_sliced_distance_is_the_best_of_all_pairings():
    x, y = normal(5, 1), 2 * normal(5, 1)
    best = min((x - y[list(order)]).square().mean().item() for order in itertools.permutations(range(5)))
    same(sliced_wasserstein(x, y, torch.tensor([[1.0], [-1.0]]).double()), best)


def test_the_sliced_distance_of_a_shifted_sample_is_the_mean_squared_shift_along_the_lines():
    x, shift = normal(9, 3), normal(3)
    lines = random_directions(4, x)
    moved = (x + shift)[torch.randperm(9)]
    same(sliced_wasserstein(x, moved, lines), (lines @ shift).square().mean())
    same(sliced_wasserstein(x, x[torch.randperm(9)], lines), 0.0)


def test_lines_are_of_unit_length_and_point_everywhere_alike():
    lines = random_directions(4000, normal(1, 3))
    same(lines.square().sum(1), torch.ones(4000))
    products = lines[:, :, None] * lines[:, None, :]
    assert all(means(products[:, i, j], 1 / 3 if i == j else 0.0) for i in range(3) for j in range(3))
    assert all(means(lines[:, i], 0.0) for i in range(3))


def test_lines_have_the_type_of_the_codes():
    assert random_directions(2, torch.zeros(1, 3)).dtype == torch.float32
    assert random_directions(2, normal(1, 3)).dtype == torch.float64


def test_the_sliced_distance_refuses_samples_of_different_size():
    message = (
        r"^The sliced Wasserstein distance requires samples of equal size, but the sizes are 3 and 4\. Pass as many "
    )
    with pytest.raises(BadData, match=message):
        sliced_wasserstein(normal(3, 2), normal(4, 2), random_directions(2, normal(1, 2)))


def test_the_gradient_of_the_sliced_distance_is_that_of_finite_differences():
    y, lines = normal(5, 2), random_directions(3, normal(1, 2))
    assert gradcheck(lambda x: sliced_wasserstein(x, y, lines), (normal(5, 2).requires_grad_(),))


def posteriors(n: int, d: int) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, each drawn from its own Gaussian, with the means and log standard deviations."""
    loc, log_scale = 1.5 * normal(n, d), 0.3 * normal(n, d) - 0.5
    return loc + log_scale.exp() * normal(n, d), loc, log_scale


def mixture(loc: Tensor, log_scale: Tensor) -> MixtureSameFamily:
    """The aggregate posterior of all these Gaussians."""
    each = Independent(Normal(loc, log_scale.exp()), 1)
    return MixtureSameFamily(Categorical(loc.new_ones(len(loc))), each)


def exact(z: Tensor, loc: Tensor, log_scale: Tensor) -> tuple[Tensor, Tensor]:
    """Log-densities of whole codes and of their coordinates under the aggregate posterior, by torch."""
    columns = [mixture(loc[:, [k]], log_scale[:, [k]]).log_prob(z[:, [k]]) for k in range(z.shape[1])]
    return mixture(loc, log_scale).log_prob(z), torch.stack(columns, 1)


@pytest.mark.parametrize("population", [0, 3, 7])
def test_with_the_whole_data_set_as_the_batch_the_stratified_density_is_that_of_the_mixture(population):
    z, loc, log_scale = posteriors(7, 3)
    joint, marginals = log_aggregate_posterior(z, loc, log_scale, population, "stratified")
    expected = exact(z, loc, log_scale)
    same(joint, expected[0])
    same(marginals, expected[1])


def test_with_the_whole_data_set_as_the_batch_the_weighted_density_is_that_of_the_mixture_over_n():
    z, loc, log_scale = posteriors(7, 3)
    joint, marginals = log_aggregate_posterior(z, loc, log_scale)
    expected = exact(z, loc, log_scale)
    same(joint, expected[0] - math.log(7))
    same(marginals, expected[1] - math.log(7))
    correlation = (expected[0] - expected[1].sum(1)).mean()
    same(total_correlation(z, loc, log_scale, 7, "stratified"), correlation)
    same(total_correlation(z, loc, log_scale, 7, "weighted"), correlation + 2 * math.log(7))


def batches_with(first: int, n: int, size: int) -> list[list[int]]:
    """All batches of that size that hold one example, which stands first."""
    others = [i for i in range(n) if i != first]
    return [[first, *rest] for rest in itertools.combinations(others, size - 1)]


def test_the_mean_of_the_stratified_density_over_all_batches_is_the_exact_density():
    z, loc, log_scale = posteriors(6, 2)
    estimates = [
        [v[0].exp() for v in log_aggregate_posterior(z[b], loc[b], log_scale[b], 6, "stratified")]
        for b in batches_with(2, 6, 3)
    ]
    joint, marginals = exact(z, loc, log_scale)
    same(torch.stack([e[0] for e in estimates]).mean(), joint[2].exp())
    same(torch.stack([e[1] for e in estimates]).mean(0), marginals[2].exp())


def test_the_weighted_density_is_a_share_of_the_exact_one_in_every_batch():
    z, loc, log_scale = posteriors(6, 2)
    joint = exact(z, loc, log_scale)[0][2]
    for batch in batches_with(2, 6, 3):
        inside = mixture(loc[batch], log_scale[batch]).log_prob(z[2])
        got = log_aggregate_posterior(z[batch], loc[batch], log_scale[batch], 6).joint[0]
        same(got, inside - math.log(6))
        assert got < joint


@each_estimator
@pytest.mark.parametrize("n", [1, 2, 7, 64])
@pytest.mark.parametrize("population", [0, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_total_correlation_of_a_single_coordinate_is_exactly_zero(estimator, n, population, dtype):
    z, loc, log_scale = (v.to(dtype) for v in posteriors(n, 1))
    assert total_correlation(z, loc, log_scale, population, estimator).item() == 0


def test_coordinates_whose_aggregate_factorises_share_nothing():
    # means on a full grid, one scale: the mixture is the product of its marginals, at every point
    loc = torch.cartesian_prod(normal(5), normal(4))
    log_scale = torch.full_like(loc, -0.7)
    z = loc + log_scale.exp() * normal(20, 2)
    same(total_correlation(z, loc, log_scale, estimator="stratified"), 0.0)
    same(total_correlation(z, loc, log_scale, estimator="weighted"), math.log(20))


@pytest.mark.parametrize("population", [5, 50])
def test_posteriors_that_do_not_overlap_share_all_they_can(population):
    d, n = 3, 5
    loc = 1000 * torch.arange(1.0, n + 1).double()[:, None].expand(n, d)
    log_scale = torch.zeros_like(loc)
    z = loc + normal(n, d)
    same(total_correlation(z, loc, log_scale, population, "stratified"), (d - 1) * math.log(population))
    same(total_correlation(z, loc, log_scale, population, "weighted"), (d - 1) * math.log(population * n))


@each_estimator
def test_one_example_alone_counts_as_one_that_nothing_overlaps(estimator):
    z, loc, log_scale = posteriors(1, 3)
    same(total_correlation(z, loc, log_scale, 40, estimator), 2 * math.log(40))
    same(total_correlation(z, loc, log_scale, 0, estimator), 0.0)


@each_estimator
def test_the_densities_do_not_depend_on_how_many_are_held_at_a_time(estimator, monkeypatch):
    z, loc, log_scale = posteriors(7, 3)
    whole = log_aggregate_posterior(z, loc, log_scale, 20, estimator)
    for most in (1, 2 * 21, 5 * 21):
        monkeypatch.setattr(samples, "MOST_DENSITIES", most)
        got = log_aggregate_posterior(z, loc, log_scale, 20, estimator)
        same(got.joint, whole.joint)
        same(got.marginals, whole.marginals)


@each_estimator
def test_narrow_posteriors_give_finite_values_and_gradients(estimator):
    loc = torch.randn(4, 3, requires_grad=True)
    log_scale = torch.full((4, 3), -40.0, requires_grad=True)
    value = total_correlation(loc + log_scale.exp() * torch.randn(4, 3), loc, log_scale, 9, estimator)
    value.backward()
    assert bool(torch.isfinite(value))
    assert bool(torch.isfinite(loc.grad).all() and torch.isfinite(log_scale.grad).all())


@each_estimator
def test_the_gradient_of_the_total_correlation_is_that_of_finite_differences(estimator):
    inputs = [v.requires_grad_() for v in posteriors(4, 2)]
    assert gradcheck(lambda z, loc, s: total_correlation(z, loc, s, 9, estimator), inputs)


def test_an_unknown_estimator_is_refused():
    message = r"^The estimator cannot be 'weighed'; did you mean 'weighted'\? Allowed: stratified, weighted\.$"
    with pytest.raises(BadOption, match=message):
        total_correlation(*posteriors(2, 2), estimator="weighed")
