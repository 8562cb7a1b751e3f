"""Missing values are left out of a density exactly: what is left is the density of the observed values."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal

from isthmus.distributions import CalibratedGaussian
from isthmus.distributions.observed import Observed
from isthmus.errors import IncompatibleParts
from isthmus.models.recipe import options_of
from isthmus.parts.likelihoods import LIKELIHOODS, OptimalGaussian

D, KEPT = 5, [0, 2, 3]
FILL = torch.full((1, 1), 0.4, dtype=torch.float64)
every_kind = pytest.mark.parametrize("kind", LIKELIHOODS)


def head(kind: str) -> torch.nn.Module:
    options = {"levels": 4} if "levels" in options_of(LIKELIHOODS[kind]).model_fields else {}
    return LIKELIHOODS[kind](**options).double()


def values(kind: str, n: int = 6) -> Tensor:
    return torch.randint(4, (n, D)).double() / 3


@every_kind
@pytest.mark.parametrize("training", [True, False])
def test_a_missing_feature_leaves_the_density_and_gradient_of_the_others(kind, training):
    likelihood, x = head(kind).train(training), values(kind)
    each = likelihood.width(D) // D
    h = torch.randn(6, each, D, dtype=torch.float64)
    whole = h.flatten(1).requires_grad_()
    part = h[:, :, KEPT].flatten(1).requires_grad_()
    holes = torch.full_like(x, torch.nan)
    holes[:, KEPT] = x[:, KEPT]
    got = Observed(likelihood(whole), FILL).log_prob(holes)
    expected = likelihood(part).log_prob(x[:, KEPT])
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)
    got.sum().backward()
    expected.sum().backward()
    gradient = whole.grad.reshape(6, each, D)
    torch.testing.assert_close(gradient[:, :, KEPT].flatten(1), part.grad, rtol=1e-12, atol=1e-13)
    others = [j for j in range(D) if j not in KEPT]
    assert gradient[:, :, others].count_nonzero() == 0


@every_kind
def test_other_values_can_be_missing_in_each_example_and_nothing_depends_on_the_fill(kind):
    likelihood, x = head(kind).eval(), values(kind)
    p = likelihood(torch.randn(6, likelihood.width(D), dtype=torch.float64))
    missing = torch.rand(6, D) < 0.4
    missing[0], missing[1] = True, False
    holes = x.masked_fill(missing, torch.nan)
    one, two = Observed(p, FILL), Observed(p, torch.ones(1, D, dtype=torch.float64))
    by_feature = one.log_prob_by_feature(holes)
    assert by_feature[missing].count_nonzero() == 0
    complete = Observed(p, FILL).log_prob_by_feature(x)
    torch.testing.assert_close(by_feature[~missing], complete[~missing], rtol=1e-14, atol=0)
    torch.testing.assert_close(one.log_prob(holes), by_feature.sum(1), rtol=1e-14, atol=0)
    assert torch.equal(one.log_prob(holes), two.log_prob(holes))
    assert one.log_prob(holes)[0] == 0
    torch.testing.assert_close(one.log_prob(x), p.log_prob(x), rtol=1e-13, atol=0)


def test_the_moments_and_samples_are_those_of_the_distribution():
    p = Independent(Normal(torch.randn(3, D), 0.5), 1)
    observed = Observed(p, FILL.float())
    assert torch.equal(observed.mean, p.mean)
    assert torch.equal(observed.mode, p.mode)
    assert torch.equal(observed.variance, p.variance)
    assert torch.equal(observed.stddev, p.stddev)
    torch.manual_seed(0)
    expected = p.sample((2,))
    torch.manual_seed(0)
    assert torch.equal(observed.sample((2,)), expected)
    assert (observed.batch_shape, observed.event_shape) == ((3,), (D,))
    assert torch.equal(observed.base_dist.loc, p.mean)


def test_the_optimal_scale_of_a_batch_is_that_of_its_observed_values():
    likelihood = OptimalGaussian().double().train()
    loc, x = torch.zeros(4, D, dtype=torch.float64), torch.randn(4, D, dtype=torch.float64)
    x[0, :3] = torch.nan
    x[2] = torch.nan
    seen = ~x.isnan()
    scale = x[seen].square().mean().sqrt()
    expected = torch.where(seen, Normal(0.0, scale).log_prob(x.nan_to_num(0.0)), 0.0)
    p = Observed(likelihood(loc), FILL)
    torch.testing.assert_close(p.log_prob(x), expected.sum(1), rtol=1e-13, atol=0)
    # the first batch sets the moving average
    torch.testing.assert_close(likelihood.error, scale.square(), rtol=1e-13, atol=0)


def test_the_optimal_scale_is_shared_by_processes_with_other_numbers_of_observed_values():
    """Two processes: the sums and counts of both are joined, not their means."""
    x = torch.randn(4, D, dtype=torch.float64)
    x[0, :4] = torch.nan
    seen, loc = ~x.isnan(), torch.zeros(4, D, dtype=torch.float64)
    other = torch.stack([x.nan_to_num(0.0)[2:].square().sum(1), seen[2:].double().sum(1)], 1)
    p = CalibratedGaussian(loc[:2], torch.zeros(()), 1e-3, lambda _: None, lambda rows: torch.cat([rows, other]))
    scale = x[seen].square().mean().sqrt()
    expected = torch.where(seen, Normal(0.0, scale).log_prob(x.nan_to_num(0.0)), 0.0).sum(1)[:2]
    torch.testing.assert_close(Observed(p, FILL).log_prob(x[:2]), expected, rtol=1e-13, atol=0)


def test_a_density_of_dependent_values_is_refused():
    p = MultivariateNormal(torch.zeros(2, D), torch.eye(D))
    with pytest.raises(IncompatibleParts, match=r"independent values, but MultivariateNormal .* data.on_bad_data=skip"):
        Observed(p, FILL.float()).log_prob(torch.zeros(2, D))
