"""Directions between groups of codes, and codes near a given one, against their closed forms."""

import pytest
import torch
from torch import Tensor

from isthmus.errors import BadData, BadOption
from isthmus.functional.directions import DIRECTIONS, logistic_direction, mean_direction, neighboring_codes


def groups(n: int = 4000) -> tuple[Tensor, Tensor]:
    """Two Gaussians with one covariance, whose means differ along the first axis, and what goes with it by chance."""
    generator = torch.Generator().manual_seed(0)
    target = torch.arange(n) % 2 == 1
    factor = torch.tensor([[1.0, 0.0], [1.5, 0.5]], dtype=torch.float64)
    z = torch.randn(n, 2, dtype=torch.float64, generator=generator) @ factor.T
    return z + target[:, None] * torch.tensor([2.0, 3.0], dtype=torch.float64), target


def test_the_difference_of_means_leads_from_one_mean_to_the_other():
    z, target = groups()
    moved = z[~target] + mean_direction(z, target)
    torch.testing.assert_close(moved.mean(0), z[target].mean(0))


def test_the_logistic_direction_is_normal_to_the_boundary_and_reaches_the_other_mean_along_it():
    z, target = groups()
    v = logistic_direction(z, target)
    # of two Gaussians with one covariance S the boundary has the normal S^-1 (m1 - m0)
    covariance = z[target].T.cov()
    normal = torch.linalg.solve(covariance, mean_direction(z, target))
    assert torch.cosine_similarity(v, normal, dim=0) > 0.995
    along = v / v.norm()
    assert ((z[~target] + v) @ along).mean().item() == pytest.approx((z[target] @ along).mean().item(), rel=1e-9)


def test_the_logistic_direction_leaves_out_what_only_goes_with_the_classes():
    # the second dimension is 1.5 times the first in both groups: knowing the first, it says nothing of the class
    z, target = groups()
    v, difference = logistic_direction(z, target), mean_direction(z, target)
    assert abs(v[1] / v[0]) < 0.05
    assert difference[1] / difference[0] > 1


@pytest.mark.parametrize("method", DIRECTIONS)
@pytest.mark.parametrize("value", [True, False])
def test_a_direction_needs_two_groups(method, value):
    with pytest.raises(BadData, match="from one group of examples to another"):
        DIRECTIONS[method](torch.randn(5, 2), torch.full((5,), value))


def test_equal_codes_have_no_logistic_direction():
    with pytest.raises(BadData, match="the same codes"):
        logistic_direction(torch.ones(6, 2), torch.arange(6) < 3)


@pytest.mark.parametrize("distance", [0.0, 0.4, 1.0])
def test_neighbors_of_gaussian_codes_follow_the_same_gaussian(distance):
    torch.manual_seed(1)
    mean, factor = torch.tensor([1.0, -2.0]).double(), torch.tensor([[2.0, 0.0], [1.0, 0.5]]).double()
    z = mean + torch.randn(100_000, 2, dtype=torch.float64) @ factor.T
    near = neighboring_codes(z, mean, factor, distance, 2)
    assert near.shape == (100_000, 2, 2)
    torch.testing.assert_close(near[:, 0].mean(0), mean, atol=0.03, rtol=0)
    torch.testing.assert_close(near[:, 1].T.cov(), factor @ factor.T, atol=0.06, rtol=0)
    # and their correlation with the code that they are near to is sqrt(1 - r^2)
    together = torch.stack([z[:, 0], near[:, 0, 0]]).corrcoef()[0, 1]
    assert together.item() == pytest.approx((1 - distance**2) ** 0.5, abs=0.01)


def test_a_code_at_distance_0_is_itself():
    z = torch.randn(3, 2)
    assert torch.equal(neighboring_codes(z, torch.zeros(2), torch.eye(2), 0.0, 4), z[:, None].expand(3, 4, 2))


@pytest.mark.parametrize(("distance", "number"), [(1.5, 1), (-0.1, 1), (0.3, 0)])
def test_numbers_out_of_range_are_refused(distance, number):
    with pytest.raises(BadOption, match="must be"):
        neighboring_codes(torch.zeros(1, 2), torch.zeros(2), torch.eye(2), distance, number)
