"""Figures of a model agree with their formulas, written out as loops or taken from another library."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal, kl_divergence

from isthmus import evaluate, exact, zoo
from isthmus.metrics.evaluation import MEANINGS
from isthmus.metrics.variational import kl_by_latent
from isthmus.models.inputs import CHUNK
from isthmus.models.seeding import seeded

X = torch.rand(40, 1, 6, 5, generator=torch.Generator().manual_seed(3))


def objective(name: str = "vae", **options: object):
    return zoo.recipe(name).with_options({"latent.size": 3, **options}).build((1, 6, 5)).eval()


@pytest.mark.parametrize(
    ("recipe", "options"),
    [("vae", {}), ("simple", {}), ("simple", {"corruption.kind": "masking"}), ("linear", {})],
)
def test_every_figure_has_a_meaning_with_its_unit(recipe: str, options: dict[str, object]) -> None:
    draws = 2 if recipe == "vae" else 0
    x = (X > 0.5).float()
    assert evaluate(objective(recipe, **options), x, importance_samples=draws).keys() <= MEANINGS.keys()


def test_squared_error_mse_psnr_and_cross_entropy_follow_their_formulas() -> None:
    made = objective("simple")
    y = made.model.reconstruct(X).double()
    x = X.double()
    figures = evaluate(made, X)
    errors = [
        sum(float((a - b) ** 2) for a, b in zip(u.flatten(), v.flatten(), strict=True))
        for u, v in zip(x, y, strict=True)
    ]
    assert figures["squared_error"] == pytest.approx(sum(errors) / 40, rel=1e-5)
    assert figures["mse"] == pytest.approx(sum(errors) / 40 / 30, rel=1e-5)
    assert figures["psnr"] == pytest.approx(sum(-10 * math.log10(e / 30) for e in errors) / 40, rel=1e-5)
    cross = -(x * y.log() + (1 - x) * (1 - y).log()).sum((1, 2, 3)).mean().item()
    assert figures["cross_entropy"] == pytest.approx(cross, rel=1e-5)
    floor = -(x * x.log() + (1 - x) * (1 - x).log()).sum((1, 2, 3)).mean().item()
    assert figures["cross_entropy_floor"] == pytest.approx(floor, rel=1e-5)
    assert figures["loss"] == pytest.approx(cross, rel=1e-5)


def test_elbo_kl_and_active_units_follow_their_formulas() -> None:
    made = objective()
    figures = evaluate(made, X, seed=5)
    with torch.no_grad():
        q = made.model.posterior(X)
        noise = torch.randn(q.loc.shape, generator=torch.Generator().manual_seed(5))
        p = made.model.output(q.loc + q.scale * noise)
        log_p = Independent(Bernoulli(logits=p.logits, validate_args=False), 3).log_prob(X)
        kl = kl_divergence(Normal(q.loc, q.scale), Normal(torch.zeros(3), torch.ones(3))).sum(1)
    assert figures["kl"] == pytest.approx(kl.mean().item(), rel=1e-5)
    assert figures["elbo"] == pytest.approx((log_p - kl).mean().item(), rel=1e-5)
    assert figures["active_units"] == int((q.loc.var(0, correction=0) > 0.01).sum())


def test_the_fraction_of_variance_unexplained_is_that_of_the_mean_example() -> None:
    """One minus R squared, as scikit-learn weighs features by their variance."""
    from sklearn.metrics import r2_score

    made = objective("simple")
    y = made.model.reconstruct(X).flatten(1)
    expected = 1 - r2_score(X.flatten(1), y, multioutput="variance_weighted")
    assert evaluate(made, X)["fvu"] == pytest.approx(expected, rel=1e-5)
    assert "fvu" not in evaluate(made, X[:1].repeat(4, 1, 1, 1))


def test_pca_leaves_the_share_of_the_discarded_eigenvalues_unexplained() -> None:
    from isthmus.models.objective import Objective

    x = torch.randn(2 * CHUNK + 5, 6) @ torch.randn(6, 6) + 3
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.double().T, correction=0)).flip(0)
    figures = evaluate(Objective(exact.pca(x, 2)), x)
    assert figures["fvu"] == pytest.approx((eigenvalues[2:].sum() / eigenvalues.sum()).item(), rel=1e-4)


def test_nats_by_latent_add_up_to_the_kl_and_are_unknown_where_it_is_no_sum() -> None:
    made = objective()
    x = torch.rand(CHUNK + 1, 1, 6, 5)
    nats = kl_by_latent(made.model, x)
    assert nats is not None
    with torch.no_grad():
        q = made.model.posterior(x)
    expected = kl_divergence(Normal(q.loc, q.scale), Normal(0.0, 1.0)).mean(0)
    assert nats == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-6)
    assert sum(nats) == pytest.approx(evaluate(made, x)["kl"], rel=1e-5)
    for recipe in ("simple", "vamp_vae", "wae_mmd"):
        assert kl_by_latent(objective(recipe).model, x) is None
    assert kl_by_latent(objective(**{"latent.kind": "full_gaussian"}).model, x) is None


def test_a_full_gaussian_has_the_kl_and_bound_that_torch_gives() -> None:
    made = objective(**{"latent.kind": "full_gaussian"})
    figures = evaluate(made, X, seed=5)
    with seeded(5), torch.no_grad():
        q = made.model.posterior(X)
        log_p = made.model.output(q.sample()).log_prob(X)
        known = MultivariateNormal(q.loc, scale_tril=q.scale_tril)
        kl = kl_divergence(known, MultivariateNormal(torch.zeros(3), torch.eye(3)))
    assert figures["kl"] == pytest.approx(kl.mean().item(), rel=1e-4)
    assert figures["elbo"] == pytest.approx((log_p - kl).mean().item(), rel=1e-5)


def test_without_a_closed_form_the_kl_is_of_the_draw_that_was_decoded() -> None:
    made = objective("vamp_vae")
    figures = evaluate(made, X, seed=5)
    with seeded(5), torch.no_grad():
        q = made.model.posterior(X)
        z = q.sample()
        kl = q.log_prob(z) - made.model.prior_distribution().log_prob(z)
        log_p = made.model.output(z).log_prob(X)
    assert figures["kl"] == pytest.approx(kl.mean().item(), rel=1e-4)
    assert figures["elbo"] == pytest.approx((log_p - kl).mean().item(), rel=1e-5)


def test_a_categorical_code_has_a_bound_too() -> None:
    made = objective("categorical_vae", **{"latent.size": 20})
    figures = evaluate(made, X, importance_samples=3)
    with torch.no_grad():
        logits = made.model.encoder(X).reshape(40, 2, 10).log_softmax(-1)
    kl = (logits.exp() * (logits + math.log(10))).sum((1, 2)).mean().item()
    assert figures["kl"] == pytest.approx(kl, rel=1e-3)
    assert {"elbo", "nll", "active_units"} <= figures.keys()


def test_bits_per_dimension_take_the_tightest_bound_there_is() -> None:
    x, bits = (X > 0.5).float(), 30 * math.log(2)
    made = objective()
    figures = evaluate(made, x, importance_samples=4)
    assert figures["bits_per_dim"] == pytest.approx(figures["nll"] / bits)
    figures = evaluate(made, x)
    assert figures["bits_per_dim"] == pytest.approx(-figures["elbo"] / bits)
    figures = evaluate(objective("simple"), x)
    assert figures["bits_per_dim"] == pytest.approx(figures["cross_entropy"] / bits)


def test_gray_pixels_under_a_bernoulli_likelihood_and_densities_have_no_bits() -> None:
    assert "bits_per_dim" not in evaluate(objective(), X)
    assert "bits_per_dim" not in evaluate(objective("linear"), (X > 0.5).float())


def test_a_score_over_256_levels_is_at_most_8_bits_for_uniform_outputs() -> None:
    made = objective("deep", **{"likelihood.kind": "categorical"})
    with torch.no_grad():
        for parameter in made.model.decoder.parameters():
            parameter.zero_()
    x = (X * 255).round() / 255
    assert evaluate(made, x)["bits_per_dim"] == pytest.approx(8, rel=1e-5)


def test_the_loss_of_a_vae_estimates_its_negative_elbo() -> None:
    """Both draw one code for each example, by different generators: they agree within five standard errors."""
    made = objective()
    x = X.repeat(50, 1, 1, 1)
    figures = evaluate(made, x)
    with torch.no_grad():
        spread = made.model(x).p.log_prob(x).std().item()
    assert figures["loss"] == pytest.approx(-figures["elbo"], abs=5 * spread * math.sqrt(2 / len(x)))


def test_figures_are_means_by_count_however_the_data_is_cut() -> None:
    """A last chunk of one example weighs one example."""
    made = objective("simple")
    x = torch.rand(CHUNK + 1, 1, 6, 5)
    whole = evaluate(made, x)
    parts = [evaluate(made, x[:CHUNK]), evaluate(made, x[CHUNK:])]
    for name in ("squared_error", "cross_entropy", "loss"):
        expected = (parts[0][name] * CHUNK + parts[1][name]) / (CHUNK + 1)
        assert whole[name] == pytest.approx(expected, rel=1e-5)


def test_the_same_weights_and_seed_give_the_same_figures() -> None:
    made = objective()
    assert evaluate(made, X, seed=1) == evaluate(made, X, seed=1)
    assert evaluate(made, X, seed=1)["elbo"] != evaluate(made, X, seed=2)["elbo"]


def test_a_gaussian_likelihood_has_no_cross_entropy_and_a_table_no_psnr() -> None:
    made = zoo.recipe("linear").with_options({"latent.size": 2}).build((7,)).eval()
    figures = evaluate(made, torch.randn(30, 7))
    assert figures.keys() == {"n", "loss", "squared_error", "mse", "fvu", "jacobian_norm"}


def test_probabilistic_pca_has_the_elbo_of_its_closed_form() -> None:
    """Its posterior is exact, so the bound is log p(x) for any draw, up to float32 rounding."""
    from isthmus.models.objective import Objective
    from isthmus.parts.penalties import KL
    from isthmus.parts.priors import StandardNormal

    x = torch.randn(500, 6) @ torch.randn(6, 6)
    model = exact.probabilistic_pca(x, 2)
    figures = evaluate(Objective(model, {KL(StandardNormal()): 1.0}), x)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.double().T, correction=0)).flip(0)
    noise = eigenvalues[2:].mean()
    log_p = -0.5 * (6 * math.log(2 * math.pi) + eigenvalues[:2].log().sum() + 4 * noise.log() + 6)
    # the bound is tight in expectation over z; one draw for each of 500 examples leaves a standard error
    spread = (figures["kl"] + 6) / math.sqrt(500)
    assert figures["elbo"] == pytest.approx(log_p.item(), abs=5 * spread)
