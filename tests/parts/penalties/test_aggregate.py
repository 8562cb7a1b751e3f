"""Distances of codes from a prior: closed forms, and how often and with what they are drawn."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from isthmus.distributions import DiagonalGaussian, Dirac
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.functional import random_directions, sliced_wasserstein, squared_mmd
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.recipe import LatentPart, Recipe
from isthmus.parts.penalties import MMD, Sliced, Wasserstein2
from isthmus.parts.priors import StandardNormal
from isthmus.parts.protocols import Trace

EPS = torch.finfo(torch.float64).eps
PENALTIES = {"mmd": lambda prior: MMD(prior), "sliced": lambda prior: Sliced(prior, projections=7)}
each = pytest.mark.parametrize("make", PENALTIES.values(), ids=PENALTIES.keys())


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def same(got: Tensor, expected: Tensor | float) -> None:
    """Equal up to 1000 roundings: sums of at most some hundred terms of the size of the result."""
    torch.testing.assert_close(got, torch.as_tensor(expected, dtype=got.dtype), rtol=1000 * EPS, atol=1000 * EPS)


def model(size: int = 3) -> Autoencoder:
    return Recipe(latent=LatentPart(kind="deterministic", size=size)).build((5,)).model.double()


def traced(q: Distribution, z: Tensor | None = None, **context: object) -> Trace:
    """A trace in which only the posterior and its codes matter."""
    x = normal(q.batch_shape[0], 5)
    return Trace(x, x, q, q.rsample() if z is None else z, Independent(Normal(x, 1.0), 1), **context)


def points(*shape: int) -> Trace:
    return traced(Dirac(0.5 + normal(*shape)))


class Shifted(nn.Module):
    """A prior with a mean of its own, which could be learned."""

    name = "shifted"

    def __init__(self) -> None:
        super().__init__()
        self.loc = nn.Parameter(torch.full((3,), 50.0, dtype=torch.float64))

    def distribution(self, model: Autoencoder) -> Distribution:
        return Independent(Normal(self.loc, 1.0), 1)


@pytest.mark.parametrize(("batch", "draws"), [(6, 100), (130, 130)])
@pytest.mark.parametrize("kernel", ["imq", "gaussian"])
def test_the_discrepancy_is_that_of_the_codes_and_as_many_draws_but_at_least_a_hundred(batch, draws, kernel):
    parts, trace = model(), points(batch, 3)
    torch.manual_seed(4)
    drawn = normal(draws, 3)
    torch.manual_seed(4)
    got = MMD(StandardNormal(), kernel, scale=0.8)(parts, trace)
    same(got, squared_mmd(trace.z, drawn, kernel, 0.8))


def test_the_discrepancy_of_one_example_is_that_of_a_point_from_the_prior():
    parts, trace = model(), points(1, 3)
    torch.manual_seed(4)
    drawn = normal(100, 3)
    torch.manual_seed(4)
    got = MMD(StandardNormal())(parts, trace)
    same(got, squared_mmd(trace.z, drawn, unbiased=False))
    assert got > 0


def test_the_sliced_distance_is_that_of_the_codes_and_as_many_draws():
    parts, trace = model(), points(6, 3)
    torch.manual_seed(4)
    drawn = normal(6, 3)
    lines = random_directions(7, drawn)
    torch.manual_seed(4)
    got = Sliced(StandardNormal(), projections=7)(parts, trace)
    same(got, sliced_wasserstein(trace.z, drawn, lines))


def test_there_are_fifty_lines_where_nothing_is_said():
    assert Sliced(StandardNormal()).projections == 50


@each
def test_training_draws_anew_and_evaluation_draws_the_same_and_leaves_the_generator_alone(make):
    penalty, parts, trace = make(StandardNormal()), model(), points(6, 3)
    assert not penalty(parts, trace).equal(penalty(parts, trace))
    penalty.eval()
    state = torch.get_rng_state()
    first = penalty(parts, trace)
    assert torch.get_rng_state().equal(state)
    torch.randn(3)
    assert penalty(parts, trace).equal(first)


@each
def test_draws_in_evaluation_are_not_the_noise_of_codes_drawn_with_a_small_seed(make):
    penalty, parts = make(StandardNormal()).eval(), model()
    values = []
    for seed in range(20):
        torch.manual_seed(seed)
        values.append(penalty(parts, traced(Dirac(normal(100, 3)))).item())
    # the same draws on both sides would be at a distance of 0 for sliced, and far below all others for mmd
    assert min(values) > (0.001 if isinstance(penalty, Sliced) else -0.2)


@each
def test_the_prior_is_asked_for_the_draws_and_is_not_trained_by_them(make):
    prior = Shifted()
    parts, trace = model(), points(20, 3)
    value = make(prior)(parts, trace)
    assert value > 1
    assert not value.requires_grad
    assert make(StandardNormal())(parts, trace) < value


@each
def test_maps_are_flattened(make):
    penalty, z = make(StandardNormal()).eval(), normal(6, 2, 2)
    flat = penalty(model(4), traced(Dirac(z.flatten(1))))
    maps = model(4)
    maps.code_shape = (2, 2)
    assert penalty(maps, traced(Dirac(z))).equal(flat)


@each
def test_the_batches_of_all_processes_are_judged_together(make):
    penalty, parts, z = make(StandardNormal()).eval(), model(), normal(6, 3)
    part = traced(Dirac(z[:4]), gather=lambda mine: torch.cat([mine, z[4:]]))
    same(penalty(parts, part), penalty(parts, traced(Dirac(z))))


@each
def test_codes_feel_a_pull(make):
    z = (5 + normal(6, 3)).requires_grad_()
    make(StandardNormal())(model(), traced(Dirac(z))).backward()
    # downhill, against the gradient, lies the prior
    assert bool((z.grad.sum(0) > 0).all())


@each
def test_a_batch_of_one_gives_a_finite_number_above_zero(make):
    value = make(StandardNormal())(model(), points(1, 3))
    assert bool(torch.isfinite(value))
    assert value > 0


def test_options_out_of_range_are_refused():
    with pytest.raises(
        BadOption, match=r"^The kernel of the discrepancy cannot be 'rbf'\. Allowed: gaussian, imq, polynomial\.$"
    ):
        MMD(StandardNormal(), "rbf")
    with pytest.raises(BadOption, match=r"^The scale of the kernel must be above 0, but is 0\.$"):
        MMD(StandardNormal(), scale=0.0)
    with pytest.raises(
        BadOption, match=r"^The number of projections must be at least 1 and at most 100000, but is 0\."
    ):
        Sliced(StandardNormal(), projections=0)


@pytest.mark.parametrize("space", [(3,), (2, 2)])
def test_the_wasserstein_distance_of_a_diagonal_gaussian_has_its_closed_form(space):
    q = DiagonalGaussian(normal(5, *space), 0.4 * normal(5, *space))
    expected = [(m.square().sum() + (s - 1).square().sum()).item() for m, s in zip(q.loc, q.scale, strict=True)]
    same(Wasserstein2(StandardNormal())(model(), traced(q)), expected)
    standard = DiagonalGaussian(torch.zeros(2, *space).double(), torch.zeros(2, *space).double())
    assert Wasserstein2(StandardNormal())(model(), traced(standard)).tolist() == [0, 0]


def test_the_wasserstein_distance_of_a_full_gaussian_has_its_closed_form():
    loc, factor = normal(5, 3), torch.tril(normal(5, 3, 3)) + 2 * torch.eye(3).double()
    got = Wasserstein2(StandardNormal())(model(), traced(MultivariateNormal(loc, scale_tril=factor)))
    roots = torch.linalg.eigvalsh(factor @ factor.mT).sqrt()
    # with all covariances turned to their axes, each axis is a Gaussian in one dimension
    same(got, loc.square().sum(1) + (roots - 1).square().sum(1))


def test_the_wasserstein_distance_refuses_what_has_no_closed_form():
    message = r"^Wasserstein2 requires the standard normal prior, but the prior is Shifted\. Use priors\.StandardNormal"
    with pytest.raises(IncompatibleParts, match=message):
        Wasserstein2(Shifted())
    message = r"^Wasserstein2 requires a Gaussian posterior, but the posterior is Dirac\. Use latents\.Gaussian\(\) or "
    with pytest.raises(IncompatibleParts, match=message):
        Wasserstein2(StandardNormal())(model(), points(2, 3))
