"""Priors: mixtures against torch and integrals, and the VampPrior against the posteriors it is made of."""

import math

import pytest
import torch
from scipy.stats import kstest, norm
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from isthmus import nets
from isthmus.errors import BadOption, IncompatibleParts, ShapeError
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts.latents import Deterministic, FullGaussian, Gaussian
from isthmus.parts.likelihoods import Bernoulli
from isthmus.parts.penalties import KL, Capacity
from isthmus.parts.priors import GaussianMixture, Mixture, StandardNormal, Vamp

EPS = torch.finfo(torch.float64).eps


def same(got: Tensor, expected: Tensor, terms: float = 1024) -> None:
    """Equal up to ``terms`` roundings: sums of up to 24 expanded squares, some 10 times their difference."""
    torch.testing.assert_close(got, expected, rtol=terms * EPS, atol=terms * EPS)


def autoencoder(latent: nn.Module | None = None, shape: tuple[int, ...] = (9,), d: int | None = 3) -> Autoencoder:
    latent, likelihood = latent or Gaussian(), Bernoulli()
    net = nets.mlp if d is not None else nets.conv
    pair = net(shape, d, latent, likelihood, **({"widths": (8,)} if d is not None else {"channels": (4,)}))
    return Autoencoder(pair.encoder, pair.decoder, latent, likelihood, shape=shape).double()


def parameters(k: int, *code: int) -> tuple[Tensor, Tensor, Tensor]:
    logits, loc = torch.randn(k, dtype=torch.float64), 2 * torch.randn(k, *code, dtype=torch.float64)
    return logits, loc, 0.5 * torch.randn(k, *code, dtype=torch.float64)


def in_torch(logits: Tensor, loc: Tensor, log_scale: Tensor) -> MixtureSameFamily:
    each = Independent(Normal(loc, log_scale.exp()), loc.ndim - 1)
    return MixtureSameFamily(Categorical(logits=logits), each)


@pytest.mark.parametrize("code", [(1,), (5,), (2, 3, 4)])
@pytest.mark.parametrize("n", [(), (7,), (3, 7)])
def test_the_density_of_a_mixture_is_that_of_torch(code, n):
    given = parameters(6, *code)
    z = 2 * torch.randn(*n, *code, dtype=torch.float64)
    p = GaussianMixture(*given)
    assert (p.batch_shape, p.event_shape) == ((), code)
    same(p.log_prob(z), in_torch(*given).log_prob(z), 1e5)
    assert p.log_prob(z).shape == n
    same(p.mean, in_torch(*given).mean)
    same(p.variance, in_torch(*given).variance)


def test_the_density_of_a_mixture_keeps_its_digits_in_single_precision_far_from_zero():
    """With |z| / sigma = 1e4 expanded squares in single precision would be off by 1e8 eps, several nats."""
    loc = 100 + torch.randn(4, 2)
    log_scale = torch.full((4, 2), math.log(0.01))
    z = loc + 0.01 * torch.randn(4, 2)
    single = GaussianMixture(torch.zeros(4), loc, log_scale).log_prob(z)
    exact = in_torch(torch.zeros(4).double(), loc.double(), log_scale.double()).log_prob(z.double())
    assert single.dtype == torch.float32
    # the answer itself is rounded to single precision
    torch.testing.assert_close(single.double(), exact, rtol=1e-6, atol=1e-6)


def test_the_density_of_a_mixture_never_holds_a_number_for_each_code_component_and_dimension():
    largest = 0

    def seen(kept: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, kept.numel())
        return kept

    n, k, d = 30, 40, 50
    given = [v.requires_grad_() for v in parameters(k, d)]
    z = torch.randn(n, d, dtype=torch.float64, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(seen, lambda kept: kept):
        GaussianMixture(*given).log_prob(z).sum().backward()
    assert largest <= max(n * k, k * d, n * d)


def test_the_gradient_of_the_density_of_a_mixture_is_that_of_finite_differences():
    given = [v.requires_grad_() for v in parameters(3, 2)]
    z = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *v: GaussianMixture(*v[:3]).log_prob(v[3]), (*given, z))


def test_draws_of_a_mixture_follow_its_distribution_function():
    logits, loc, log_scale = parameters(3, 1)
    p = GaussianMixture(logits.requires_grad_(), loc.requires_grad_(), log_scale.requires_grad_())
    z = p.sample((4000,))
    assert (tuple(z.shape), z.requires_grad) == ((4000, 1), False)
    weights, centers, spreads = (v.detach().flatten().numpy() for v in (logits.softmax(0), loc, log_scale.exp()))

    def below(x):
        return (weights * norm.cdf(x[:, None], centers, spreads)).sum(1)

    # a right sampler fails this once in a million seeds, and the seed is fixed
    assert kstest(z[:, 0].numpy(), below).pvalue > 1e-6


@pytest.mark.parametrize("code", [(5,), (2, 3, 4)])
def test_draws_of_a_mixture_have_its_mean_and_variance_in_any_number(code):
    given = parameters(6, *code)
    p, z = GaussianMixture(*given), GaussianMixture(*given).sample((50, 400))
    assert z.shape == (50, 400, *code)
    assert p.sample().shape == code
    draws = z.flatten(0, 1)
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - p.mean).abs() < 5 * error).all())
    squares = (draws - p.mean).square()
    assert bool(((squares.mean(0) - p.variance).abs() < 5 * squares.std(0) / math.sqrt(len(draws))).all())


def test_values_of_one_drawn_code_come_from_one_component():
    far = torch.tensor([-50.0, 50.0])[:, None].expand(2, 3)
    z = GaussianMixture(torch.zeros(2), far, torch.zeros(2, 3)).sample((200,))
    signs = z.sign()
    assert bool((signs == signs[:, :1]).all())
    # 200 fair coins: 5 standard deviations are 35
    assert 65 < int((signs[:, 0] > 0).sum()) < 135


def integral(prior: nn.Module, model: Autoencoder) -> float:
    """The trapezoid rule over +-40, at steps of 0.005: exact to the last digits for scales above 0.05."""
    z = torch.linspace(-40, 40, 16001, dtype=torch.float64)
    return torch.trapezoid(prior.distribution(model).log_prob(z[:, None]).exp(), z).item()


@pytest.mark.parametrize("components", [1, 10])
def test_the_density_of_a_learned_mixture_integrates_to_one_before_and_after_it_has_moved(components):
    prior, model = Mixture(1, components=components).double(), autoencoder(d=1)
    assert integral(prior, model) == pytest.approx(1, abs=1e-12)
    with torch.no_grad():
        for p in prior.parameters():
            p += 0.5 * torch.randn_like(p)
    assert integral(prior, model) == pytest.approx(1, abs=1e-12)


def test_a_learned_mixture_starts_with_the_moments_of_the_standard_normal_and_components_apart():
    """Of 4,000 draws of a component's mean, at 5 standard errors: mean 0, variance 1/2 + 1/2."""
    p = Mixture(8, components=500).distribution(autoencoder(d=8))
    assert p.mixture_distribution.probs.tolist() == pytest.approx([1 / 500] * 500)
    centers = p.component_distribution.mean
    assert abs(centers.mean().item()) < 5 * math.sqrt(0.5 / 4000)
    # the variance of a sample variance of normal draws is 2 sigma^4 / n
    assert p.variance.mean().item() == pytest.approx(1, abs=5 * math.sqrt(2 * 0.25 / 4000))
    assert p.component_distribution.variance.flatten().tolist() == pytest.approx([0.5] * 4000)
    # for 8 values a pair is nearer than r with probability (r^2)^4 / 384, and there are 125,000 pairs
    assert torch.pdist(centers).min() > 0.1


def test_gradients_reach_every_parameter_of_a_learned_mixture_and_it_is_saved_with_the_model():
    model, prior = autoencoder(), Mixture(3).double()
    objective = Objective(model, {KL(prior): 1.0})
    objective(torch.rand(6, 9, dtype=torch.float64)).total.backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in prior.parameters())
    mine = {id(p) for p in objective.players()["autoencoder"]}
    assert {id(p) for p in prior.parameters()} <= mine
    saved = model.state_dict()
    assert {"prior.logits", "prior.loc", "prior.log_scale"} <= saved.keys()


def test_a_learned_mixture_follows_the_codes():
    """Maximum likelihood of one component is the mean and variance of the codes, in closed form."""
    z = torch.randn(400, 2, dtype=torch.float64) * torch.tensor([2.0, 0.3]) + torch.tensor([1.0, -3.0])
    prior, model = Mixture(2, components=1).double(), autoencoder(d=2)
    optimizer = torch.optim.LBFGS(prior.parameters(), max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -prior.distribution(model).log_prob(z).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(prior.loc[0], z.mean(0), rtol=0, atol=1e-6)
    torch.testing.assert_close(prior.log_scale[0].exp(), z.std(0, correction=0), rtol=0, atol=1e-6)


def test_a_learned_mixture_is_for_vectors_of_its_own_size():
    with pytest.raises(IncompatibleParts, match=r"^A mixture prior requires a vector code, but the code is a feature"):
        Mixture(None)
    message = r"^The mixture prior is over codes of shape \(4,\), but the model's code has shape \(3,\)\. "
    with pytest.raises(IncompatibleParts, match=message):
        Mixture(4).distribution(autoencoder())
    for part in (lambda k: Mixture(3, components=k), lambda k: Vamp((9,), components=k)):
        with pytest.raises(BadOption, match=r"^prior\.components must be at least 1 and at most 1e\+06, but is 0\.$"):
            part(0)


def test_a_prior_of_a_model_that_has_not_met_data_is_refused():
    latent, likelihood = Gaussian(), Bernoulli()
    model = Autoencoder(nn.Linear(9, 6), nn.Linear(3, 9), latent, likelihood)
    for prior in (StandardNormal(), Mixture(3)):
        with pytest.raises(ShapeError, match=r"^The shape of the code is unknown, because the model has not been "):
            prior.distribution(model)


def test_the_standard_normal_is_that_of_torch():
    z = torch.randn(6, 3, dtype=torch.float64)
    same(StandardNormal().distribution(autoencoder()).log_prob(z), Normal(0.0, 1.0).log_prob(z).sum(1))


@pytest.mark.parametrize("space", [(), (2, 4)])
def test_a_vamp_prior_of_one_component_is_the_posterior_of_that_input(space):
    model = autoencoder() if not space else autoencoder(shape=(1, 4, 8), d=None)
    prior = Vamp(model.shape, components=1).double()
    p, q = prior.distribution(model), model.posterior(prior.inputs)
    z = torch.randn(6, *model.code_shape, dtype=torch.float64)
    assert p.event_shape == model.code_shape
    same(p.log_prob(z), q.log_prob(z), 1e5)


def test_a_vamp_prior_is_the_average_of_the_posteriors_of_its_inputs():
    model, prior = autoencoder(), Vamp((9,), components=5).double()
    z = torch.randn(6, 3, dtype=torch.float64)
    each = torch.stack([model.posterior(u[None]).log_prob(z) for u in prior.inputs])
    same(prior.distribution(model).log_prob(z), each.exp().mean(0).log(), 1e4)


@pytest.mark.parametrize("components", [1, 20])
def test_the_density_of_a_vamp_prior_integrates_to_one(components):
    model, prior = autoencoder(d=1), Vamp((9,), components=components).double()
    assert integral(prior, model) == pytest.approx(1, abs=1e-12)


def test_gradients_reach_pseudo_inputs_and_encoder_and_the_prior_is_saved_without_the_model():
    model, prior = autoencoder(), Vamp((9,), components=5).double()
    objective = Objective(model, {KL(prior): 1.0})
    prior.distribution(model).log_prob(torch.randn(6, 3, dtype=torch.float64)).sum().backward()
    assert bool((prior.inputs.grad.flatten(1).abs().sum(1) > 0).all())
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.encoder.parameters())
    assert set(prior.state_dict()) == {"bounds", "inputs"}
    assert [m for m in prior.modules() if m is not prior] == []
    assert {"prior.inputs", "prior.bounds"} <= model.state_dict().keys()
    assert id(prior.inputs) in {id(p) for p in objective.players()["autoencoder"]}


def test_two_penalties_may_ask_a_vamp_prior_in_one_step():
    model, prior = autoencoder(), Vamp((9,), components=5).double()
    prior.init_from_data(torch.rand(20, 9, dtype=torch.float64))
    with torch.no_grad():
        prior.inputs += 1
    loss = Objective(model, {KL(prior): 1.0, Capacity(prior): 3.0})(torch.rand(6, 9, dtype=torch.float64))
    loss.total.backward()
    assert bool(prior.inputs.grad.any())


def nearest(prior: Vamp, x: Tensor) -> tuple[Tensor, Tensor]:
    """How far each pseudo-input is from the nearest example, and which that is."""
    distance, which = torch.cdist(prior.inputs.detach(), x).min(1)
    return distance, which


def test_pseudo_inputs_start_at_different_training_examples_with_a_little_noise():
    x = torch.rand(50, 9, dtype=torch.float64)
    prior = Vamp((9,), components=20).double()
    prior.init_from_data(x)
    distance, which = nearest(prior, x)
    # nine values, each off by about 0.01 x 0.29: all within five times that
    assert distance.min() > 0
    assert distance.max() < 5 * 3 * 0.01 * x.std().item()
    assert len(which.unique()) == 20
    # drawn, for examples may stand in an order: the first twenty come up once in 1e13 draws
    assert set(which.tolist()) != set(range(20))


def test_where_there_are_fewer_examples_than_components_each_serves_as_often_and_its_copies_differ():
    x = torch.rand(6, 9, dtype=torch.float64)
    prior = Vamp((9,), components=15).double()
    prior.init_from_data(x)
    _, which = nearest(prior, x)
    assert sorted(which.bincount().tolist()) == [2, 2, 2, 3, 3, 3]
    assert torch.pdist(prior.inputs.detach()).min() > 0


def test_the_same_seed_starts_from_the_same_examples():
    x, starts = torch.rand(50, 9), []
    for _ in range(2):
        torch.manual_seed(3)
        prior = Vamp((9,), components=20)
        prior.init_from_data(x)
        starts.append(prior.inputs.detach().clone())
    assert starts[0].equal(starts[1])


def test_pseudo_inputs_stay_in_the_unit_interval_where_the_data_does_and_are_not_stuck_at_its_ends():
    model, prior = autoencoder(), Vamp((9,), components=5).double()
    prior.init_from_data(torch.rand(20, 9, dtype=torch.float64).round())
    with torch.no_grad():
        prior.inputs += torch.randn(5, 9, dtype=torch.float64)
    outside = prior.inputs.detach().clone()
    p = prior.distribution(model)
    assert prior.inputs.equal(outside.clamp(0, 1))
    assert bool((prior.inputs == 0).any())
    assert bool((prior.inputs == 1).any())
    p.log_prob(torch.randn(3, 3, dtype=torch.float64)).sum().backward()
    # every pixel, at an end or not, moves the density
    assert bool((prior.inputs.grad != 0).all())
    # a copy that was never shown the data knows the range
    other = Vamp((9,), components=5).double()
    other.load_state_dict(prior.state_dict())
    with torch.no_grad():
        other.inputs.fill_(2.0)
    other.distribution(model)
    assert other.inputs.max() == 1


@pytest.mark.parametrize("x", [3 * torch.rand(20, 9), torch.rand(20, 9) - 0.1, torch.randn(20, 9)])
def test_pseudo_inputs_of_other_data_are_free(x):
    model, prior = autoencoder(), Vamp((9,), components=5).double()
    prior.init_from_data(x.double())
    with torch.no_grad():
        prior.inputs.fill_(-7.0)
        prior.inputs[0] = 7.0
    prior.distribution(model)
    assert (prior.inputs.min().item(), prior.inputs.max().item()) == (-7.0, 7.0)


def test_a_vamp_prior_refuses_posteriors_that_are_no_diagonal_gaussians():
    for latent, name in ((Deterministic(), "Dirac"), (FullGaussian(3), "CholeskyGaussian")):
        message = rf"^The VampPrior requires a diagonal Gaussian latent, but the posterior is {name}\. "
        with pytest.raises(IncompatibleParts, match=message):
            Vamp((9,)).double().distribution(autoencoder(latent))


@pytest.mark.parametrize("prior", [Mixture(3), Vamp((9,), components=5)])
def test_a_model_draws_new_examples_from_its_learned_prior(prior):
    model = autoencoder().float()
    Objective(model, {KL(prior): 1.0})
    assert model.sample(4, seed=1).shape == (4, 9)
    assert model.sample(4, seed=1).equal(model.sample(4, seed=1))
