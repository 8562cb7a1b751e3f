"""Likelihoods: densities that integrate to one, masses that sum to one, and gradients by finite differences."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from isthmus.functional import squared_error
from isthmus.models.recipe import LikelihoodPart
from isthmus.parts.latents import Gaussian as GaussianLatent
from isthmus.parts.likelihoods import LIKELIHOODS, Bernoulli, Gaussian

EPS = torch.finfo(torch.float64).eps


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_masses_of_all_binary_images_sum_to_one(d):
    p = Bernoulli()(2 * torch.randn(1, d, dtype=torch.float64))
    every = torch.tensor(list(product([0.0, 1.0], repeat=d)), dtype=torch.float64)
    # 2^d terms of at most 1
    assert p.log_prob(every).exp().sum().item() == pytest.approx(1, abs=2**d * 4 * EPS)


def test_the_mass_of_a_binary_image_is_the_product_over_pixels():
    h = torch.randn(1, 2, 2, 3, dtype=torch.float64)
    p = Bernoulli()(h)
    x = (torch.rand(1, 2, 2, 3, dtype=torch.float64) > 0.5).double()
    expected = 1.0
    for logit, value in zip(h.flatten().tolist(), x.flatten().tolist(), strict=True):
        r = 1 / (1 + math.exp(-logit))
        expected *= r if value else 1 - r
    assert p.log_prob(x).item() == pytest.approx(math.log(expected), rel=1e-13)
    torch.testing.assert_close(p.mean, torch.sigmoid(h), rtol=4 * EPS, atol=0)


def test_the_loss_of_gray_pixels_is_the_cross_entropy():
    h, x = torch.randn(2, 3, 4, dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy(torch.sigmoid(h), torch.rand(3, 4).double() * 0 + x.sigmoid())
    got = -Bernoulli()(h).log_prob(x.sigmoid()).sum() / 12
    assert got.item() == pytest.approx(expected.item(), rel=1e-13)


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0])
def test_the_density_of_a_gaussian_integrates_to_one(scale):
    """The trapezoid rule at a tenth of sigma out to 12 sigma: its error is far below the last digit."""
    mean = torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    steps = torch.arange(-120, 121, dtype=torch.float64) / 10 * scale
    grid = torch.cartesian_prod(steps, steps)
    total = Gaussian(scale)(mean).log_prob(mean + grid).exp().sum() * (scale / 10) ** 2
    assert total.item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0])
def test_the_density_of_a_gaussian_is_that_of_scipy(scale):
    h, x = torch.randn(2, 3, 2, 2, dtype=torch.float64).numpy()
    expected = stats.norm(h, scale).logpdf(x).reshape(3, -1).sum(1)
    got = Gaussian(scale)(torch.from_numpy(h)).log_prob(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-13)


@pytest.mark.parametrize("scale", [0.05, 1.0, 3.0])
def test_the_loss_of_a_gaussian_is_the_squared_error_over_twice_the_variance_and_a_constant(scale):
    h, x = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    constant = 4 * math.log(scale * math.sqrt(2 * math.pi))
    expected = squared_error(x, h) / (2 * scale**2) + constant
    torch.testing.assert_close(-Gaussian(scale)(h).log_prob(x), expected, rtol=64 * EPS, atol=64 * EPS)


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_the_gradient_of_a_log_likelihood_is_that_of_finite_differences(kind):
    head = LikelihoodPart(kind=kind).make().double()
    h = torch.randn(3, head.width(4), 2, dtype=torch.float64, requires_grad=True)
    x = torch.rand(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda features, data: head(features).log_prob(data), (h, x))


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_many_draws_have_the_mean_of_the_distribution(kind):
    head = LikelihoodPart(kind=kind).make().double()
    p = head(torch.randn(2, head.width(3), dtype=torch.float64))
    draws = p.sample((20_000,))
    error = draws.std(0) / math.sqrt(20_000)
    assert bool(((draws.mean(0) - p.mean).abs() < 5 * error).all())


def test_draws_of_a_gaussian_code_have_its_mean_spread_and_gradient():
    h = torch.tensor([[0.5, -1.0, 0.7, -0.4]], dtype=torch.float64, requires_grad=True)
    torch.manual_seed(4)
    z = GaussianLatent()(h).rsample()
    torch.manual_seed(4)
    noise = torch.randn(1, 2, dtype=torch.float64)
    scale = h[:, 2:].exp()
    torch.testing.assert_close(z, h[:, :2] + scale * noise, rtol=8 * EPS, atol=0)
    z.sum().backward()
    # dz/dmu = 1 and dz/dlog sigma = sigma eps
    torch.testing.assert_close(h.grad, torch.cat([torch.ones_like(noise), scale * noise], 1), rtol=8 * EPS, atol=0)


def test_the_density_of_a_gaussian_code_is_that_of_scipy():
    h, z = torch.randn(3, 4, 2, dtype=torch.float64), torch.randn(3, 2, 2, dtype=torch.float64)
    expected = stats.norm(h[:, :2].numpy(), np.exp(h[:, 2:].numpy())).logpdf(z.numpy()).reshape(3, -1).sum(1)
    np.testing.assert_allclose(GaussianLatent()(h).log_prob(z).numpy(), expected, rtol=1e-12)
