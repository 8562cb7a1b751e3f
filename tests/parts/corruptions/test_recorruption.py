"""Recorrupted pairs: input and target have noise that is independent, and models learn from that target."""

import math

import pytest
import torch

from isthmus import latents, likelihoods, nets
from isthmus.errors import BadOption, IncompatibleParts
from isthmus.models.autoencoder import Autoencoder
from isthmus.parts.corruptions import Recorruption


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("strength", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("scale", [0.2, None])
def test_a_recorruption_gives_input_and_target_noise_that_is_independent(strength, scale):
    clean = torch.linspace(0, 1, 200, dtype=torch.float64).expand(1, 1, 200, 200)
    noisy = clean + 0.2 * torch.randn(20, 1, 200, 200, dtype=torch.float64)
    x_in, mask, target = Recorruption((1, 200, 200), strength=strength, scale=scale, antithetic=False)(noisy)
    assert mask.all()
    torch.testing.assert_close(x_in + strength**2 * target, (1 + strength**2) * noisy)
    of_input, of_target = x_in - clean, target - clean
    # standard deviations of a sum of independent noise, and five standard errors of a mean product of two
    scales = 0.2 * math.sqrt(1 + strength**2), 0.2 * math.sqrt(1 + strength**-2)
    assert of_input.std().item() == pytest.approx(scales[0], rel=0.01)
    assert of_target.std().item() == pytest.approx(scales[1], rel=0.01)
    error = scales[0] * scales[1] / math.sqrt(noisy.numel())
    # an estimate of the noise is off by a few per mille, and the covariance by that much of the variance
    assert abs((of_input * of_target).mean().item()) < 5 * error + (0 if scale else 0.005 * 0.2**2)


def test_the_second_half_of_a_batch_is_the_first_with_the_opposite_noise_in_training_alone():
    x = torch.rand(5, 1, 4, 4)
    recorruption = Recorruption((1, 4, 4), scale=0.1)
    noisy, _, target = recorruption(x)
    rows = torch.tensor([0, 1, 0, 1, 4])
    torch.testing.assert_close(noisy + 0.5**2 * target, (1 + 0.5**2) * x[rows])
    noise = noisy - x[rows]
    torch.testing.assert_close(noise[:2], -noise[2:4])
    assert noise.unique(dim=0).shape[0] == 5
    for plain in (recorruption.eval(), Recorruption((1, 4, 4), scale=0.1, antithetic=False)):
        noisy, _, target = plain(x)
        torch.testing.assert_close(noisy + 0.5**2 * target, (1 + 0.5**2) * x)
        assert not (noisy - x)[:2].isclose(-(noisy - x)[2:4]).any()


def test_a_model_learns_from_the_target_of_a_recorruption_except_missing_values():
    latent, likelihood = latents.Deterministic(), likelihoods.Gaussian()
    pair = nets.linear((3,), 2, latent, likelihood)
    model = Autoencoder(pair.encoder, pair.decoder, latent, likelihood, Recorruption((3,), scale=0.1), shape=(3,))
    x, rows = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    trace = model(x)
    torch.testing.assert_close(trace.x_in + 0.5**2 * trace.x, (1 + 0.5**2) * x[rows])
    assert model(x, corrupt=False).x is x
    model.fill = torch.full((3,), 7.0)
    x[2, 1] = x[4, 0] = torch.nan
    trace = model(x)
    assert trace.x.isnan().equal(x[rows].isnan())
    assert trace.x_in[2, 1] == trace.x_in[5, 1] == 7


def test_a_recorruption_of_rows_requires_the_scale_of_their_noise():
    with pytest.raises(
        BadOption, match=r"^The noise of examples of shape \(7,\) cannot be estimated.*Set corruption\.scale"
    ):
        Recorruption((7,))


def test_a_likelihood_of_bounded_values_does_not_take_noisy_targets():
    latent, likelihood = latents.Deterministic(), likelihoods.Bernoulli()
    pair = nets.linear((3,), 2, latent, likelihood)
    with pytest.raises(IncompatibleParts, match="leave the interval from 0 to 1, but likelihood Bernoulli"):
        Autoencoder(pair.encoder, pair.decoder, latent, likelihood, Recorruption((3,), scale=0.1))
