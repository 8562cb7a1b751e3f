"""Densities of codes: integrals, densities of torch and of scikit-learn, samples, and what held-out codes decide."""

import math

import pytest
import torch
from scipy.stats import kstest, norm
from sklearn.neighbors import KernelDensity as Reference
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from isthmus.densities import CategoricalMixture, Density, Flow, GaussianMixture, KernelDensity, fitting
from isthmus.densities.base import check_tensors
from isthmus.densities.fitting import DENSITIES, categorical, fit_density
from isthmus.errors import BadData, BadOption

REAL = sorted(DENSITIES)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def correlated(n: int, d: int = 2, seed: int = 0) -> Tensor:
    """Codes of two clusters with correlated values of different scales."""
    mixing = torch.ones(d, d, dtype=torch.float64).tril() * torch.logspace(-1, 1, d, dtype=torch.float64)[:, None]
    cluster = torch.where(normal(n, 1, seed=seed + 50) > 0, 3.0, -3.0) * torch.eye(d, dtype=torch.float64)[0]
    return (normal(n, d, seed=seed) + cluster) @ mixing.T


def fitted(kind: str, d: int = 2) -> Density:
    return fit_density(kind, correlated(400, d), correlated(100, d, seed=7)).density


def mixture() -> GaussianMixture:
    factors = torch.stack([torch.tensor([[0.5, 0.0], [0.3, 0.2]]), torch.tensor([[1.0, 0.0], [-0.4, 0.7]])])
    return GaussianMixture(torch.tensor([0.3, 0.7]), torch.tensor([[1.0, 2.0], [-1.0, 0.0]]), factors)


def grid_of(codes: Tensor, points: int = 500) -> tuple[Tensor, float]:
    """Evenly spaced codes in coordinates in which the codes are uncorrelated, and the area of a cell between them."""
    factor = torch.linalg.cholesky(torch.cov(codes.T))
    side = torch.linspace(-5, 5, points, dtype=torch.float64)
    cell = float(side[1] - side[0]) ** 2 * float(factor.diagonal().prod())
    return codes.mean(0) + torch.cartesian_prod(side, side) @ factor.T, cell


@pytest.mark.parametrize("kind", REAL)
def test_a_density_integrates_to_one(kind):
    grid, cell = grid_of(correlated(400))
    # beyond five standard deviations is nothing, and a sum over a smooth density is exact to many digits
    assert fitted(kind).log_prob(grid).exp().sum().item() * cell == pytest.approx(1, abs=2e-3)


def test_the_probabilities_of_all_rows_of_symbols_sum_to_one():
    s = torch.randint(0, 3, (200, 4), generator=torch.Generator().manual_seed(0))
    density = categorical(s[:150], s[150:], symbols=3).density
    rows = torch.cartesian_prod(*[torch.arange(3)] * 4)
    assert density.log_prob(rows).exp().sum().item() == pytest.approx(1, abs=1e-9)


def test_the_density_of_a_mixture_is_that_of_torch():
    made = mixture()
    parts = MultivariateNormal(made.means, scale_tril=made.factors)
    expected = MixtureSameFamily(Categorical(made.weights), parts)
    z = 2 * normal(50, 2)
    torch.testing.assert_close(made.log_prob(z), expected.log_prob(z), rtol=1e-12, atol=1e-12)


def test_a_gaussian_has_the_mean_and_covariance_of_the_codes():
    z = correlated(400, 3)
    density = fit_density("gaussian", z, z[:10]).density
    assert isinstance(density, GaussianMixture)
    factor = density.factors[0]
    torch.testing.assert_close(density.means[0], z.mean(0))
    # a millionth of the variance is added, and one of the mean variance
    cov = torch.cov(z.T, correction=0)
    assert ((factor @ factor.T - cov).abs() <= 3e-6 * (cov.diagonal().mean() + cov.abs().max())).all()


def test_a_kernel_density_is_that_of_scikit_learn_in_whitened_coordinates():
    points, factor = normal(40, 2), torch.tensor([[2.0, 0.0], [0.5, 0.3]], dtype=torch.float64)
    density = KernelDensity(points @ factor.T, factor, torch.tensor([0.4]))
    expected = Reference(bandwidth=0.4).fit(points.numpy()).score_samples(normal(30, 2, seed=1).numpy())
    found = density.log_prob(normal(30, 2, seed=1) @ factor.T) + factor.diagonal().log().sum()
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", REAL)
def test_samples_have_the_moments_that_the_density_has(kind):
    density = fitted(kind)
    torch.manual_seed(0)
    drawn = density.sample(20_000)
    grid, _ = grid_of(drawn)
    weight = density.log_prob(grid).exp()
    weight = weight / weight.sum()
    mean = weight @ grid
    variance = weight @ (grid - mean).square()
    # five standard errors, and the cells of the grid
    assert ((drawn.mean(0) - mean).abs() < 5 * drawn.std(0) / math.sqrt(20_000) + 0.02 * drawn.std(0)).all()
    assert ((drawn.var(0) / variance - 1).abs() < 0.08).all()


@pytest.mark.parametrize("kind", ["gaussian", "gmm", "kde"])
def test_at_temperature_zero_samples_are_the_centers(kind):
    density = fitted(kind)
    centers = density.points if isinstance(density, KernelDensity) else density.means  # type: ignore[attr-defined]
    torch.manual_seed(0)
    drawn = density.sample(50, temperature=0.0)
    assert (drawn[:, None] - centers).square().sum(2).min(1).values.max() == 0


def test_the_temperature_multiplies_the_standard_deviation():
    density = GaussianMixture(torch.ones(1), torch.tensor([[5.0]]), torch.tensor([[[2.0]]]))
    torch.manual_seed(0)
    drawn = density.sample(4000, temperature=0.5).flatten().numpy()
    assert kstest(drawn, norm(5, 1).cdf).pvalue > 1e-3


def test_symbols_are_sampled_with_their_probabilities():
    p = torch.tensor([[[0.2, 0.8, 0.0], [0.5, 0.25, 0.25]]])
    density = CategoricalMixture(torch.ones(1), p)
    torch.manual_seed(0)
    drawn = density.sample(20_000)
    for position in range(2):
        share = torch.bincount(drawn[:, position], minlength=3) / 20_000
        torch.testing.assert_close(share, p[0, position], rtol=0, atol=0.02)
    assert density.sample(5, temperature=0.0).tolist() == [[1, 0]] * 5


def test_the_number_of_components_is_that_of_the_clusters():
    centers = torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0], [8.0, 8.0], [4.0, 4.0]], dtype=torch.float64)
    z = centers[torch.arange(1500) % 5] + 0.5 * normal(1500, 2)
    found = fit_density("gmm", z[300:], z[:300])
    assert isinstance(found.density, GaussianMixture)
    assert found.choice == "5 components"
    assert found.held_out > fit_density("gaussian", z[300:], z[:300]).held_out + 1


def test_clusters_of_symbols_are_found_and_independent_symbols_stay_one_component():
    draw = torch.Generator().manual_seed(3)
    cluster = torch.randint(0, 2, (1000, 1), generator=draw)
    flips = (torch.rand(1000, 8, generator=draw) < 0.1).long()
    s = (cluster + flips) % 2
    assert categorical(s[200:], s[:200], symbols=2).choice == "2 components"
    independent = torch.randint(0, 2, (1000, 8), generator=draw)
    assert categorical(independent[200:], independent[:200], symbols=2).choice == "1 component"


def test_the_bandwidth_is_the_one_with_the_highest_likelihood_of_other_codes():
    z, other = correlated(300), correlated(200, seed=5)
    found = fit_density("kde", z, other)
    density = found.density
    assert isinstance(density, KernelDensity)
    for factor in (0.6, 1.6):
        worse = KernelDensity(density.points, density.factor, factor * density.bandwidth)
        assert worse.log_prob(other).mean() < found.held_out


def test_a_dimension_without_variance_leaves_the_density_finite():
    z = torch.cat([normal(100, 2), torch.full((100, 1), 3.0)], 1)
    for kind in ("gaussian", "gmm", "kde"):
        found = fit_density(kind, z[20:], z[:20])
        assert math.isfinite(found.held_out)
        torch.manual_seed(0)
        assert (found.density.sample(50)[:, 2] - 3).abs().max() < 0.1


@pytest.mark.parametrize("kind", REAL)
def test_a_density_is_made_again_from_its_tensors(kind):
    density = fitted(kind)
    again = type(density).from_tensors(density.tensors())
    z = correlated(30)
    assert again.log_prob(z).equal(density.log_prob(z))
    assert again.size == 2


def test_damaged_tensors_are_refused():
    good = mixture().tensors()
    for name, value in {
        "weights": torch.tensor([0.5, 0.6]),
        "means": torch.zeros(3, 2),
        "factors": torch.full((2, 2, 2), math.nan),
    }.items():
        with pytest.raises(BadData):
            GaussianMixture.from_tensors(good | {name: value})
    with pytest.raises(BadData, match="weights, means, factors"):
        GaussianMixture.from_tensors({"weights": good["weights"]})
    with pytest.raises(BadData):
        GaussianMixture.from_tensors(good | {"factors": -good["factors"]})
    with pytest.raises(BadData):
        KernelDensity(torch.zeros(3, 2), torch.eye(2), torch.zeros(1))
    with pytest.raises(BadData):
        CategoricalMixture(torch.ones(1), torch.full((1, 2, 2), 0.7))
    with pytest.raises(BadData):
        Flow(torch.zeros(2), torch.zeros(2))
    assert check_tensors(good, GaussianMixture.shapes) == {"K": 2, "d": 2}


def test_too_few_codes_and_too_many_values_are_refused(monkeypatch):
    with pytest.raises(BadData, match="at least 4 codes"):
        fit_density("gmm", normal(3, 2), normal(1, 2))
    monkeypatch.setitem(fitting.MOST_VALUES, "gmm", 4)
    with pytest.raises(BadData, match="at most 4 values, but they have 5"):
        fit_density("gmm", normal(50, 5), normal(5, 5))
    with pytest.raises(BadOption, match="did you mean 'gmm'"):
        fit_density("gnm", normal(50, 5), normal(5, 5))


@pytest.mark.parametrize("temperature", [-0.1, math.nan, 11])
def test_a_temperature_out_of_range_is_refused(temperature):
    with pytest.raises(BadOption, match="temperature"):
        mixture().sample(2, temperature=temperature)
