"""Closed forms, and the oracle that the whole chain is held against.

With the weights of probabilistic PCA the Gaussian posterior is exact, so every importance weight equals p(x): latent,
decoder, likelihood, prior and bound are right together, or the weights vary.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from oracles import log_importance_weights
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from isthmus import zoo
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.functional import log_mean_exp, squared_error
from isthmus.metrics.moments import Moments
from isthmus.models.exact import pca, probabilistic_pca, solve, statistics, wiener
from isthmus.models.objective import Objective
from isthmus.models.recipe import CorruptionPart, Recipe
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal
from isthmus.runs.fit import fit

EPS = torch.finfo(torch.float64).eps
N, D = 300, 6
SIZES = [1, 2, 5]
every_size = pytest.mark.parametrize("d", SIZES)


def toy() -> Tensor:
    """Gaussian data whose axes have spreads from 3 to 0.1, turned and moved."""
    spread = torch.logspace(math.log10(3), -1, D, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(D, D, dtype=torch.float64)).Q
    return (torch.randn(N, D, dtype=torch.float64) * spread) @ turn + torch.arange(D)


def spectrum(x: Tensor) -> np.ndarray:
    """Eigenvalues of the covariance, largest first, by way of the singular values."""
    centered = x.numpy() - x.numpy().mean(0)
    return np.linalg.svd(centered, compute_uv=False) ** 2 / len(centered)


def round_off(x: Tensor, noise: float) -> float:
    """An estimate of the rounding of a log density: terms |x|^2 / sigma^2, D^2 operations each."""
    return EPS * D**2 * (1 + x.square().sum(1).max().item() / noise)


@every_size
def test_every_importance_weight_of_probabilistic_pca_is_the_density_of_the_example(d):
    x = toy()
    model = probabilistic_pca(x, d)
    values = spectrum(x)
    noise = values[d:].mean()
    w = model.decoder.weight.detach()
    covariance = w @ w.T + noise * torch.eye(D, dtype=torch.float64)
    expected = MultivariateNormal(torch.from_numpy(x.numpy().mean(0)), covariance).log_prob(x)
    tolerance = round_off(x, noise)
    assert tolerance < 1e-9
    for k in (1, 5, 50):
        log_w = log_importance_weights(model, x, k)
        assert log_w.shape == (k, N)
        torch.testing.assert_close(log_w, expected.expand(k, N), rtol=0, atol=tolerance)
        torch.testing.assert_close(log_mean_exp(log_w), expected, rtol=0, atol=tolerance)


@every_size
def test_the_likelihood_of_probabilistic_pca_is_the_maximum_of_tipping_and_bishop_and_of_scikit_learn(d):
    x = toy()
    values = spectrum(x)
    noise = values[d:].mean()
    # equation 7 of Tipping & Bishop (1999) for one example at the maximum
    maximum = -0.5 * (D * math.log(2 * math.pi) + np.log(values[:d]).sum() + (D - d) * math.log(noise) + D)
    got = log_mean_exp(log_importance_weights(probabilistic_pca(x, d), x, 3)).mean().item()
    assert got == pytest.approx(maximum, abs=round_off(x, noise))
    # scikit-learn divides the covariance by N - 1, so its model is ours of data larger by a = sqrt(N / (N - 1)):
    # ours of x + (a - 1)(x - mean) scored on x itself
    larger = x.mean(0) + (x - x.mean(0)) * math.sqrt(N / (N - 1))
    theirs = PCA(d, svd_solver="full").fit(x.numpy()).score_samples(x.numpy())
    ours = log_mean_exp(log_importance_weights(probabilistic_pca(larger, d), x, 3)).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=round_off(x, noise))


@every_size
def test_probabilistic_pca_reconstructs_less_than_pca_but_in_the_same_space(d):
    x = toy()
    values = spectrum(x)
    noise = values[d:].mean()
    axes = PCA(d, svd_solver="full").fit(x.numpy())
    code = axes.transform(x.numpy())
    # the posterior mean shrinks each component by 1 - sigma^2 / lambda
    expected = (code * (1 - noise / values[:d])) @ axes.components_ + axes.mean_
    got = probabilistic_pca(x, d).reconstruct(x).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("d", [1, 3, D])
def test_pca_is_that_of_scikit_learn(d):
    x = toy()
    theirs = PCA(d, svd_solver="full").fit(x.numpy())
    model = pca(x, d)
    code = theirs.transform(x.numpy())
    # directions are known up to their sign
    np.testing.assert_allclose(np.abs(model.encode(x).numpy()), np.abs(code), rtol=0, atol=1e-11)
    np.testing.assert_allclose(model.reconstruct(x).numpy(), theirs.inverse_transform(code), rtol=0, atol=1e-11)
    discarded = spectrum(x)[d:].sum()
    assert squared_error(x, model.reconstruct(x)).mean().item() == pytest.approx(discarded, rel=1e-10, abs=1e-20)


@pytest.mark.parametrize("tied", [False, True])
@every_size
def test_a_linear_autoencoder_reaches_the_sum_of_the_discarded_eigenvalues(d, tied):
    x = toy()
    objective = zoo.linear(latent=d, tied=tied).build((D,)).double()
    optimizer = torch.optim.LBFGS(
        objective.parameters(),
        max_iter=2000,
        tolerance_grad=1e-11,
        tolerance_change=1e-16,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = objective(x).total
        loss.backward()
        return loss

    optimizer.step(closure)
    best = spectrum(x)[d:].sum()
    assert squared_error(x, objective.model.reconstruct(x)).mean().item() == pytest.approx(best, abs=1e-6)
    loss = 0.5 * best + 0.5 * D * math.log(2 * math.pi)
    assert objective(x).total.item() == pytest.approx(loss, abs=1e-6)
    theirs = PCA(d, svd_solver="full").fit(x.numpy())
    # 1e-6 above its minimum the plane is turned by sqrt(1e-6 / gap) < 1e-2 (gap > 1e-2), of coordinates below 5
    same = theirs.inverse_transform(theirs.transform(x.numpy()))
    np.testing.assert_allclose(objective.model.reconstruct(x).detach().numpy(), same, rtol=0, atol=0.05)


def drawn() -> tuple[Objective, Tensor]:
    """A variational autoencoder away from its optimum."""
    objective = zoo.vae(latent=2, hidden=(8,)).build((D,)).double()
    return objective, torch.rand(5, D, dtype=torch.float64)


def test_one_importance_weight_is_a_draw_of_the_evidence_lower_bound():
    objective, x = drawn()
    torch.manual_seed(3)
    log_w = log_importance_weights(objective.model, x, 1)
    torch.manual_seed(3)
    trace = objective.model(x)
    prior = torch.distributions.Normal(0, 1).log_prob(trace.z).sum(1)
    expected = trace.p.log_prob(x) + prior - trace.q.log_prob(trace.z)
    torch.testing.assert_close(log_mean_exp(log_w), expected, rtol=64 * EPS, atol=64 * EPS)


def test_the_mean_of_log_weights_is_minus_the_loss_of_the_objective():
    objective, x = drawn()
    with torch.no_grad():
        log_w = log_importance_weights(objective.model, x, 4000).mean(1)
        losses = torch.stack([objective(x).total for _ in range(4000)])
    error = math.hypot(log_w.std().item(), losses.std().item()) / math.sqrt(4000)
    assert abs(log_w.mean().item() + losses.mean().item()) < 5 * error


def test_draws_of_importance_weights_differ_and_their_bound_rises_with_their_number():
    objective, x = drawn()
    log_w = log_importance_weights(objective.model, x, 64)
    assert bool((log_w.std(0) > 0).all())
    bounds = [torch.stack([log_mean_exp(part) for part in log_w.split(k)]).mean(0) for k in (1, 4, 16, 64)]
    assert all(bool((b > a).all()) for a, b in pairwise(bounds))


def test_the_kl_of_the_exact_posterior_and_the_reconstruction_add_up_to_the_density():
    """log p(x) = E log p(x|z) - KL where the posterior is exact; the expectation by its closed form."""
    x, d = toy(), 2
    model = probabilistic_pca(x, d)
    noise, w = spectrum(x)[d:].mean(), model.decoder.weight.detach()
    trace = model(x)
    with torch.no_grad():
        kl = KL(StandardNormal())(model, trace)
    residual = squared_error(x, model.reconstruct(x)) + (trace.q.variance.detach() * (w * w).sum(0)).sum(1)
    expected = -0.5 * (D * math.log(2 * math.pi * noise) + residual / noise) - kl
    torch.testing.assert_close(
        log_importance_weights(model, x, 1)[0].detach(), expected, rtol=0, atol=round_off(x, noise)
    )


@pytest.mark.parametrize(
    ("make", "d", "message"),
    [
        (pca, 0, r"^latent\.size, the number of components, must be at least 1 and at most 6, but is 0\.$"),
        (pca, 7, r"^latent\.size, the number of components, must be at least 1 and at most 6, but is 7\.$"),
        (probabilistic_pca, 0, r"^The number of latent dimensions must be at least 1 and at most 5, but is 0\.$"),
        (probabilistic_pca, 6, r"^The number of latent dimensions must be at least 1 and at most 5, but is 6\.$"),
    ],
)
def test_a_number_of_components_out_of_range_is_refused(make, d, message):
    with pytest.raises(BadOption, match=message):
        make(toy(), d)


@pytest.mark.parametrize("make", [pca, probabilistic_pca])
def test_one_example_has_no_components(make):
    with pytest.raises(BadOption, match=r"^The number of examples must be at least 2, but is 1\.$"):
        make(toy()[:1], 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("make", [pca, probabilistic_pca])
def test_a_closed_form_keeps_the_precision_of_its_data(make, dtype):
    model = make(toy().to(dtype), 2)
    assert {p.dtype for p in model.parameters()} == {dtype}
    assert (model.shape, model.code_shape) == ((D,), (2,))


def fitted(recipe: Recipe, x: Tensor) -> Objective:
    """The objective of a recipe, in float64, with its best weights for ``x``, which comes in two chunks."""
    objective = recipe.build(tuple(x.shape[1:])).double()
    solve(objective, x.split(len(x) // 2 + 1))
    return objective


@pytest.mark.parametrize("tied", [False, True])
@every_size
def test_the_recipe_of_pca_is_pca(d, tied):
    x = toy()
    objective = fitted(zoo.pca(d).with_options({"net.tied": tied}), x)
    torch.testing.assert_close(objective.model.reconstruct(x), pca(x, d).reconstruct(x), rtol=0, atol=1e-11)


@every_size
def test_the_bound_of_the_recipe_of_probabilistic_pca_is_the_density(d):
    x = toy()
    objective = fitted(zoo.probabilistic_pca(d), x)
    w = objective.model.decoder[0].weight.detach()
    noise = spectrum(x)[d:].mean()
    covariance = w @ w.T + noise * torch.eye(D, dtype=torch.float64)
    expected = MultivariateNormal(x.mean(0), covariance).log_prob(x)
    with torch.no_grad():
        log_w = log_importance_weights(objective.model, x, 5)
    torch.testing.assert_close(log_w, expected.expand(5, -1), rtol=0, atol=max(1e-9, round_off(x, noise)))
    # the maximum of the likelihood: sigma^2 takes what the d directions leave (Tipping & Bishop, equation 8)
    assert objective.model.likelihood(x).stddev.square().mean().item() == pytest.approx(noise, rel=1e-9)


def test_the_wiener_filter_of_white_data_shrinks_every_value_alike():
    x = torch.linalg.qr(torch.randn(50, 3, dtype=torch.float64)).Q
    x = 2 * math.sqrt(50) * (x - x.mean(0))
    model = wiener(x, 1.5)
    variance = torch.cov(x.T, correction=0)
    shrink = variance @ torch.linalg.inv(variance + 1.5**2 * torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(model.reconstruct(x), x @ shrink.T, rtol=0, atol=1e-12)


def every_mask(x: Tensor, fraction: float) -> tuple[Tensor, Tensor, Tensor]:
    """Clean examples, the same with each possible set of holes, and the probability of each."""
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=x.dtype)] * x.shape[1])
    share = (torch.where(masks == 0, fraction, 1 - fraction).prod(1) / len(x)).repeat_interleave(len(x))
    return x.repeat(len(masks), 1), (masks[:, None] * x).flatten(0, 1), share


@pytest.mark.parametrize("d", [1, 2, 4])
def test_no_linear_autoencoder_of_the_same_rank_restores_holes_better(d):
    x = toy()[:40, :4] + 1
    fraction = 0.3
    recipe = zoo.wiener().with_options(
        {"corruption.kind": "masking", "corruption.fraction": fraction, "latent.size": d}
    )
    clean, holed, share = every_mask(x, fraction)

    def error(model: nn.Module) -> Tensor:
        return (share * squared_error(clean, model.decoder(model.encoder(holed)))).sum()

    best = fitted(recipe, x).model
    for start in range(3):
        torch.manual_seed(start)
        other = recipe.build((4,)).double().model
        tool = torch.optim.LBFGS(other.parameters(), max_iter=3000, tolerance_change=1e-16, tolerance_grad=1e-10,
                                 history_size=30, line_search_fn="strong_wolfe")  # fmt: skip

        def closure(tool=tool, other=other) -> Tensor:
            tool.zero_grad()
            loss = error(other)
            loss.backward()
            return loss

        tool.step(closure)
        assert error(best).item() == pytest.approx(error(other).item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["masking", "salt_and_pepper", "gaussian"])
def test_corruptions_know_their_moments(kind):
    x = torch.rand(4, 3, dtype=torch.float64)
    corruption = CorruptionPart.model_validate({"kind": kind}).make(shape=(3,))
    many = x.repeat(100_000, 1)
    seen = corruption(many).x
    expected = corruption.moments(statistics([x]))
    joint = torch.cov(torch.cat([many, seen], 1).T, correction=0)
    # a mean of n draws of values of order 1 is off by a few times 1 / sqrt(n)
    for value, law in ((seen.mean(0), expected.mean), (joint[:3, 3:], expected.cross),
                       (joint[3:, 3:], expected.covariance)):  # fmt: skip
        torch.testing.assert_close(value, law, rtol=0, atol=5 / math.sqrt(len(many)))


def test_values_that_never_vary_do_no_harm():
    x = toy()
    x[:, 2] = 1.5
    model = fitted(zoo.wiener().with_options({"corruption.kind": "masking", "corruption.fraction": 0.0}), x).model
    torch.testing.assert_close(model.reconstruct(x), x, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "requires"),
    [
        ({"net.kind": "mlp"}, r"net\.kind=linear"),
        ({"latent.activation": "relu"}, r"latent\.kind"),
        ({"latent.kind": "top_k"}, r"latent\.kind"),
        ({"likelihood.kind": "laplace"}, r"likelihood\.kind"),
        ({"fidelity.kind": "emphasized"}, r"fidelity\.kind"),
        ({"penalties.l1.weight": 0.1}, "no penalties"),
        ({"corruption.kind": "blocks"}, "a corruption with known moments"),
        ({"latent.kind": "gaussian"}, r"penalties\.kl of weight 1"),
        ({"latent.kind": "gaussian", "penalties.kl.weight": 2.0}, r"penalties\.kl of weight 1"),
        ({"latent.kind": "gaussian", "penalties.kl.weight": 1.0, "corruption.kind": "gaussian"}, r"corruption\.kind"),
        ({"latent.kind": "gaussian", "penalties.kl.weight": 1.0, "net.tied": True}, r"net\.tied=false"),
        ({"corruption.kind": "gaussian", "net.tied": True}, r"net\.tied=false"),
    ],
)
def test_parts_without_a_closed_form_are_refused_before_any_work(changes, requires):
    with pytest.raises(IncompatibleParts, match=f"^training.optimizer=exact requires {requires}"):
        fit("pca", torch.rand(20, 6), options={"latent.size": 2, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corruption.kind": "gaussian", "corruption.clip": True}, "Clipped"),
        ({"corruption.kind": "masking", "corruption.whole_pixels": True}, "whole_pixels"),
    ],
)
def test_moments_that_depend_on_more_are_refused(changes, message):
    with pytest.raises(IncompatibleParts, match=message):
        fit("wiener", torch.rand(20, 6), options=changes)


def test_examples_that_are_drawn_afresh_have_no_closed_form():
    for changes in ({"data.binarize": "dynamic"}, {"data.random_shift": 1}, {"data.random_scale": 0.1}):
        with pytest.raises(BadOption, match="examples that do not change"):
            fit("pca", torch.rand(20, 6, 6), options={"latent.size": 2, **changes})


@pytest.mark.parametrize("option", ["training.gradient_clip", "training.weight_decay"])
def test_options_of_steps_have_no_meaning_in_closed_form(option):
    with pytest.raises(BadOption, match="is a closed form without gradients"):
        fit("pca", torch.rand(20, 6), options={"latent.size": 2, option: 0.1})


@pytest.mark.slow
@every_size
def test_logistic_pca_is_pca_where_all_probabilities_are_near_a_half(d):
    """-log Bernoulli(x; s) = D log 2 + 2 |x - 1/2 - s/4|^2 - 2 |x - 1/2|^2 + O(|s|^4): squared error, of s/4 + 1/2."""
    x = 0.5 + 0.01 * (toy() - toy().mean(0)).clamp(-10, 10)
    x = x - x.mean(0) + 0.5
    objective = zoo.logistic_pca(d).build((D,)).double()
    tool = torch.optim.LBFGS(objective.parameters(), max_iter=3000, tolerance_grad=1e-13, tolerance_change=1e-20,
                             history_size=50, line_search_fn="strong_wolfe")  # fmt: skip

    def closure() -> Tensor:
        tool.zero_grad()
        # in units in which the smallest variance is of order 1
        loss = 1e4 * (objective(x).total - D * math.log(2))
        loss.backward()
        return loss

    tool.step(closure)
    theirs = PCA(d, svd_solver="full").fit(x.numpy())
    linear = theirs.inverse_transform(theirs.transform(x.numpy()))
    made = objective.model.reconstruct(x).numpy()
    # values are within 0.1 of a half, and so the neglected terms a hundredth of those kept
    np.testing.assert_allclose(made, linear, rtol=0, atol=0.1 * np.abs(linear - 0.5).max())
    error, best = np.square(made - x.numpy()).sum(1).mean(), np.square(linear - x.numpy()).sum(1).mean()
    # a sigmoid bends the plane a little, so that it may even fit better
    assert error == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize(("dtype", "offset"), [(torch.float32, 1e5), (torch.float64, 1e7), (torch.float64, 1e12)])
def test_mean_and_covariance_keep_a_small_spread_beside_a_large_mean(dtype: torch.dtype, offset: float) -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(900, 2)) @ rng.normal(size=(2, 4)) + offset).to(dtype)
    exact = x.numpy().astype(np.longdouble)
    exact = exact - exact.mean(0)
    covariance = (exact.T @ exact / len(exact)).astype(np.float64)
    found = statistics(x.split(200))
    np.testing.assert_allclose(found.covariance.numpy(), covariance, rtol=1e-12)
    seen = Moments()
    for chunk in x.split(200):
        seen.see(chunk)
    np.testing.assert_allclose(seen.variance().numpy(), covariance.diagonal(), rtol=1e-12)


@pytest.mark.parametrize(("dtype", "offset", "tolerance"), [(torch.float32, 1e3, 1e-3), (torch.float64, 1e7, 1e-7)])
def test_pca_codes_of_values_with_a_large_mean_are_those_of_the_centered_values(
    dtype: torch.dtype, offset: float, tolerance: float
) -> None:
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=(500, 4)) * [4, 2, 1, 0.5] + offset).to(dtype)
    centered = x.double() - x.double().mean(0)
    axes = torch.linalg.svd(centered, full_matrices=False).Vh[:2]
    z = pca(x, 2).encode(x).double()
    expected = centered @ axes.T
    torch.testing.assert_close(z * torch.sign((z * expected).sum(0)), expected, rtol=0, atol=tolerance)
