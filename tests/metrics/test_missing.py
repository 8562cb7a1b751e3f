"""Metrics over what is observed, and of pairs of input and target."""

import math

import pytest
import torch
from torch import Tensor

from isthmus import functional as F
from isthmus import zoo
from isthmus.errors import BadData, ShapeError
from isthmus.metrics.codes import sensitivity
from isthmus.metrics.denoising import denoising, pairs
from isthmus.metrics.evaluation import MEANINGS, evaluate
from isthmus.metrics.importance import log_likelihoods
from isthmus.metrics.moments import Moments
from isthmus.metrics.reconstruction import reconstruction
from isthmus.metrics.variational import bounds, chunked_bounds, variational
from isthmus.models.objective import Objective

SHAPE = (1, 12, 12)
X = torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(3))
HOLES = X.masked_fill(torch.rand(X.shape, generator=torch.Generator().manual_seed(4)) < 0.4, torch.nan)
HOLES[5], HOLES[:, :, 3, 3] = torch.nan, torch.nan
SEEN = ~HOLES.isnan()
FILL = HOLES.nanmean(0, keepdim=True).nan_to_num(0.5)


def objective(name: str = "vae", **options: object) -> Objective:
    torch.manual_seed(0)
    return zoo.recipe(name).with_options({"latent.size": 3, **options}).build(SHAPE).eval()


def with_missing(name: str = "vae", **options: object) -> Objective:
    made = objective(name, **options)
    made.accept_missing(FILL)
    return made


def restored(made: Objective, x: Tensor) -> Tensor:
    return made.model.reconstruct(torch.where(x.isnan(), FILL, x)).double()


def test_reconstruction_metrics_are_sums_and_means_over_observed_values():
    made = with_missing()
    y, x = restored(made, HOLES), X.double()
    found = reconstruction(made.model, HOLES)
    total, values = 0.0, torch.zeros(40)
    spread = 0.0
    for j in range(144):
        column, there = x.flatten(1)[:, j], SEEN.flatten(1)[:, j]
        total += (column - y.flatten(1)[:, j])[there].square().sum().item()
        spread += (column[there] - column[there].mean()).square().sum().item() if bool(there.any()) else 0.0
    assert found["n"] == 40
    assert found["squared_error"] == pytest.approx(total / 40, rel=1e-5)
    assert found["mse"] == pytest.approx(total / int(SEEN.sum()), rel=1e-5)
    assert found["fvu"] == pytest.approx(total / spread, rel=1e-5)
    values = [-10 * math.log10((x[i] - y[i])[SEEN[i]].square().mean().item()) for i in range(40) if bool(SEEN[i].any())]
    # an image without observed pixels has no PSNR
    assert len(values) == 39
    assert found["psnr"] == pytest.approx(sum(values) / 39, rel=1e-5)
    cross = -(x * y.log() + (1 - x) * (1 - y).log())[SEEN].sum().item() / 40
    assert found["cross_entropy"] == pytest.approx(cross, rel=1e-5)
    floor = -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x))[SEEN].sum().item() / 40
    assert found["cross_entropy_floor"] == pytest.approx(floor, rel=1e-5)


def test_the_variance_of_observed_values_is_that_of_each_column():
    moments, x = Moments(), HOLES.flatten(1)
    for chunk in x.split(7):
        moments.see(torch.where(chunk.isnan(), 3.0, chunk), ~chunk.isnan())
    columns = [x[:, j][~x[:, j].isnan()].double() for j in range(144)]
    expected = torch.stack([c.var(correction=0) if len(c) else c.sum() for c in columns])
    torch.testing.assert_close(moments.variance(), expected, rtol=1e-10, atol=1e-14)
    counts = torch.tensor([len(c) for c in columns])
    torch.testing.assert_close(moments.deviation(), expected * counts / 40, rtol=1e-10, atol=1e-14)


def test_bounds_leave_out_what_is_missing():
    made = with_missing()
    found = bounds(made.model, HOLES, seed=2)
    whole = objective()
    # the same code and KL of the filled example, and the likelihood of the observed values
    torch.manual_seed(2)
    q = whole.model.posterior(torch.where(SEEN, HOLES, FILL))
    kl = F.kl_standard_normal(q.loc, q.scale, q.log_scale)
    torch.testing.assert_close(found.kl.float(), kl, rtol=1e-5, atol=1e-5)
    assert bool(found.elbo.isfinite().all())
    # nothing is observed of this example
    assert found.elbo[5].item() == pytest.approx(-found.kl[5].item(), rel=1e-6)
    assert log_likelihoods(made.model, HOLES[5:6], 20_000).item() == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("name", ["vae", "simple", "top_k", "denoising", "vq_vae"])
def test_every_metric_is_finite_where_values_are_missing(name: str):
    made = zoo.recipe(name).build(SHAPE).eval()
    made.accept_missing(FILL)
    found = evaluate(made, HOLES, importance_samples=5 if name == "vae" else 0)
    assert found.keys() <= MEANINGS.keys()
    assert all(math.isfinite(value) for value in found.values())
    assert found["loss"] > 0


@pytest.mark.parametrize("name", ["vae", "denoising", "sparse_l1"])
def test_metrics_of_complete_examples_are_the_same_whether_values_may_be_missing(name: str):
    plain, missing = objective(name), with_missing(name)
    expected = evaluate(plain, X)
    found = evaluate(missing, X)
    assert found.keys() == expected.keys()
    for metric, value in expected.items():
        assert found[metric] == pytest.approx(value, rel=1e-5, abs=1e-7), metric


def test_bits_are_those_of_an_observed_dimension():
    x = torch.where(SEEN, (X > 0.5).float(), torch.nan)
    made = with_missing()
    found = evaluate(made, x)
    assert found["bits_per_dim"] == pytest.approx(-found["elbo"] * 40 / int(SEEN.sum()) / math.log(2), rel=1e-6)


def test_missing_values_that_the_model_does_not_accept_are_refused():
    with pytest.raises(BadData):
        evaluate(objective(), HOLES)


def test_denoising_is_measured_on_observed_values():
    made = with_missing("denoising")
    found = denoising(made.model, HOLES, seed=3)
    ((clean, noisy),) = pairs(made.model, HOLES, seed=3)
    assert torch.equal(clean.isnan(), ~SEEN)
    assert bool(noisy.isfinite().all())
    y = made.model.reconstruct(noisy)
    for name, value in (("corrupted", noisy), ("restored", y)):
        error = (X - value)[SEEN].double().square()
        assert found[f"mse_{name}"] == pytest.approx(error.mean().item(), rel=1e-5)
        ratios = [
            -10 * math.log10((X[i] - value[i])[SEEN[i]].square().mean()) for i in range(40) if bool(SEEN[i].any())
        ]
        assert found[f"psnr_{name}"] == pytest.approx(sum(ratios) / 39, rel=1e-5)
    assert "ssim_restored" not in found
    assert "ssim_restored" in denoising(made.model, X, seed=3)


def test_sensitivity_is_that_at_the_filled_input():
    made = with_missing()
    assert sensitivity(made.model, HOLES) == sensitivity(made.model, torch.where(SEEN, HOLES, FILL))


def test_a_pair_is_measured_from_the_code_of_its_input_against_its_target():
    made = objective()
    noisy = (X + 0.2 * torch.randn(X.shape)).clamp(0, 1)
    found = evaluate(made, X, seed=1, inputs=noisy, importance_samples=4)
    y = made.model.reconstruct(noisy)
    assert found["squared_error"] == pytest.approx((X - y).square().sum((1, 2, 3)).mean().item(), rel=1e-5)
    assert found["psnr"] == pytest.approx(F.psnr(X, y).mean().item(), rel=1e-5)
    assert found["mse_corrupted"] == pytest.approx((X - noisy).square().mean().item(), rel=1e-5)
    assert found["psnr_corrupted"] == pytest.approx(F.psnr(X, noisy).mean().item(), rel=1e-5)
    assert found["psnr_restored"] == pytest.approx(found["psnr"], rel=1e-6)
    assert found["ssim_restored"] == pytest.approx(F.ssim(X, y).mean().item(), rel=1e-5)
    assert found["jacobian_norm"] == sensitivity(made.model, noisy)["jacobian_norm"]
    assert found["elbo"] == variational(made.model, X, seed=1, inputs=noisy)["elbo"]
    nll = log_likelihoods(made.model, X, 4, seed=1, inputs=noisy)
    assert found["nll"] == pytest.approx(-nll.mean().item(), rel=1e-12)
    q = made.model.posterior(noisy)
    torch.manual_seed(1)
    z = q.sample((4,))
    log_p = made.model.output(z.flatten(0, 1)).log_prob(X.repeat(4, 1, 1, 1)).reshape(4, 40)
    weights = log_p + made.model.prior_distribution().log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(nll.float(), torch.logsumexp(weights, 0) - math.log(4), rtol=1e-5, atol=1e-5)
    kl = F.kl_standard_normal(q.loc, q.scale, q.log_scale).mean().item()
    assert found["kl"] == pytest.approx(kl, rel=1e-5)
    (bound,) = chunked_bounds(made.model, X, seed=1, inputs=noisy)
    torch.testing.assert_close(bound.loc, q.mean)


def test_pairs_of_equal_examples_have_the_metrics_of_single_ones():
    made = objective()
    expected = evaluate(made, X, seed=1)
    found = evaluate(made, X.numpy(), seed=1, inputs=X.numpy())
    assert {name: value for name, value in found.items() if name in expected} == expected
    assert found["mse_corrupted"] == 0


def test_another_number_of_inputs_than_of_targets_is_refused():
    with pytest.raises(ShapeError, match="39 inputs for 40 targets"):
        evaluate(objective(), X, inputs=X[:39])
