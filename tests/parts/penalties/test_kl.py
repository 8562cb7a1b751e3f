"""Divergences from a prior, as penalties: closed forms, unbiased draws, free bits and capacity."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    Independent,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    kl_divergence,
)

from isthmus import nets
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.fidelities import ImportanceWeighted
from isthmus.parts.latents import Deterministic, FullGaussian, Gaussian
from isthmus.parts.likelihoods import Bernoulli
from isthmus.parts.penalties import KL, Capacity
from isthmus.parts.priors import Mixture, StandardNormal, Vamp
from isthmus.parts.protocols import Capability, Trace
from isthmus.parts.schedules import Schedule

EPS = torch.finfo(torch.float64).eps
D = 3


def same(got: Tensor, expected: Tensor, terms: float = 4096) -> None:
    """Equal up to ``terms`` roundings: sums of up to 9 terms, with differences of terms 100 times as large."""
    torch.testing.assert_close(got, expected, rtol=terms * EPS, atol=terms * EPS)


class Given(nn.Module):
    """A prior that is what it is given."""

    name = "given"

    def __init__(self, p: Distribution) -> None:
        super().__init__()
        self.p = p

    def distribution(self, model: object) -> Distribution:
        return self.p


def reader(latent: nn.Module, d: int = D, space: tuple[int, ...] = ()) -> Autoencoder:
    """A model whose input is the features of its latent, so that a test chooses the posterior."""
    features = latent.width(d)
    decoder = nn.Sequential(nn.Flatten(), nn.LazyLinear(math.prod((features, *space))))
    decoder.append(nn.Unflatten(1, (features, *space)))
    return Autoencoder(nn.Identity(), decoder, latent, Bernoulli(), shape=(features, *space)).double()


def traced(latent: nn.Module, batch: int = 7, d: int = D, space: tuple[int, ...] = ()) -> tuple[Autoencoder, Trace]:
    model = reader(latent, d, space)
    return model, model(torch.randn(batch, latent.width(d), *space, dtype=torch.float64))


def diagonal(d: int = D) -> Distribution:
    loc, scale = torch.randn(d, dtype=torch.float64), torch.randn(d, dtype=torch.float64).exp()
    return Independent(Normal(loc, scale), 1)


def mixture(d: int = 1) -> MixtureSameFamily:
    loc = torch.tensor([-1.5, 0.5, 2.0], dtype=torch.float64)[:, None].expand(3, d)
    scale = torch.tensor([0.5, 1.0, 0.3], dtype=torch.float64)[:, None].expand(3, d)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    return MixtureSameFamily(Categorical(weights), Independent(Normal(loc, scale), 1))


def as_torch(q: Distribution) -> MultivariateNormal:
    """Any vector Gaussian in torch's most general form."""
    if isinstance(q, MultivariateNormal):
        return MultivariateNormal(q.loc, scale_tril=q.scale_tril)
    return MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.stddev))


GAUSSIANS = pytest.mark.parametrize("latent", [Gaussian(), FullGaussian(D)], ids=["diagonal", "full"])


@GAUSSIANS
def test_the_divergence_from_the_standard_normal_is_that_of_torch(latent):
    model, trace = traced(latent)
    standard = MultivariateNormal(torch.zeros(D).double(), torch.eye(D).double())
    same(KL(StandardNormal())(model, trace), kl_divergence(as_torch(trace.q), standard))


@GAUSSIANS
def test_the_divergence_from_another_diagonal_gaussian_is_that_of_torch(latent):
    model, trace = traced(latent)
    p = diagonal()
    same(KL(Given(p))(model, trace), kl_divergence(as_torch(trace.q), as_torch(p)))


def test_the_divergence_of_full_gaussians_is_that_of_torch():
    model, trace = traced(FullGaussian(D))
    p = MultivariateNormal(torch.randn(D).double(), scale_tril=torch.randn(D, D).double().tril(-1) + torch.eye(D))
    same(KL(Given(p))(model, trace), kl_divergence(as_torch(trace.q), p))


def test_the_divergence_of_a_map_is_that_of_its_values_together():
    model, trace = traced(Gaussian(), space=(2, 4))
    flat = Normal(trace.q.mean.flatten(1), trace.q.stddev.flatten(1))
    same(KL(StandardNormal())(model, trace), kl_divergence(flat, Normal(0.0, 1.0)).sum(1))
    p = Independent(Normal(torch.randn(D, 2, 4).double(), torch.rand(D, 2, 4).double() + 0.5), 3)
    expected = kl_divergence(flat, Normal(p.mean.flatten(), p.stddev.flatten())).sum(1)
    same(KL(Given(p))(model, trace), expected)


@GAUSSIANS
def test_a_divergence_in_closed_form_is_the_mean_over_draws(latent):
    model, trace = traced(latent, batch=2)
    for prior in (StandardNormal(), Given(diagonal())):
        p, z = prior.distribution(model), trace.q.sample((20_000,))
        drawn = trace.q.log_prob(z) - p.log_prob(z)
        error = drawn.std(0) / math.sqrt(len(z))
        assert bool(((KL(prior)(model, trace) - drawn.mean(0)).abs() < 5 * error).all())


@GAUSSIANS
def test_a_divergence_is_zero_where_the_posterior_is_the_prior_and_above_it_elsewhere(latent):
    model = reader(latent)
    x = torch.zeros(1, latent.width(D), dtype=torch.float64)
    assert KL(StandardNormal())(model, model(x)).item() == 0
    for feature in range(latent.width(D)):
        for step in (0.3, -0.3):
            moved = x.clone()
            moved[0, feature] = step
            # the least is that of an entry below the diagonal, 0.3^2 / (2 d)
            assert KL(StandardNormal())(model, model(moved)).item() > 0.014


def test_a_posterior_that_knows_its_divergence_is_asked_first():
    class Knowing(Normal):
        def kl_to(self, p: Distribution) -> Tensor | None:
            return torch.full((2,), 7.0) if isinstance(p, Independent) else None

    model, trace = traced(Gaussian(), batch=2, d=1)
    trace = replace(trace, q=Knowing(torch.zeros(2), torch.ones(2)))
    assert KL(StandardNormal())(model, trace).tolist() == [7.0, 7.0]
    # where it does not know, torch does
    assert KL(Given(Normal(1.0, 1.0)))(model, trace).tolist() == [0.5, 0.5]


@GAUSSIANS
def test_without_a_closed_form_the_penalty_is_the_log_ratio_at_the_drawn_code(latent):
    model, trace = traced(latent)
    p = mixture(D)
    same(KL(Given(p))(model, trace), trace.q.log_prob(trace.z) - p.log_prob(trace.z))


def test_the_drawn_divergence_and_its_gradient_are_unbiased():
    """Against the integral by the trapezoid rule, at 5 standard errors of 40,000 draws."""
    n, p = 40_000, mixture()
    features = torch.tensor([[0.4, -0.6]], dtype=torch.float64)
    model = reader(Gaussian(), 1)
    x = features.repeat(n, 1).requires_grad_()
    value = KL(Given(p))(model, model(x))
    value.sum().backward()

    wanted = features.clone().requires_grad_()
    grid = torch.linspace(-12, 12, 4801, dtype=torch.float64)
    q = Normal(wanted[0, 0], wanted[0, 1].exp())
    log_q = q.log_prob(grid)
    exact = torch.trapezoid(log_q.exp() * (log_q - p.log_prob(grid[:, None])), grid)
    exact.backward()
    for drawn, expected in ((value, exact), (x.grad[:, 0], wanted.grad[0, 0]), (x.grad[:, 1], wanted.grad[0, 1])):
        assert abs(drawn.mean().item() - expected.item()) < 5 * drawn.std().item() / math.sqrt(n)


def test_the_standard_normal_costs_no_distribution_in_a_step():
    class Silent(nn.Module):
        name = "standard_normal"

        def distribution(self, model: object) -> Distribution:
            raise AssertionError("the closed form needs none")

    model, trace = traced(Gaussian())
    assert KL(Silent())(model, trace).shape == (7,)


def test_a_divergence_needs_a_density_and_what_its_prior_needs():
    assert KL(StandardNormal()).requires == KL(Mixture(D)).requires == {Capability.DENSITY}
    assert KL(Vamp((9,))).requires == Capacity(Vamp((9,))).requires == {Capability.DENSITY, Capability.DIAGONAL}
    assert KL(StandardNormal(), free_bits=0.1).requires == {Capability.DENSITY, Capability.DIAGONAL}
    for latent, penalty in (
        (Deterministic(), KL(StandardNormal())),
        (Deterministic(), Capacity(StandardNormal())),
        (FullGaussian(D), KL(StandardNormal(), free_bits=0.1)),
        (FullGaussian(D), KL(Vamp((9,)))),
    ):
        with pytest.raises(IncompatibleParts, match=rf"^Penalty {penalty.name} requires a (stochastic|diagonal)"):
            Objective(reader(latent), {penalty: 1.0})


def by_dimension(trace: Trace) -> Tensor:
    return kl_divergence(Normal(trace.q.mean, trace.q.stddev), Normal(0.0, 1.0)).mean(0)


def test_free_bits_that_every_dimension_exceeds_change_nothing():
    model, trace = traced(Gaussian())
    least = 0.9 * by_dimension(trace).min().item()
    got = KL(StandardNormal(), free_bits=least)(model, trace)
    assert got.ndim == 0
    same(got, KL(StandardNormal())(model, trace).mean())


def test_free_bits_that_no_dimension_exceeds_are_all_that_is_counted():
    model, trace = traced(Gaussian())
    least = 1.1 * by_dimension(trace).max().item()
    same(KL(StandardNormal(), free_bits=least)(model, trace), torch.tensor(D * least, dtype=torch.float64))


def test_free_bits_are_counted_for_each_dimension_of_the_mean_over_the_batch():
    latent = Gaussian()
    model = reader(latent)
    x = 0.5 * torch.randn(7, latent.width(D), dtype=torch.float64)
    x[:, 1] += 3
    x.requires_grad_()
    trace = model(x)
    means = by_dimension(trace)
    least = means.sort().values[:2].mean().item() + 0.5 * (means.max() - means.sort().values[1]).item()
    got = KL(StandardNormal(), free_bits=least)(model, trace)
    same(got, means.max() + 2 * least)
    got.backward()
    # only the dimension above the floor is moved, and by its divergence
    assert bool((x.grad[:, [0, 2, 3, 5]] == 0).all())
    same(x.grad[:, 1], trace.q.mean[:, 1].detach() / 7)


def test_free_bits_of_a_map_are_for_each_position():
    model, trace = traced(Gaussian(), space=(2, 4))
    same(KL(StandardNormal(), free_bits=50.0)(model, trace), torch.tensor(D * 8 * 50.0).double())


def test_free_bits_and_capacity_look_at_the_batch_of_all_processes():
    model, trace = traced(Gaussian())
    _, other = traced(Gaussian(), batch=5)

    def gather(values: Tensor) -> Tensor:
        theirs = kl_divergence(Normal(other.q.mean, other.q.stddev), Normal(0.0, 1.0))
        return torch.cat([values, theirs if values.ndim == 2 else theirs.sum(1)])

    joined = replace(trace, gather=gather)
    both = (7 * by_dimension(trace) + 5 * by_dimension(other)) / 12
    least = both.median().item()
    same(KL(StandardNormal(), free_bits=least)(model, joined), both.clamp_min(least).sum())
    same(Capacity(StandardNormal(), capacity=1.0)(model, joined), (both.sum() - 1).abs())


def test_free_bits_are_refused_below_zero_and_with_another_prior():
    with pytest.raises(BadOption, match=r"^A penalty's free_bits must be at least 0 and at most 1e\+06, but is -1\.$"):
        KL(StandardNormal(), free_bits=-1.0)
    message = (
        r"^free_bits requires a KL per latent dimension, as with the standard normal prior, but the prior is "
        r"Mixture\. Use prior\.kind=standard_normal, or set free_bits to 0\.$"
    )
    with pytest.raises(IncompatibleParts, match=message):
        KL(Mixture(D), free_bits=0.1)


@GAUSSIANS
@pytest.mark.parametrize("capacity", [0.0, 2.0, 50.0])
def test_the_capacity_penalty_is_how_far_the_mean_divergence_is_from_it(latent, capacity):
    model, trace = traced(latent)
    mean = KL(StandardNormal())(model, trace).mean()
    got = Capacity(StandardNormal(), capacity=capacity)(model, trace)
    assert got.ndim == 0
    same(got, (mean - capacity).abs())
    at = Capacity(StandardNormal(), capacity=mean.item())(model, trace)
    same(at, torch.zeros((), dtype=torch.float64))


def test_the_capacity_penalty_draws_the_divergence_toward_the_capacity_from_both_sides():
    latent = Gaussian()
    model = reader(latent)
    x = torch.randn(7, latent.width(D), dtype=torch.float64, requires_grad=True)
    (free,) = torch.autograd.grad(KL(StandardNormal())(model, model(x)).mean(), x)
    for capacity, sign in ((0.0, 1), (50.0, -1)):
        (got,) = torch.autograd.grad(Capacity(StandardNormal(), capacity=capacity)(model, model(x)), x)
        same(got, sign * free)


def test_the_capacity_grows_with_the_progress_of_the_run():
    model, trace = traced(Gaussian())
    mean = KL(StandardNormal())(model, trace).mean()
    penalty = Capacity(StandardNormal(), capacity=Schedule(20.0, "linear", start=4.0, fraction=0.5))
    for progress, capacity in ((0.0, 4.0), (0.25, 12.0), (0.5, 20.0), (1.0, 20.0)):
        same(penalty(model, replace(trace, progress=progress)), (mean - capacity).abs())
    usual = Capacity(StandardNormal())
    for progress, capacity in ((0.0, 0.0), (0.25, 12.5), (0.5, 25.0), (1.0, 25.0)):
        same(usual(model, replace(trace, progress=progress)), (mean - capacity).abs())


def test_the_capacity_from_a_mixture_takes_the_drawn_divergence():
    model, trace = traced(Gaussian())
    p = Given(mixture(D))
    same(Capacity(p, capacity=1.0)(model, trace), (KL(p)(model, trace).mean() - 1).abs())


def test_a_capacity_below_zero_or_with_a_length_in_steps_is_refused():
    with pytest.raises(BadOption, match=r"^A penalty's capacity must be at least 0, but is -1\.$"):
        Capacity(StandardNormal(), capacity=-1.0)
    with pytest.raises(BadOption, match=r"^A penalty's capacity was given a length of 9 steps"):
        Capacity(StandardNormal(), capacity=Schedule(1.0, "linear", steps=9))


@pytest.mark.parametrize("penalty", [KL, Capacity])
def test_a_divergence_beside_the_importance_bound_is_refused_and_makes_the_model_generative_elsewhere(penalty):
    prior = StandardNormal()
    with pytest.raises(IncompatibleParts, match=r"^The importance-weighted bound contains the prior already"):
        Objective(reader(Gaussian()), {penalty(prior): 1.0}, ImportanceWeighted(prior))
    assert Objective(reader(Gaussian()), {penalty(prior): 1.0}).model.prior is prior


def test_an_importance_bound_of_one_code_is_the_reconstruction_and_the_drawn_divergence():
    latent, likelihood = Gaussian(), Bernoulli()
    pair = nets.mlp((9,), D, latent, likelihood, widths=(8,))
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(9,)).double()
    trace = model(torch.rand(6, 9, dtype=torch.float64))
    prior = Mixture(D).double()
    bound = ImportanceWeighted(prior, samples=1)(model, trace)
    same(bound, -trace.p.log_prob(trace.x) + KL(prior)(model, trace))


@pytest.mark.parametrize("space", [(2, 3), (4,)])
def test_a_full_gaussian_is_for_vectors_alone(space):
    with pytest.raises(IncompatibleParts, match=r"^A Gaussian with full covariance requires a vector code, but the "):
        FullGaussian(None)
    with pytest.raises(ValueError, match=r"requires features of shape \(B, 9\), but was given \(B, 9, "):
        FullGaussian(D)(torch.zeros(2, 9, *space))
    with pytest.raises(ValueError, match=r"requires features of shape \(B, 9\), but was given \(B, 6\)\."):
        FullGaussian(D)(torch.zeros(2, 6))
    with pytest.raises(BadOption, match=r"^latent\.size of a full Gaussian must be at least 1 and at most 1024, "):
        FullGaussian(1025)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_full_gaussian_is_made_of_a_mean_a_log_diagonal_and_the_rows_below_it(d):
    h = torch.randn(7, FullGaussian(d).width(d), dtype=torch.float64)
    assert h.shape[1] == d + d * (d + 1) // 2
    q = FullGaussian(d)(h)
    factor = torch.zeros(7, d, d, dtype=torch.float64)
    rest = iter(range(2 * d, h.shape[1]))
    for i in range(d):
        for j in range(i):
            factor[:, i, j] = h[:, next(rest)] / math.sqrt(d)
        factor[:, i, i] = h[:, d + i].exp()
    assert q.mean.equal(h[:, :d])
    same(q.scale_tril, factor)
    same(q.covariance_matrix, factor @ factor.mT)
    same(q.variance, (factor @ factor.mT).diagonal(dim1=1, dim2=2))
    expected = MultivariateNormal(h[:, :d], scale_tril=factor)
    z = torch.randn(4, 7, d, dtype=torch.float64)
    same(q.log_prob(z), expected.log_prob(z), 1e6)
    assert (q.batch_shape, q.event_shape) == ((7,), (d,))
    assert {Capability.REAL, Capability.DENSITY, Capability.GAUSSIAN, Capability.DIFFERENTIABLE} == FullGaussian(
        d
    ).provides


def test_draws_of_a_full_gaussian_are_reparameterized_and_a_detached_one_sends_no_gradient():
    h = torch.randn(7, 9, dtype=torch.float64, requires_grad=True)
    q = FullGaussian(D)(h)
    torch.manual_seed(3)
    z = q.rsample()
    torch.manual_seed(3)
    same(z, q.mean + (q.scale_tril @ torch.randn(7, D, 1, dtype=torch.float64))[..., 0])
    assert z.requires_grad
    free = q.detached()
    assert not free.rsample().requires_grad
    assert not free.log_prob(z.detach()).requires_grad
    assert not free.kl_to(diagonal()).requires_grad
    same(free.log_prob(z), q.log_prob(z))
    same(free.kl_to(diagonal()) * 0 + free.scale_tril.sum((1, 2)), q.scale_tril.sum((1, 2)))


def test_a_full_gaussian_works_behind_tied_weights():
    latent, likelihood = FullGaussian(D), Bernoulli()
    pair = nets.mlp((9,), D, latent, likelihood, widths=(8,), tied=True)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=(9,))
    assert model.reconstruct(torch.rand(4, 9)).shape == (4, 9)


def test_the_divergence_of_a_full_gaussian_stays_finite_where_its_scale_underflows():
    model = reader(FullGaussian(2), 2).float()
    trace = model(torch.tensor([[2.0, 0.0, -1000.0, 0.0, 0.0]]))
    # 1/2 (4 + 0 - 1) + 1000
    assert KL(StandardNormal())(model, trace).item() == pytest.approx(1001.5, rel=1e-6)
