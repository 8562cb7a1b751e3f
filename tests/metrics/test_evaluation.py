"""Figures of a model agree with their formulas, written out as loops or taken from another library."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from isthmus import evaluate, exact, zoo
from isthmus.metrics.evaluation import MEANINGS
from isthmus.model import CHUNK

X = torch.rand(40, 1, 6, 5, generator=torch.Generator().manual_seed(3))


def objective(name: str = "vae", **options: object):
    return zoo.recipe(name).with_options({"latent.size": 3, **options}).build((1, 6, 5)).eval()


def test_every_figure_has_a_meaning_with_its_unit() -> None:
    assert evaluate(objective(), X).keys() <= MEANINGS.keys()


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
    assert figures.keys() == {"n", "loss", "squared_error", "mse"}


def test_probabilistic_pca_has_the_elbo_of_its_closed_form() -> None:
    """Its posterior is exact, so the bound is log p(x) for any draw, up to float32 rounding."""
    from isthmus.objective import Objective
    from isthmus.penalties import KL
    from isthmus.priors import StandardNormal

    x = torch.randn(500, 6) @ torch.randn(6, 6)
    model = exact.probabilistic_pca(x, 2)
    figures = evaluate(Objective(model, {KL(StandardNormal()): 1.0}), x)
    eigenvalues = torch.linalg.eigvalsh(torch.cov(x.double().T, correction=0)).flip(0)
    noise = eigenvalues[2:].mean()
    log_p = -0.5 * (6 * math.log(2 * math.pi) + eigenvalues[:2].log().sum() + 4 * noise.log() + 6)
    # the bound is tight in expectation over z; one draw for each of 500 examples leaves a standard error
    spread = (figures["kl"] + 6) / math.sqrt(500)
    assert figures["elbo"] == pytest.approx(log_p.item(), abs=5 * spread)
