"""Precision and recall of samples, nearest neighbors, spherical interpolation, and the polynomial kernel."""

import math

import pytest
import torch
from torch import Tensor

from isthmus.errors import BadData
from isthmus.functional import kernel_matrix, nearest_distance, neighbors, precision_recall, slerp, squared_mmd


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def among(points: Tensor, others: Tensor, k: int) -> float:
    """By its definition, one pair after the other."""
    inside = 0
    for p in points:
        hit = False
        for q in others:
            radius = sorted((q - o).norm().item() for o in others)[k]
            hit = hit or (p - q).norm().item() <= radius
        inside += hit
    return inside / len(points)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("rows", [5, 2048])
def test_precision_and_recall_are_those_of_their_definition(k, rows, monkeypatch):
    monkeypatch.setattr(neighbors, "ROWS", rows)
    data, samples = normal(20, 2), 0.5 * normal(15, 2) + 0.3
    found = precision_recall(data, samples, k)
    assert found.precision == pytest.approx(among(samples, data, k))
    assert found.recall == pytest.approx(among(data, samples, k))


def test_narrow_samples_are_precise_and_miss_most_of_the_data():
    data = normal(300, 2)
    found = precision_recall(data, 0.1 * normal(301, 2))
    assert found.precision > 0.95
    assert found.recall < 0.2


def test_too_few_points_have_no_neighbor():
    with pytest.raises(BadData, match="more than 3 points, but there are 3 and 9"):
        precision_recall(normal(3, 2), normal(9, 2))


def test_the_nearest_neighbor_is_the_nearest_one():
    points, others = normal(30, 4), normal(40, 4)
    torch.testing.assert_close(nearest_distance(points, others), torch.cdist(points, others).min(1).values)


def test_the_polynomial_kernel_is_that_of_the_kernel_inception_distance():
    x, y = normal(5, 3), normal(6, 3)
    torch.testing.assert_close(kernel_matrix(x, y, "polynomial"), (x @ y.T / 3 + 1) ** 3)
    within = [sum((a @ b / 3 + 1) ** 3 for a in v for b in v if a is not b) / (len(v) * (len(v) - 1)) for v in (x, y)]
    across = ((x @ y.T / 3 + 1) ** 3).mean()
    # the rows of a tensor are new objects every time, so a point meets itself: taken off here
    own = [sum((a @ a / 3 + 1) ** 3 for a in v) / (len(v) * (len(v) - 1)) for v in (x, y)]
    torch.testing.assert_close(squared_mmd(x, y, "polynomial"), sum(within) - sum(own) - 2 * across)


def test_a_spherical_path_keeps_the_length_and_turns_evenly():
    a, b = normal(8, 3, 2).split(4)
    a, b = (v / v.flatten(1).norm(dim=1).reshape(-1, 1, 1) for v in (a, b))
    whole = (a * b).flatten(1).sum(1).arccos()
    for t in (0.0, 0.25, 0.7, 1.0):
        z = slerp(a, b, t)
        torch.testing.assert_close(z.flatten(1).norm(dim=1), torch.ones(4, dtype=torch.float64))
        torch.testing.assert_close((a * z).flatten(1).sum(1).clamp(-1, 1).arccos(), t * whole, atol=1e-6, rtol=1e-6)


def test_codes_on_one_line_are_interpolated_on_it():
    a = torch.tensor([[1.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    b = torch.tensor([[2.0, 4.0], [-1.0, 0.0], [1.0, 1.0]])
    assert slerp(a, b, 0.5).isfinite().all()
    torch.testing.assert_close(slerp(a, b, 0.5)[:2], torch.lerp(a, b, 0.5)[:2])
    assert math.isclose(slerp(a, b, 1.0)[2].norm().item(), math.sqrt(2), rel_tol=1e-6)
