"""Penalties on what coordinates share: total correlation from a trace, and the covariance of DIP."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from isthmus.distributions import DiagonalGaussian
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.functional import total_correlation
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import Recipe
from isthmus.parts.penalties import DIP, TotalCorrelation
from isthmus.parts.protocols import Trace

EPS = torch.finfo(torch.float64).eps


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def same(got: Tensor, expected: Tensor | float) -> None:
    """Equal up to 1000 roundings: sums of at most some hundred terms of the size of the result."""
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=got.dtype), rtol=1000 * EPS, atol=1000 * EPS)


def model() -> Autoencoder:
    return Recipe().build((5,)).model


def traced(q: Distribution, z: Tensor | None = None, **context: object) -> Trace:
    """A trace in which only the posterior and its codes matter."""
    x = normal(q.batch_shape[0], 5)
    return Trace(x, x, q, q.rsample() if z is None else z, Independent(Normal(x, 1.0), 1), **context)


def gaussian(*shape: int) -> DiagonalGaussian:
    return DiagonalGaussian(normal(*shape), 0.3 * normal(*shape))


def joined(mine: tuple[Tensor, ...], others: tuple[Tensor, ...]):
    """The collective of two processes, for tensors that are known."""
    table = {id(a): b for a, b in zip(mine, others, strict=True)}
    return lambda value: torch.cat([value, table[id(value)]])


@pytest.mark.parametrize("estimator", ["weighted", "stratified"])
@pytest.mark.parametrize("population", [0, 30])
def test_the_total_correlation_is_that_of_the_codes_and_posteriors_of_the_trace(estimator, population):
    q = gaussian(6, 3)
    trace = traced(q, population=population)
    got = TotalCorrelation(estimator)(model(), trace)
    same(got, total_correlation(trace.z, q.loc, q.log_scale, population, estimator))


def test_the_total_correlation_is_weighted_where_nothing_is_said():
    trace = traced(gaussian(6, 3))
    assert TotalCorrelation()(model(), trace).equal(TotalCorrelation("weighted")(model(), trace))


def test_the_total_correlation_of_maps_is_that_of_their_flat_codes():
    q = gaussian(6, 2, 2, 2)
    z = q.sample()
    flat = DiagonalGaussian(q.loc.flatten(1), q.log_scale.flatten(1))
    same(TotalCorrelation()(model(), traced(q, z)), TotalCorrelation()(model(), traced(flat, z.flatten(1))))


def test_the_total_correlation_counts_the_batches_of_all_processes():
    q, z = gaussian(6, 3), normal(6, 3)
    half = DiagonalGaussian(q.loc[:4], q.log_scale[:4])
    mine = z[:4]
    gather = joined((mine, half.loc, half.log_scale), (z[4:], q.loc[4:], q.log_scale[4:]))
    same(TotalCorrelation()(model(), traced(half, mine, gather=gather)), TotalCorrelation()(model(), traced(q, z)))


def test_the_total_correlation_moves_means_and_scales():
    loc, log_scale = normal(5, 2).requires_grad_(), normal(5, 2).requires_grad_()
    TotalCorrelation()(model(), traced(DiagonalGaussian(loc, log_scale))).backward()
    assert bool(loc.grad.all() and log_scale.grad.all())


def test_the_total_correlation_refuses_a_posterior_that_is_no_diagonal_gaussian():
    message = (
        r"^TotalCorrelation requires a diagonal Gaussian posterior, but the posterior is Independent\. Use latents\.Ga"
    )
    with pytest.raises(IncompatibleParts, match=message):
        TotalCorrelation()(model(), traced(Independent(Normal(normal(2, 3), 1.0), 1)))


def test_an_unknown_estimator_is_refused_before_any_work():
    message = r"^The estimator of the total correlation cannot be 'all'\. Allowed: stratified, weighted\.$"
    with pytest.raises(BadOption, match=message):
        TotalCorrelation("all")


def whitened(n: int, d: int) -> Tensor:
    """Points of mean 0 and covariance exactly I, dividing by n."""
    points = normal(n, d)
    points = points - points.mean(0)
    factor = torch.linalg.cholesky(points.T @ points / n)
    return torch.linalg.solve_triangular(factor, points.T, upper=False).T


def test_dip_is_zero_where_the_covariance_is_the_identity():
    loc = 3 + whitened(20, 3)
    same(DIP()(model(), traced(DiagonalGaussian(loc, normal(20, 3)))), 0.0)
    # a quarter of the variance within the posteriors, three quarters between them
    q = DiagonalGaussian(3 + math.sqrt(0.75) * whitened(20, 3), torch.full((20, 3), math.log(0.5)).double())
    same(DIP("code")(model(), traced(q)), 0.0)
    assert DIP()(model(), traced(q)) > 0.01


@pytest.mark.parametrize(("on", "diagonal", "weight"), [("mean", None, 20), ("code", None, 2), ("mean", 7.0, 7)])
def test_dip_weighs_the_squares_on_and_off_the_diagonal(on, diagonal, weight):
    q = gaussian(9, 3)
    covariance = torch.cov(q.loc.T, correction=0)
    if on == "code":
        covariance = covariance + torch.diag(q.variance.mean(0))
    own = sum((covariance[i, i] - 1) ** 2 for i in range(3))
    off = sum(covariance[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    same(DIP(on, off_diagonal=2.0, diagonal=diagonal)(model(), traced(q)), 2 * off + weight * own)


def test_dip_has_the_weights_of_the_paper_where_nothing_is_said():
    assert (DIP().off_diagonal, DIP().diagonal) == (10, 100)
    assert (DIP("code").off_diagonal, DIP("code").diagonal) == (10, 10)


def test_dip_knows_the_covariance_of_a_full_gaussian():
    loc, factor = normal(9, 3), torch.tril(normal(9, 3, 3)) + 3 * torch.eye(3).double()
    full = MultivariateNormal(loc, scale_tril=factor)
    total = torch.cov(loc.T, correction=0) + (factor @ factor.mT).mean(0)
    expected = (total - torch.eye(3)).square().sum()
    same(DIP("code", off_diagonal=1.0)(model(), traced(full)), expected)
    diagonal = MultivariateNormal(loc, scale_tril=torch.diag_embed(factor.diagonal(dim1=1, dim2=2)))
    plain = DiagonalGaussian(loc, factor.diagonal(dim1=1, dim2=2).log())
    same(DIP("code")(model(), traced(diagonal)), DIP("code")(model(), traced(plain)))


@pytest.mark.parametrize("on", ["mean", "code"])
def test_dip_of_maps_is_that_of_their_flat_codes(on):
    q = gaussian(6, 2, 2, 2)
    flat = DiagonalGaussian(q.loc.flatten(1), q.log_scale.flatten(1))
    same(DIP(on)(model(), traced(q)), DIP(on)(model(), traced(flat)))


def test_dip_counts_the_batches_of_all_processes():
    q = gaussian(6, 3)
    half = DiagonalGaussian(q.loc[:4], q.log_scale[:4])
    same(DIP()(model(), traced(half, gather=joined((half.loc,), (q.loc[4:],)))), DIP()(model(), traced(q)))
    gathered = iter([q.loc, torch.diag_embed(q.variance)])
    same(DIP("code")(model(), traced(half, gather=lambda _: next(gathered))), DIP("code")(model(), traced(q)))


def test_dip_of_one_example_judges_its_own_covariance_alone():
    q = gaussian(1, 3)
    same(DIP()(model(), traced(q)), 300.0)
    same(DIP("code")(model(), traced(q)), 10 * (q.variance[0] - 1).square().sum())


def test_dip_refuses_weights_below_zero_and_unknown_kinds():
    with pytest.raises(BadOption, match=r"^DIP's off_diagonal must be at least 0, but is -1\.$"):
        DIP(off_diagonal=-1.0)
    with pytest.raises(BadOption, match=r"^DIP's diagonal must be at least 0, but is -2\.$"):
        DIP(diagonal=-2.0)
    with pytest.raises(BadOption, match=r"^DIP's option on cannot be 'II'\. Allowed: code, mean\.$"):
        DIP("II")
