"""Scores of single examples add up to the figures of the whole, and the odd one out has the highest."""

import pytest
import torch

from isthmus import evaluate, exact, zoo
from isthmus.errors import IncompatibleParts
from isthmus.metrics.importance import log_likelihoods
from isthmus.metrics.scores import meaning, scores
from isthmus.models.inputs import CHUNK

X = torch.rand(40, 1, 6, 5, generator=torch.Generator().manual_seed(3))


def test_scores_of_a_variational_model_are_minus_its_bound() -> None:
    objective = zoo.recipe("vae").build((1, 6, 5)).eval()
    values = scores(objective.model, X, 5)
    assert values.shape == (40,)
    assert values.mean().item() == pytest.approx(-evaluate(objective, X, seed=5)["elbo"], rel=1e-6)
    assert not torch.equal(values, scores(objective.model, X, 6))


def test_scores_from_importance_samples_are_minus_the_importance_bound() -> None:
    model = zoo.recipe("vae").build((1, 6, 5)).model.eval()
    assert torch.equal(scores(model, X, 2, importance_samples=7), -log_likelihoods(model, X, 7, seed=2))


@pytest.mark.parametrize("recipe", ["deep", "linear", "wae_mmd"])
def test_scores_without_a_bound_are_the_error_at_the_mean_code(recipe: str) -> None:
    model = zoo.recipe(recipe).build((1, 6, 5)).model.eval()
    x = torch.rand(CHUNK + 3, 1, 6, 5)
    with torch.no_grad():
        expected = -model.output(model.encode(x)).log_prob(x)
    torch.testing.assert_close(scores(model, x).float(), expected, rtol=1e-5, atol=1e-4)
    with pytest.raises(IncompatibleParts, match="Importance sampling requires"):
        scores(model, x, importance_samples=2)


def test_an_example_off_the_plane_of_the_others_scores_highest() -> None:
    x = torch.randn(60, 2) @ torch.randn(2, 6)
    x[17] += 5 * torch.randn(6)
    plain = exact.pca(torch.cat([x[:17], x[18:]]), 2)
    assert scores(plain, x).argmax() == 17
    variational = exact.probabilistic_pca(torch.cat([x[:17], x[18:]]) + 0.1 * torch.randn(59, 6), 2)
    assert scores(variational, x).argmax() == 17
    assert scores(variational, x, importance_samples=3).argmax() == 17


def test_the_meaning_of_a_score_names_what_was_measured() -> None:
    vae, plain = (zoo.recipe(name).build((30,)).model for name in ("vae", "deep"))
    assert meaning(vae) == "negative evidence lower bound from one sample, in nats"
    assert meaning(vae, 5000) == "-log p(x) from 5,000 importance samples, in nats"
    assert meaning(plain) == "-log p(x|z) at the mean code, in nats"
