"""The formulas against closed forms, references written as loops, and other libraries."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_squared_error
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from isthmus import functional as fn

EPS = torch.finfo(torch.float64).eps
SPACES = [(), (5,), (2, 3, 4)]
every_space = pytest.mark.parametrize("space", SPACES)


def gaussian(space: tuple[int, ...], batch: int = 7) -> tuple[Tensor, Tensor]:
    """A mean and a scale in a wide range."""
    loc = 2 * torch.randn(batch, *space, dtype=torch.float64)
    return loc, torch.randn(batch, *space, dtype=torch.float64).exp()


def same(got: Tensor, expected: Tensor, terms: float = 64) -> None:
    """Equal up to ``terms`` roundings."""
    torch.testing.assert_close(got, expected, rtol=terms * EPS, atol=terms * EPS)


@every_space
def test_a_sum_over_features_leaves_one_value_for_each_example(space):
    values = torch.randn(3, *space, dtype=torch.float64)
    expected = torch.tensor([math.fsum(row.flatten().tolist()) for row in values], dtype=torch.float64)
    same(fn.per_example(values), expected)


@every_space
def test_the_squared_error_is_a_sum_over_features_and_not_a_mean(space):
    x, y = torch.randn(2, 3, *space, dtype=torch.float64)
    d = math.prod(space)
    expected = [d * mean_squared_error(a.reshape(-1).numpy(), b.reshape(-1).numpy()) for a, b in zip(x, y, strict=True)]
    same(fn.squared_error(x, y), torch.tensor(expected, dtype=torch.float64))
    assert fn.squared_error(x, x).equal(torch.zeros(3, dtype=torch.float64))


@every_space
def test_the_divergence_from_the_standard_normal_is_that_of_torch(space):
    loc, scale = gaussian(space)
    q, prior = Normal(loc, scale), Normal(torch.zeros_like(loc), torch.ones_like(scale))
    same(fn.kl_standard_normal_by_dimension(loc, scale), kl_divergence(q, prior))
    n = len(space)
    same(fn.kl_standard_normal(loc, scale), kl_divergence(Independent(q, n), Independent(prior, n)))


def test_the_divergence_is_zero_at_the_standard_normal_and_positive_everywhere_else():
    assert fn.kl_standard_normal(torch.zeros(1, 3), torch.ones(1, 3)).item() == 0
    for shift in (-0.1, 0.1):
        for i in range(3):
            loc, scale = torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64)
            loc[0, i] = shift
            # 1/2 shift^2 where the mean moves, 1/2 (s^2 - 1) - log s where the scale does
            assert fn.kl_standard_normal(loc, scale).item() == pytest.approx(0.005, rel=1e-12)
            scale[0, i] += shift
            expected = 0.005 + 0.5 * (scale[0, i].item() ** 2 - 1) - math.log(scale[0, i].item())
            assert fn.kl_standard_normal(loc, scale).item() == pytest.approx(expected, rel=1e-12)
            assert fn.kl_standard_normal(0 * loc, scale).item() > 0.004


@every_space
def test_the_entropy_of_a_gaussian_is_that_of_torch(space):
    loc, scale = gaussian(space)
    same(fn.entropy_gaussian(scale), Independent(Normal(loc, scale), len(space)).entropy())


@pytest.mark.parametrize("k", [1, 2, 50])
@pytest.mark.parametrize("offset", [0.0, 1e3, -1e3])
@every_space
def test_a_log_mean_exp_is_the_logarithm_of_the_mean_of_the_exponentials(k, offset, space):
    log_w = 3 * torch.randn(k, *space, dtype=torch.float64)
    flat = log_w.reshape(k, -1).numpy()
    # in extended precision and without a shift, where nothing overflows
    expected = [np.log(sum(np.exp(np.longdouble(v)) for v in column) / np.longdouble(k)) for column in flat.T]
    got = fn.log_mean_exp(log_w + offset) - offset
    # adding 1e3 costs half a last digit of 1e3
    torch.testing.assert_close(
        got.reshape(-1), torch.tensor([float(v) for v in expected], dtype=torch.float64), rtol=16 * EPS, atol=1e4 * EPS
    )


def test_a_log_mean_exp_of_one_draw_is_that_draw():
    log_w = 1e3 * torch.randn(1, 9, dtype=torch.float64)
    assert fn.log_mean_exp(log_w).equal(log_w[0])


def test_a_log_mean_exp_of_equal_weights_is_the_weight():
    same(fn.log_mean_exp(torch.full((50, 2), -700.0, dtype=torch.float64)), torch.full((2,), -700.0).double())


def test_a_log_mean_exp_outgrows_the_mean_of_log_weights_and_of_its_own_parts():
    log_w = 3 * torch.randn(60, 40, dtype=torch.float64)
    whole = fn.log_mean_exp(log_w)
    tens = torch.stack([fn.log_mean_exp(part) for part in log_w.split(10)]).mean(0)
    assert bool((log_w.mean(0) < tens).all())
    assert bool((tens < whole).all())


def test_units_in_use_are_those_whose_mean_varies_by_more_than_the_threshold():
    wave = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)
    loc = torch.stack([wave, 0.11 * wave, 0.09 * wave, 0 * wave + 3], 1)  # variances 1, 0.0121, 0.0081, 0
    assert fn.active_units(loc).tolist() == [1, 1, 0, 0]
    assert fn.active_units(loc, threshold=0.5).tolist() == [1, 0, 0, 0]
    assert fn.active_units(loc, threshold=0.008).tolist() == [1, 1, 1, 0]
    assert fn.active_units(loc.reshape(8, 2, 2)).tolist() == [[1, 1], [0, 0]]


def test_the_variance_of_a_unit_is_that_of_the_population():
    # two values +-0.1: variance 0.01 over N = 2, 0.02 over N - 1
    assert fn.active_units(torch.tensor([[0.1], [-0.1]], dtype=torch.float64), threshold=0.015).tolist() == [0]


@every_space
def test_the_peak_signal_to_noise_ratio_is_that_of_the_mean_squared_error(space):
    x, y = torch.rand(2, 3, *space, dtype=torch.float64)
    if not space:
        x, y = x[:, None], y[:, None]
    expected = []
    for a, b in zip(x, y, strict=True):
        errors = [(u - v) ** 2 for u, v in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)]
        expected.append(10 * math.log10(1.0 / (math.fsum(errors) / len(errors))))
    same(fn.psnr(x, y), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(("error", "expected"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0)])
def test_ten_times_less_error_is_twenty_decibels_more(error, expected):
    x = torch.zeros(1, 6, dtype=torch.float64)
    assert fn.psnr(x, x + error).item() == pytest.approx(expected, abs=1e-12)


def test_a_perfect_image_counts_as_one_hundred_decibels_and_none_counts_more():
    x = torch.rand(2, 6, dtype=torch.float64)
    assert fn.psnr(x, x).tolist() == [100, 100]
    assert bool((fn.psnr(x, x + 1e-6) == 100).all())
    assert bool((fn.psnr(x, x + 2e-5) < 100).all())


@every_space
def test_the_binary_entropy_is_that_of_torch_and_the_least_cross_entropy(space):
    x, r = torch.rand(2, 6, *space, dtype=torch.float64)
    entropy = fn.binary_entropy(x)
    same(entropy, Independent(Bernoulli(probs=x), len(space)).entropy())
    at = Independent(Bernoulli(probs=x, validate_args=False), len(space), validate_args=False)
    other = Independent(Bernoulli(probs=r, validate_args=False), len(space), validate_args=False)
    same(-at.log_prob(x), entropy)
    assert bool((-other.log_prob(x) > entropy).all())


def test_black_and_white_pixels_have_no_entropy():
    assert fn.binary_entropy(torch.tensor([[0.0, 1.0]])).item() == 0


REFERENCES = {
    "linear": lambda v: v,
    "relu": lambda v: max(v, 0.0),
    "leaky_relu": lambda v: v if v > 0 else 0.01 * v,
    "elu": lambda v: v if v > 0 else math.expm1(v),
    "gelu": lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))),
    "silu": lambda v: v / (1 + math.exp(-v)),
    "softplus": lambda v: math.log1p(math.exp(v)),
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "tanh": math.tanh,
}


@pytest.mark.parametrize("name", fn.ACTIVATIONS)
def test_an_activation_is_the_function_of_its_name(name):
    v = torch.linspace(-5, 5, 41, dtype=torch.float64)
    expected = torch.tensor([REFERENCES[name](a) for a in v.tolist()], dtype=torch.float64)
    same(fn.ACTIVATIONS[name](v), expected)
