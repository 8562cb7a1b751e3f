"""The support of a likelihood, and the nearest values in it."""

import math

import pytest
import torch
from torch import nn

from isthmus.parts.likelihoods import LIKELIHOODS, Bernoulli, Categorical, DiscretizedLogistics, Gaussian
from isthmus.parts.likelihoods.support import clip_to_support, rows_outside, support_of, support_width

BOUNDED = {"bernoulli", "continuous_bernoulli", "categorical", "discretized_logistics"}


class Counts(nn.Module):
    """A likelihood for tests, of counts."""

    support = (0.0, math.inf)


class Old(nn.Module):
    """A likelihood for tests that states no support."""


@pytest.mark.parametrize("kind", LIKELIHOODS)
def test_likelihoods_of_pixels_are_bounded_and_all_others_are_not(kind):
    assert support_of(LIKELIHOODS[kind]()) == ((0.0, 1.0) if kind in BOUNDED else None)


def test_a_support_may_be_open_at_one_end_or_not_stated():
    assert (support_of(Counts()), support_width(Counts())) == ((0.0, math.inf), 1.0)
    assert (support_of(Old()), support_width(Old())) == (None, 1.0)
    assert support_width(Bernoulli()) == 1.0
    assert clip_to_support(torch.tensor([[-2.0, 5.0]]), Counts()).tolist() == [[0.0, 5.0]]
    assert rows_outside(torch.tensor([[-2.0, 5.0], [0.0, 5.0]]), Counts()).tolist() == [True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_inside_is_returned_as_it_is(dtype):
    x = torch.rand(2500, 3, dtype=dtype)
    assert clip_to_support(x, Bernoulli()) is x
    wide = 100 * torch.randn(5, 3, dtype=dtype)
    assert clip_to_support(wide, Gaussian()) is wide
    assert clip_to_support(wide, Old()) is wide
    x[7] = torch.nan
    assert clip_to_support(x, Bernoulli()) is x
    # as a file of 8-bit or 16-bit pixels gives them
    for levels in (2, 256, 65_536):
        gray = torch.arange(levels, dtype=dtype)[:, None] / (levels - 1)
        for likelihood in (Categorical(levels), DiscretizedLogistics(levels=levels)):
            assert clip_to_support(gray, likelihood) is gray
            # with another rounding
            near = torch.nextafter(gray, torch.full_like(gray, 0.5))
            assert clip_to_support(near, likelihood) is near
    assert clip_to_support(torch.zeros(0, 3), Bernoulli()).shape == (0, 3)


def test_values_outside_are_clipped_and_missing_ones_stay_missing():
    x = torch.rand(2500, 2)
    x[7, 1], x[2400, 0], x[3] = 1.5, -torch.inf, torch.nan
    clipped = clip_to_support(x, Bernoulli())
    expected = x.clone()
    expected[7, 1], expected[2400, 0] = 1.0, 0.0
    assert torch.equal(clipped[4:], expected[4:])
    assert bool(clipped[3].isnan().all())
    assert rows_outside(x, Bernoulli()).nonzero().flatten().tolist() == [7, 2400]
    assert not bool(rows_outside(x, Gaussian()).any())


def test_values_between_gray_levels_are_rounded_but_not_outside():
    x = torch.tensor([[0.0, 1 / 3, 0.4, 0.9, 1.2]])
    for likelihood in (Categorical(levels=4), DiscretizedLogistics(levels=4)):
        clipped = clip_to_support(x, likelihood)
        torch.testing.assert_close(clipped, torch.tensor([[0.0, 1 / 3, 1 / 3, 1.0, 1.0]]))
        likelihood.check(clipped)
        assert not bool(rows_outside(x[:, :4], likelihood).any())
        assert bool(rows_outside(x, likelihood).all())
