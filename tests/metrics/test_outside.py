"""Scores outside the support of the likelihood: they continue those inside, and grow with the distance."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Poisson

from isthmus import nets, zoo
from isthmus.metrics.scores import TAIL, meaning, scores
from isthmus.models.autoencoder import Autoencoder
from isthmus.parts.latents import Deterministic
from isthmus.parts.likelihoods import Bernoulli

BOUNDED = {
    "bernoulli": {},
    "continuous_bernoulli": {},
    "categorical": {"likelihood.levels": 5},
    "discretized_logistics": {"likelihood.levels": 5, "likelihood.components": 2},
}
X = (4 * torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(2))).round() / 4
every_score = pytest.mark.parametrize(("recipe", "samples"), [("simple", 0), ("vae", 0), ("vae", 3)])
every_bounded = pytest.mark.parametrize("kind", BOUNDED)


def model(recipe: str, kind: str) -> Autoencoder:
    made = zoo.recipe(recipe).with_options({"latent.size": 3, "likelihood.kind": kind, **BOUNDED[kind]})
    torch.manual_seed(0)
    return made.build((1, 4, 4)).model.eval()


@every_score
@every_bounded
def test_a_value_outside_adds_a_gaussian_tail_to_the_score_of_the_nearest_example(recipe, samples, kind):
    made, x = model(recipe, kind), X.clone()
    x[3, 0, 1, 2], x[3, 0, 0, 0], x[8, 0, 3, 3] = 1.25, -0.5, 11.0
    clipped = x.clamp(0, 1)
    base = scores(made, clipped, 5, importance_samples=samples)
    found = scores(made, x, 5, importance_samples=samples)
    expected = base.clone()
    expected[3] += 0.5 * ((0.25 / TAIL) ** 2 + (0.5 / TAIL) ** 2)
    expected[8] += 0.5 * (10.0 / TAIL) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    others = [i for i in range(30) if i not in (3, 8)]
    assert torch.equal(found[others], base[others])
    assert found.argmax() == 8


@every_bounded
def test_a_score_increases_with_the_distance_from_the_support(kind):
    made = model("vae", kind)
    distances = torch.tensor([0.0, 1e-3, 0.01, 0.1, 0.5, 1.0, 10.0, 1e3, 1e8])
    x = X[:1].repeat(2 * len(distances), 1, 1, 1)
    x[:, 0, 2, 2] = torch.cat([1 + distances, -distances])
    inside = x.clamp(0, 1)
    # each with the noise of its own row, so the tails are compared
    for tails in (scores(made, x) - scores(made, inside)).split(len(distances)):
        assert tails[0] == 0
        assert bool((tails.diff() > 0).all())
        assert bool(tails.isfinite().all())


@every_bounded
def test_inside_the_support_not_a_bit_changes(kind, monkeypatch):
    made = model("vae", kind)
    found = scores(made, X)
    monkeypatch.setattr("isthmus.metrics.scores.support_of", lambda _likelihood: None)
    assert torch.equal(found, scores(made, X))


def test_values_between_gray_levels_are_scored_as_the_nearest_level():
    made = model("simple", "categorical")
    assert torch.equal(scores(made, X + 0.04 * (X < 1)), scores(made, X))


class Chunks:
    """Examples for tests, which are read in chunks, once."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.shape, self.reads = x, x.shape, 0

    def __len__(self) -> int:
        return len(self.x)

    def chunks(self, size: int) -> Iterator[Tensor]:
        self.reads += 1
        yield from self.x.split(min(size, 7))


@every_score
def test_a_stream_is_read_once(recipe, samples):
    made = model(recipe, "bernoulli")
    x = X.clone()
    x[12] = 3.0
    stream = Chunks(x)
    found = scores(made, stream, 5, importance_samples=samples)
    assert stream.reads == 1
    if recipe == "simple":
        torch.testing.assert_close(found, scores(made, x), rtol=1e-6, atol=0)
    assert found.argmax() == 12


def test_missing_and_outlying_values_of_one_example_are_scored_together():
    made, x = model("simple", "bernoulli"), X.clone()
    made.fill = torch.full((1, 1, 4, 4), 0.5)
    x[0, 0, 0, 0], x[0, 0, 1, 1] = torch.nan, 2.0
    p = made.output(made.encode(x[:1].clamp(0, 1))).p
    values = p.log_prob_by_feature(x[:1].clamp(0, 1).nan_to_num(0.5)).double()
    values[0, 0, 0, 0] = 0
    expected = -values.sum().detach() + 0.5 * (1.0 / TAIL) ** 2
    torch.testing.assert_close(scores(made, x)[0], expected, rtol=1e-6, atol=0)


class Counts(nn.Module):
    """A likelihood for tests, of counts, bounded at one end."""

    discrete = True
    support = (0.0, torch.inf)

    def width(self, d: int) -> int:
        return d

    def forward(self, h: Tensor) -> Distribution:
        return Independent(Poisson(h.exp(), validate_args=False), h.ndim - 1, validate_args=False)

    def check(self, x: Tensor) -> None:
        pass


def test_a_support_with_one_end_has_the_tail_of_a_unit():
    latent, likelihood = Deterministic(), Counts()
    encoder, decoder, _ = nets.mlp((4,), 2, latent, likelihood, widths=(5,))
    made = Autoencoder(encoder, decoder, latent, likelihood, shape=(4,)).eval()
    x = torch.tensor([[1.0, 2.0, 0.0, 300.0], [1.0, -2.0, 0.0, 300.0]])
    base, found = scores(made, x.clamp(min=0)), scores(made, x)
    torch.testing.assert_close(found - base, torch.tensor([0.0, 0.5 * 20.0**2]).double(), rtol=1e-9, atol=0)


def test_the_meaning_of_a_score_names_the_tail_where_it_was_added():
    made = model("simple", "bernoulli")
    assert isinstance(made.likelihood, Bernoulli)
    assert meaning(made, outside=False) == meaning(made) == "-log p(x|z) at the mean code, in nats"
    assert meaning(made, outside=True) == (
        "-log p(x|z) at the mean code, in nats; a value outside [0, 1] adds 1/2 ((x - clip(x)) / 0.1)^2"
    )
    unbounded = zoo.recipe("vae").with_options({"likelihood.kind": "gaussian"}).build((4,)).model
    assert meaning(unbounded, 7, outside=True) == meaning(unbounded, 7)
