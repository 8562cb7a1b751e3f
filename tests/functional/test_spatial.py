"""Laws of the spatial softmax, its points and their presence."""

import math

import pytest
import torch
from torch import Tensor

from isthmus.errors import BadOption
from isthmus.functional import cell_centers, expected_points, presence, spatial_softmax


def peak(h: int, w: int, row: int, column: int) -> Tensor:
    maps = torch.zeros(1, 1, h, w, dtype=torch.float64)
    maps[0, 0, row, column] = 1000
    return maps


@pytest.mark.parametrize(("h", "w"), [(5, 7), (1, 4), (30, 30)])
@pytest.mark.parametrize("corner", ["first", "last", "middle"])
def test_a_peak_gives_its_coordinates_also_at_the_border(h, w, corner):
    row, column = {"first": (0, 0), "last": (h - 1, w - 1), "middle": (h // 2, w // 2)}[corner]
    point = expected_points(spatial_softmax(peak(h, w, row, column)))[0, 0]
    # in pixels of an image of 8 pixels a cell: the center of the cell
    pixels = (point + 1) / 2 * torch.tensor([8 * w, 8 * h])
    torch.testing.assert_close(pixels, torch.tensor([8 * column + 4.0, 8 * row + 4.0], dtype=torch.float64))


def test_equal_attention_gives_the_center():
    assert expected_points(spatial_softmax(torch.full((2, 3, 6, 9), 0.7))).abs().max() < 1e-6


def test_shifted_maps_shift_points():
    torch.manual_seed(0)
    maps = torch.full((1, 2, 12, 12), -math.inf, dtype=torch.float64)
    maps[..., 3:7, 2:6] = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    moved = maps.roll((2, 4), (-2, -1))
    difference = expected_points(spatial_softmax(moved)) - expected_points(spatial_softmax(maps))
    torch.testing.assert_close(difference, torch.tensor([4 * 2 / 12, 2 * 2 / 12]).double().expand(1, 2, 2))


def test_attention_sums_to_one_and_a_high_temperature_spreads_it():
    maps = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    for temperature in (0.1, 1.0, 1e6):
        attention = spatial_softmax(maps, temperature)
        torch.testing.assert_close(attention.sum((-2, -1)), torch.ones(2, 3, dtype=torch.float64))
    torch.testing.assert_close(attention, torch.full_like(attention, 1 / 25), atol=1e-6, rtol=0)
    # a constant added to a map changes nothing
    torch.testing.assert_close(spatial_softmax(maps + 5, 0.3), spatial_softmax(maps, 0.3))


@pytest.mark.parametrize("spread", [0.5, 1.5, 4.0])
def test_presence_is_the_mass_of_a_gaussian_in_the_window(spread):
    cells, fine = 61, torch.distributions.Normal(0.0, spread)
    edges = torch.arange(cells + 1, dtype=torch.float64) - cells / 2
    mass = fine.cdf(edges[1:]) - fine.cdf(edges[:-1])
    attention = (mass[:, None] * mass)[None, None]
    for window in (3.0, 5.0):
        inside = (2 * fine.cdf(torch.tensor(window / 2)) - 1) ** 2
        found = presence(attention, torch.zeros(1, 1, 2, dtype=torch.float64), window)
        assert found.item() == pytest.approx(inside.item(), abs=1e-4)


def test_presence_of_a_peak_is_one_and_of_equal_attention_the_share_of_the_window():
    sharp = spatial_softmax(peak(9, 9, 0, 8))
    assert presence(sharp, expected_points(sharp)).item() == pytest.approx(1)
    flat = torch.full((1, 1, 10, 20), 1 / 200)
    assert presence(flat, torch.zeros(1, 1, 2), 4.0).item() == pytest.approx(16 / 200)
    # at the border a part of the window is outside
    assert presence(flat, torch.full((1, 1, 2), -1.0), 4.0).item() == pytest.approx(4 / 200)


def test_a_window_without_size_is_refused():
    with pytest.raises(BadOption, match="window must be above 0"):
        presence(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2), 0.0)


def test_gradients_of_points_are_those_of_finite_differences():
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a: expected_points(spatial_softmax(a, 0.5)), maps)


def test_centers_are_symmetric():
    centers = cell_centers(7, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(centers, -centers.flip(0))
