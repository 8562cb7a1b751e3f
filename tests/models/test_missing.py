"""Missing values: the encoder sees a fill value, the loss the observed values only, and nothing else changes."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal

from isthmus import exact, latents, likelihoods, nets, penalties, priors, zoo
from isthmus.errors import BadData, IncompatibleParts, ShapeError
from isthmus.metrics.importance import log_likelihoods
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.parts import corruptions
from isthmus.parts.fidelities import Emphasized, ImportanceWeighted
from isthmus.parts.likelihoods.ranges import RealValued
from isthmus.parts.protocols import Trace
from isthmus.zoo import RECIPES

D, KEPT, HIDDEN = 5, [0, 2, 3], [1, 4]
FILL = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.5]], dtype=torch.float64)


def autoencoder(corruption: nn.Module | None = None) -> Autoencoder:
    """A linear decoder, so that output rows can be removed from it."""
    latent, likelihood = latents.Gaussian(), likelihoods.Gaussian(0.5)
    encoder = nn.Sequential(nn.Linear(D, 7), nn.Tanh(), nn.Linear(7, 4))
    return Autoencoder(encoder, nn.Linear(2, D), latent, likelihood, corruption, shape=(D,)).double()


def without_outputs(model: Autoencoder) -> Autoencoder:
    """The same model without the outputs that are missing; its encoder still takes all inputs."""
    decoder = nn.Linear(2, len(KEPT)).double()
    with torch.no_grad():
        decoder.weight.copy_(model.decoder.weight[KEPT])
        decoder.bias.copy_(model.decoder.bias[KEPT])
    found = Autoencoder(copy.deepcopy(model.encoder), decoder, model.latent, model.likelihood, model.corruption)
    found.code_shape = (2,)
    return found


def with_hidden_columns(n: int = 8) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, D, dtype=torch.float64)
    holes = x.clone()
    holes[:, HIDDEN] = torch.nan
    return x, holes


def fidelity(name: str) -> nn.Module | None:
    prior = priors.StandardNormal()
    if name.startswith("importance"):
        gradient = name.partition(" ")[2] or "reparameterized"
        return ImportanceWeighted(prior, samples=4, gradient=gradient)
    return Emphasized(2.0, 0.5) if name == "emphasized" else None


@pytest.mark.parametrize(
    "name", ["likelihood", "emphasized", "importance", "importance doubly_reparameterized", "corrupted"]
)
def test_a_missing_column_gives_the_loss_and_gradient_of_the_model_without_that_output(name):
    corruption = corruptions.GaussianNoise(0.3) if name in ("emphasized", "corrupted") else None
    model = autoencoder(corruption)
    x, holes = with_hidden_columns()
    reference = without_outputs(model)
    objective, other = (
        Objective(
            m, {} if name.startswith("importance") else {penalties.KL(priors.StandardNormal()): 1.0}, fidelity(name)
        )
        for m in (model, reference)
    )
    objective.accept_missing(FILL)
    objective.train()
    other.train()
    torch.manual_seed(1)
    loss = objective(holes)
    seen = holes.clone()
    seen[:, HIDDEN] = FILL[:, HIDDEN]
    torch.manual_seed(1)
    # a forward pass by hand, as inputs and targets have other shapes
    x_in, mask, _ = reference.corruption(seen)
    q = reference.posterior(x_in)
    z = q.rsample()
    kept = None if mask is None else mask[:, KEPT]
    expected = sum(other._terms(Trace(x[:, KEPT], x_in, q, z, reference.output(z), kept)).values())
    torch.testing.assert_close(loss.total, expected, rtol=1e-13, atol=0)
    loss.total.backward()
    expected.backward()
    for ours, theirs in zip(model.encoder.parameters(), reference.encoder.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-14)
    torch.testing.assert_close(model.decoder.weight.grad[KEPT], reference.decoder.weight.grad, rtol=1e-11, atol=1e-14)
    assert model.decoder.weight.grad[HIDDEN].count_nonzero() == 0
    assert model.decoder.bias.grad[HIDDEN].count_nonzero() == 0


def test_the_likelihood_of_a_linear_gaussian_model_is_that_of_its_observed_values():
    """With the exact posterior given the observed values every importance weight is their density."""
    w, mean, noise = torch.randn(D, 1, dtype=torch.float64), torch.randn(D, dtype=torch.float64), 0.3
    model = exact.probabilistic_pca(torch.randn(20, D, dtype=torch.float64), 1)
    seen = torch.zeros_like(w)
    seen[KEPT] = w[KEPT]
    m = seen.square().sum() + noise
    with torch.no_grad():
        model.decoder.weight.copy_(w)
        model.decoder.bias.copy_(mean)
        model.encoder.weight.copy_(torch.cat([seen.T / m, torch.zeros_like(seen.T)]))
        model.encoder.bias.copy_(torch.stack([-(seen[:, 0] @ mean) / m, 0.5 * torch.log(noise / m)]))
    model.likelihood.scale = noise**0.5
    x, holes = with_hidden_columns()
    model.fill = FILL
    covariance = (w @ w.T + noise * torch.eye(D, dtype=torch.float64))[KEPT][:, KEPT]
    expected = MultivariateNormal(mean[KEPT], covariance).log_prob(x[:, KEPT])
    torch.testing.assert_close(log_likelihoods(model, holes, 3), expected, rtol=1e-12, atol=1e-12)


def test_missing_values_are_filled_before_the_corruption_and_stay_missing_in_the_target():
    model = autoencoder(corruptions.GaussianNoise(0.1))
    model.fill = FILL
    _, holes = with_hidden_columns()
    trace = model(holes, corrupt=True)
    assert torch.equal(trace.x.isnan(), holes.isnan())
    assert bool(trace.x_in.isfinite().all())
    assert (trace.x_in[:, HIDDEN] - FILL[:, HIDDEN]).abs().max() < 1
    clean = model(holes, corrupt=False)
    assert torch.equal(clean.x_in[:, HIDDEN], FILL[:, HIDDEN].expand(8, 2))
    assert torch.equal(clean.x_in[:, KEPT], holes[:, KEPT])


def test_inference_of_an_example_with_missing_values_is_that_of_the_filled_one():
    model = autoencoder()
    model.fill = FILL
    _, holes = with_hidden_columns()
    whole = torch.where(holes.isnan(), FILL, holes)
    assert torch.equal(model.encode(holes), model.encode(whole))
    assert torch.equal(model.reconstruct(holes), model.reconstruct(whole))
    assert torch.equal(model.mean_code(holes), model.mean_code(whole))
    assert "fill" not in "".join(model.state_dict())


def test_without_fill_values_nothing_is_checked_or_replaced():
    model = autoencoder()
    x, holes = with_hidden_columns()
    assert model.filled(holes) is holes
    assert bool(model.encode(holes).isnan().all())
    plain = Objective(model)
    torch.manual_seed(3)
    before = plain(x).total
    plain.accept_missing(FILL)
    torch.manual_seed(3)
    torch.testing.assert_close(plain(x).total, before, rtol=1e-14, atol=0)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_learns_from_examples_with_missing_values(name):
    objective = zoo.recipe(name).build((1, 8, 8))
    levels = getattr(objective.model.likelihood, "levels", 256)
    x = (torch.rand(12, 1, 8, 8) * (levels - 1)).round() / (levels - 1)
    x[torch.rand(x.shape) < 0.3] = torch.nan
    x[3] = torch.nan
    objective.accept_missing(x.nanmean(0, keepdim=True))
    objective.init_from_data(x)
    objective.model.check(x)
    objective.train()
    for _ in range(2):
        loss = objective(x)
        assert all(bool(value.isfinite()) for value in loss.terms.values())
        objective.zero_grad()
        sum(loss.critics.values(), loss.total).backward()
        assert all(bool(p.grad.isfinite().all()) for p in objective.parameters() if p.grad is not None)
    assert all(bool(value.isfinite().all()) for value in objective.state_dict().values())


@pytest.mark.parametrize("name", ["contractive", "contractive_h", "sliced", "wasserstein2", "dip", "total_correlation"])
def test_a_penalty_sees_the_filled_input(name):
    penalty = penalties.PENALTIES[name]
    made = penalty(priors.StandardNormal()) if name in ("sliced", "wasserstein2") else penalty()
    latent = (
        latents.Gaussian() if name in ("dip", "total_correlation", "wasserstein2") else latents.Deterministic("sigmoid")
    )
    likelihood = likelihoods.Gaussian()
    encoder, decoder, _ = nets.mlp((D,), 2, latent, likelihood, widths=(8,))
    objective = Objective(Autoencoder(encoder, decoder, latent, likelihood, shape=(D,)).double(), {made: 1.0})
    objective.accept_missing(FILL)
    _, holes = with_hidden_columns()
    found = []
    for x in (holes, torch.where(holes.isnan(), FILL, holes)):
        torch.manual_seed(2)
        found.append(objective(x, population=100).terms[made.name])
    assert torch.equal(*found)
    assert bool(found[0].isfinite())


def test_dead_units_learn_the_residual_of_observed_values():
    objective = zoo.recipe("top_k").with_options({"latent.size": 6, "latent.k": 2}).build((D,)).double()
    model, (x, holes) = objective.model, with_hidden_columns()
    objective.accept_missing(FILL)
    dead, trace = model.latent.units, model(holes)
    error = dead.residual_error(model, trace, torch.ones(6, dtype=torch.bool))
    mean = trace.p.mean
    features = torch.relu(trace.q.features)
    kept = features * (features >= features.topk(min(dead.count, 6), 1).values[:, -1:])
    predicted = model.output(trace.z + kept).mean - mean
    expected = ((x - mean) - predicted)[:, KEPT].square().sum(1)
    torch.testing.assert_close(error, expected, rtol=1e-12, atol=0)
    error.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.decoder.parameters())


class Dependent(RealValued):
    """A likelihood for tests, whose values depend on each other."""

    def forward(self, h: Tensor) -> Distribution:
        return MultivariateNormal(h, torch.eye(h.shape[1], dtype=h.dtype))


class Distance(nn.Module):
    """A fidelity for tests: the squared error of what is observed, whose gradient is NaN all the same."""

    name = "distance"
    requires = frozenset()

    def forward(self, model: Autoencoder, trace: Trace) -> Tensor:
        return (trace.x - trace.p.mean).square().nansum(1)


class Energy(nn.Module):
    """A penalty for tests that reads the target."""

    name = "energy"
    requires = frozenset()

    def forward(self, model: Autoencoder, trace: Trace) -> Tensor:
        return trace.x.square().sum(1)


def test_terms_that_cannot_leave_out_missing_values_are_refused_by_name():
    model = autoencoder()
    dependent = Autoencoder(model.encoder, model.decoder, model.latent, Dependent(), shape=(D,)).double()
    for objective, match in (
        (Objective(dependent), "Missing values can be left out only of a likelihood of independent values"),
        (Objective(model, fidelity=Distance()), r"left out of distance, .* data.on_bad_data=skip"),
        (Objective(model, {Energy(): 1.0}), r"left out of energy, .* data.on_bad_data=skip"),
    ):
        with pytest.raises(IncompatibleParts, match=match):
            objective.accept_missing(FILL)
        assert objective.model.fill is None


def test_fill_values_must_suit_the_examples():
    objective = Objective(autoencoder())
    for fill, error, match in (
        (torch.zeros(1, D + 1), ShapeError, r"must have shape \(1, 5\) or broadcast with it, but have shape \(1, 6\)"),
        (torch.zeros(2, D), ShapeError, r"shape \(2, 5\)"),
        (torch.full((1, D), torch.nan), BadData, "must be finite"),
    ):
        with pytest.raises(error, match=match):
            objective.accept_missing(fill)
    assert objective.model.fill is None
    objective.accept_missing(torch.zeros(()))
    assert bool(objective.model.encode(torch.full((3, D), torch.nan)).isfinite().all())


def test_the_support_is_checked_of_observed_values_only():
    latent, likelihood = latents.Deterministic(), likelihoods.Categorical(levels=3)
    encoder, decoder, _ = nets.mlp((D,), 2, latent, likelihood, widths=(4,))
    model = Autoencoder(encoder, decoder, latent, likelihood, shape=(D,))
    x = torch.tensor([[0.0, 0.5, 1.0, torch.nan, 0.0]])
    with pytest.raises(BadData):
        model.check(x)
    # between two levels, as a mean is
    model.fill = torch.full((1, D), 0.3)
    model.check(x)
    with pytest.raises(BadData, match=r"0\.7"):
        model.check(torch.where(x == 1, 0.7, x))


class Started(RealValued):
    """A likelihood for tests with a scale from the data, which knows nothing of missing values."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones((), dtype=torch.float64))

    def init_from_data(self, x: Tensor) -> None:
        self.scale.copy_(x.std())

    def forward(self, h: Tensor) -> Distribution:
        return likelihoods.Gaussian(1.0)(h)


def test_parts_are_initialized_from_observed_values():
    x = torch.rand(400, D, dtype=torch.float64)
    x[torch.rand(400, D) < 0.5] = torch.nan
    x[:, 1] = torch.nan
    seen = ~x.isnan()
    mean = torch.where(seen, x, 0.0).sum(0) / seen.sum(0).clamp_min(1)
    error = torch.where(seen, x - mean, 0.0).square().sum() / seen.sum()
    shared, optimal = likelihoods.SharedGaussian().double(), likelihoods.OptimalGaussian().double()
    shared.init_from_data(x)
    optimal.init_from_data(x)
    scale = shared(torch.zeros(1, D, dtype=torch.float64)).log_scale.exp()
    torch.testing.assert_close(scale.square(), error, rtol=1e-7, atol=0)
    torch.testing.assert_close(optimal.error, error, rtol=1e-13, atol=0)
    bernoulli = likelihoods.Bernoulli((D,), from_mean=True).double()
    bernoulli.init_from_data(x)
    expected = torch.where(seen.any(0), mean, 0.5)
    torch.testing.assert_close(bernoulli.offset.sigmoid(), expected, rtol=1e-12, atol=0)


def test_pseudo_inputs_start_from_what_the_encoder_sees():
    objective = zoo.recipe("vamp_vae").with_options({"prior.components": 6}).build((D,))
    prior = objective.model.prior
    x = torch.rand(6, D)
    x[:, 1] = torch.nan
    objective.accept_missing(torch.full((1, D), 0.25))
    objective.init_from_data(x)
    assert bool(prior.inputs.isfinite().all())
    # a hundredth of the standard deviation of the data, which is below 1/2, is added as noise
    assert (prior.inputs[:, 1] - 0.25).abs().max() < 0.05
    objective.init_from_data(x, torch.full((6, D), 0.75))
    assert torch.equal(prior.inputs, torch.full((6, D), 0.75))


def test_a_likelihood_that_takes_its_scale_from_missing_values_is_refused():
    model = autoencoder()
    objective = Objective(Autoencoder(model.encoder, model.decoder, model.latent, Started(), shape=(D,)))
    objective.accept_missing(FILL)
    _, holes = with_hidden_columns()
    with pytest.raises(IncompatibleParts, match="Started cannot be initialized from examples with missing values"):
        objective.init_from_data(holes)
