"""The importance bound against closed forms, its blocks against the whole, and the memory it takes."""

import math
import subprocess
import sys
from itertools import pairwise

import pytest
import torch
from oracles import log_importance_weights
from torch import Tensor
from torch.distributions import Bernoulli, Independent, MultivariateNormal, Normal

from isthmus import exact, zoo
from isthmus import functional as F
from isthmus.distributions import DiagonalGaussian
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.metrics import importance
from isthmus.metrics.evaluation import evaluate
from isthmus.metrics.importance import log_likelihoods
from isthmus.metrics.variational import bounds
from isthmus.models.autoencoder import Autoencoder
from isthmus.models.objective import Objective
from isthmus.models.seeding import seeded
from isthmus.parts.penalties import KL
from isthmus.parts.priors import StandardNormal


def vae(size: int = 3) -> Autoencoder:
    """An untrained model whose posterior is far from exact: the decoder's weights are enlarged."""
    model = zoo.recipe("vae").with_options({"latent.size": size, "net.widths": [8]}).build((1, 6, 5)).model.double()
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(6)
    return model.eval()


def images(n: int) -> Tensor:
    return torch.bernoulli(torch.rand(n, 1, 6, 5, dtype=torch.float64))


@pytest.mark.parametrize("samples", [1, 3, 7, 2500])
def test_with_the_exact_posterior_any_number_of_draws_gives_the_density(samples: int) -> None:
    """Probabilistic PCA: every weight equals p(x), the density of a multivariate normal."""
    x = torch.randn(40, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64)
    model = exact.probabilistic_pca(x, 2)
    w, mean = model.decoder.weight.detach(), model.decoder.bias.detach()
    covariance = w @ w.T + model.likelihood.scale**2 * torch.eye(5, dtype=torch.float64)
    expected = MultivariateNormal(mean, covariance).log_prob(x)
    # sums of a few dozen terms of size up to 100, and the conditioning of the covariance: far below 1e-8
    torch.testing.assert_close(log_likelihoods(model, x, samples), expected, rtol=0, atol=1e-8)


def test_evaluation_reports_the_negative_mean_of_the_density_in_single_precision() -> None:
    x = torch.randn(40, 5) @ torch.randn(5, 5)
    model = exact.probabilistic_pca(x, 2)
    w = model.decoder.weight.detach()
    covariance = w @ w.T + model.likelihood.scale**2 * torch.eye(5)
    expected = -MultivariateNormal(model.decoder.bias.detach(), covariance).log_prob(x).mean().item()
    objective = Objective(model, {KL(StandardNormal()): 1.0})
    # float32: some 20 terms of size up to 100, each within 6e-8 of itself, and the conditioning of the covariance
    assert evaluate(objective, x, importance_samples=4)["nll"] == pytest.approx(expected, abs=1e-3)
    assert "nll" not in evaluate(objective, x)


def test_one_draw_is_the_sample_of_the_evidence_lower_bound() -> None:
    model, x = vae(), images(30)
    with seeded(4), torch.no_grad():
        expected = log_importance_weights(model, x, 1)[0]
    torch.testing.assert_close(log_likelihoods(model, x, 1, seed=4), expected, rtol=1e-12, atol=0)


def test_the_mean_over_single_draws_is_the_evidence_lower_bound() -> None:
    """The bound takes an exact KL, the weight a drawn one: they agree within five standard errors."""
    model, x = vae(), images(1).expand(4000, 1, 6, 5)
    drawn, exact_kl = log_likelihoods(model, x, 1), bounds(model, x).elbo
    error = math.sqrt((drawn.var() + exact_kl.var()).item() / 4000)
    assert drawn.mean().item() == pytest.approx(exact_kl.mean().item(), abs=5 * error)


def test_the_bound_is_the_log_mean_of_the_weights_that_torch_gives() -> None:
    model, x = vae(), images(6)
    with seeded(2), torch.no_grad():
        q = model.posterior(x)
        z = q.sample(torch.Size((50,)))
        p = Independent(Bernoulli(logits=model.output(z.flatten(0, 1)).logits.reshape(50, 6, 1, 6, 5)), 3)
        log_w = (
            p.log_prob(x.expand(50, 6, 1, 6, 5))
            + Normal(0.0, 1.0).log_prob(z).sum(-1)
            - Normal(q.loc, q.scale).log_prob(z).sum(-1)
        )
    torch.testing.assert_close(log_likelihoods(model, x, 50, seed=2), F.log_mean_exp(log_w), rtol=1e-10, atol=0)


def test_the_bound_rises_with_the_number_of_draws() -> None:
    model, x = vae(), images(400)
    values = [log_likelihoods(model, x, samples) for samples in (1, 10, 100)]
    for less, more in pairwise(values):
        gain = more - less
        # five standard errors above zero: no accident of the draws
        assert gain.mean() > 5 * gain.std() / math.sqrt(400)


class Counted(DiagonalGaussian):
    """Draws that count up and never repeat, whatever is drawn at once."""

    count = 0

    def sample(self, sample_shape=()):
        numbers = torch.arange(Counted.count, Counted.count + sample_shape[0], dtype=self.loc.dtype)
        Counted.count += sample_shape[0]
        return torch.sin(numbers)[:, None, None] * torch.ones_like(self.loc)


@pytest.mark.parametrize(("decodes", "least"), [(1, 1), (7, 3), (12, 4), (1000, 8)])
@pytest.mark.parametrize("samples", [1, 5, 23])
def test_blocks_of_any_size_add_up_to_the_whole(
    decodes: int, least: int, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each block of examples meets the same numbered draws; none is lost, repeated, or weighed twice."""
    model, x = vae(2), images(7)
    model.posterior = lambda rows: _restarted(Counted(torch.zeros(len(rows), 2).double(), torch.ones(len(rows), 2)))
    monkeypatch.setattr(importance, "DECODES", decodes)
    monkeypatch.setattr(importance, "EXAMPLES", least)
    z = torch.sin(torch.arange(samples).double())[:, None].expand(samples, 2)
    with torch.no_grad():
        p = model.output(z)
        log_p = torch.stack([p.log_prob(row.expand(samples, *row.shape)) for row in x], 1)
    log_w = log_p + (Normal(0.0, 1.0).log_prob(z) - Normal(0.0, math.e).log_prob(z)).sum(-1)[:, None]
    # float32 in the stand-in posterior's scale alone; sums of 30 terms
    torch.testing.assert_close(log_likelihoods(model, x, samples), F.log_mean_exp(log_w), rtol=1e-6, atol=1e-6)


def _restarted(q: Counted) -> Counted:
    Counted.count = 0
    return q


def test_the_listener_hears_rising_shares_up_to_the_whole() -> None:
    heard: list[float] = []
    log_likelihoods(vae(), images(30), 200, callback=heard.append)
    assert heard == pytest.approx([8 / 30, 16 / 30, 24 / 30, 1.0])


def test_equal_seeds_give_equal_figures_and_leave_the_generator_alone() -> None:
    model, x = vae(), images(5)
    before = torch.random.get_rng_state()
    assert torch.equal(log_likelihoods(model, x, 9, seed=1), log_likelihoods(model, x, 9, seed=1))
    assert not torch.equal(log_likelihoods(model, x, 9, seed=1), log_likelihoods(model, x, 9, seed=2))
    assert torch.equal(before, torch.random.get_rng_state())


def test_evaluation_hands_its_seed_to_the_draws() -> None:
    objective, x = zoo.recipe("vae").build((1, 6, 5)).eval(), images(5).float()
    expected = -log_likelihoods(objective.model, x, 3, seed=7).mean().item()
    assert evaluate(objective, x, seed=7, importance_samples=3)["nll"] == expected


def test_weights_beyond_the_range_of_exp_do_not_overflow() -> None:
    model, x = vae(), images(2)
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.mul_(100)
    assert bool(torch.isfinite(log_likelihoods(model, x, 10)).all())


@pytest.mark.parametrize("samples", [0, -1, 1_000_001])
def test_numbers_of_draws_out_of_range_are_refused(samples: int) -> None:
    with pytest.raises(BadOption, match="The number of importance samples must be at least 1"):
        log_likelihoods(vae(), images(2), samples)


@pytest.mark.parametrize("recipe", ["deep", "wae_mmd"])
def test_a_model_without_a_bound_is_refused(recipe: str) -> None:
    objective = zoo.recipe(recipe).build((1, 6, 5)).eval()
    with pytest.raises(IncompatibleParts, match=r"requires .* density q\(z\|x\), and a prior.* variational recipe"):
        evaluate(objective, images(4).float(), importance_samples=5)
    with pytest.raises(BadOption, match="importance samples must be at least 0"):
        evaluate(objective, images(4).float(), importance_samples=-1)


MEMORY = """
import resource, torch
from isthmus import zoo
from isthmus.metrics.importance import log_likelihoods
torch.set_num_threads(1)
model = zoo.recipe("vae").with_options({"latent.size": 2, "net.widths": [4]}).build((1, 28, 28)).model.eval()
x = torch.rand(17, 1, 28, 28)
log_likelihoods(model, x[:9], 300)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
log_likelihoods(model, x, 5000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux alone")
def test_memory_does_not_grow_with_draws_nor_examples() -> None:
    """All draws of one block of examples are 8 x 5000 x 784 floats, 125 MB, and several such arrays are made.

    A block of 1000 decodes is 3 MB. After a first call has made the blocks, nothing larger may be asked for; 30 MB
    are left for the allocator.
    """
    answer = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    assert int(answer.stdout) < 30 * 1024
