"""Structural similarity equals scikit-image's, and the formula written out as loops."""

import math

import numpy as np
import pytest
import torch

from isthmus import functional as F
from isthmus.errors import ShapeError

RNG = np.random.default_rng(0)


def pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    x = RNG.random((2, *shape))
    return x, np.clip(x + RNG.normal(0, 0.2, x.shape), 0, 1)


def by_hand(x: np.ndarray, y: np.ndarray, down: int, across: int, sigma: float) -> float:
    """The index at every place where the window lies inside one channel (H, W), and its mean."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in (down, across))
    weights = np.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    values = []
    for i in range(x.shape[0] - down + 1):
        for j in range(x.shape[1] - across + 1):
            a, b = (t[i : i + down, j : j + across] for t in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            top = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4)
            values.append(top / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    return float(np.mean(values))


@pytest.mark.parametrize("shape", [(1, 16, 13), (3, 24, 11), (1, 28, 28)])
def test_ssim_is_that_of_scikit_image(shape: tuple[int, ...]) -> None:
    """With the options under which it follows the paper: Gaussian weights, variances of the population."""
    skimage = pytest.importorskip("skimage.metrics")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    x, y = pair(*shape)
    expected = [skimage.structural_similarity(a, b, channel_axis=0, **options) for a, b in zip(x, y, strict=True)]
    # sums of 121 products of numbers below 1, divided by at least 9e-4: 121 eps / 9e-4 < 1e-10
    assert F.ssim(torch.from_numpy(x), torch.from_numpy(y)).tolist() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("shape", "down", "across"),
    [((1, 14, 12), 11, 11), ((2, 8, 8), 7, 7), ((1, 5, 20), 5, 11), ((1, 20, 6), 11, 5), ((1, 1, 1), 1, 1)],
)
def test_ssim_follows_its_formula_with_a_window_that_fits(shape: tuple[int, ...], down: int, across: int) -> None:
    x, y = pair(*shape)
    expected = [
        np.mean([by_hand(a[c], b[c], down, across, 1.5) for c in range(len(a))]) for a, b in zip(x, y, strict=True)
    ]
    assert F.ssim(torch.from_numpy(x), torch.from_numpy(y)).tolist() == pytest.approx(expected, abs=1e-10)


def test_ssim_takes_another_window() -> None:
    x, y = pair(1, 9, 9)
    found = F.ssim(torch.from_numpy(x), torch.from_numpy(y), window=5, sigma=0.7)
    assert found.tolist() == pytest.approx(
        [by_hand(a[0], b[0], 5, 5, 0.7) for a, b in zip(x, y, strict=True)], abs=1e-10
    )


def test_ssim_is_one_on_equal_images_symmetric_and_at_most_one() -> None:
    x, y = (torch.from_numpy(t) for t in pair(3, 12, 15))
    torch.testing.assert_close(F.ssim(x, x), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(F.ssim(x, y), F.ssim(y, x))
    assert (F.ssim(x, y) < 1).all()
    assert math.isclose(F.ssim(torch.zeros(1, 1, 12, 12), torch.ones(1, 1, 12, 12)).item(), 1e-4 / 1.0001, rel_tol=1e-5)


def test_a_shift_moves_every_image_by_its_own_step_and_fills_with_zero():
    x = torch.rand(4, 2, 5, 6)
    by = torch.tensor([[0, 0], [2, -1], [-4, 5], [1, 1]])
    moved = F.shifted(x, by)
    for image, out, (down, right) in zip(x, moved, by.tolist(), strict=True):
        for row in range(5):
            for column in range(6):
                a, b = row - down, column - right
                inside = 0 <= a < 5 and 0 <= b < 6
                expected = image[:, a, b] if inside else torch.zeros(2)
                assert torch.equal(out[:, row, column], expected)


def test_a_shift_can_bring_in_the_other_side_of_the_edge():
    x = torch.rand(3, 2, 5, 6)
    by = torch.tensor([[0, 0], [3, -2], [-4, 5]])
    padded = torch.nn.functional.pad(x, (5, 5, 4, 4), mode="reflect")
    for image, out, (down, right) in zip(padded, F.shifted(x, by, edges="reflect"), by.tolist(), strict=True):
        assert out.equal(image[:, 4 - down : 9 - down, 5 - right : 11 - right])
    single = torch.rand(1, 1, 4, 1)
    # one column has no other side
    assert F.shifted(single, torch.tensor([[0, 1]]), edges="reflect").equal(single)


def test_a_shift_that_wraps_keeps_every_value_once():
    x = torch.rand(3, 2, 5, 6)
    by = torch.tensor([[0, 0], [3, -2], [-9, 5]])
    for image, out, shift in zip(x, F.shifted(x, by, edges="wrap"), by.tolist(), strict=True):
        assert out.equal(image.roll(shift, (1, 2)))


def test_a_shift_moves_every_sequence_and_all_frames_together():
    x = torch.rand(3, 2, 5)
    moved = F.shifted(x, torch.tensor([[2], [0], [-1]]))
    zero = torch.zeros(2, 2)
    assert moved[0].equal(torch.cat([zero, x[0, :, :3]], 1))
    assert moved[1].equal(x[1])
    assert moved[2].equal(torch.cat([x[2, :, 1:], zero[:, :1]], 1))
    frames, by = torch.rand(3, 4, 2, 5, 6), torch.tensor([[1, -2], [0, 3], [-1, 0]])
    for k in range(4):
        assert F.shifted(frames, by)[:, k].equal(F.shifted(frames[:, k], by))


@pytest.mark.parametrize(("size", "period"), [((32, 32), 8), ((24, 40), 4)])
def test_a_wave_has_its_power_in_the_band_of_its_frequency(size, period):
    wave = 0.3 * torch.cos(2 * math.pi * torch.arange(size[1]) / period).double()
    x = 0.5 + wave.expand(1, 2, *size)
    frequencies, power = F.power_spectrum(x, bands=8)
    # bands of 1/16
    at = 16 // period
    assert abs(frequencies[at] - 1 / period) <= 1 / 32
    others = power.clone()
    others[0, at] = 0
    assert others.abs().max() < 1e-12
    # all power of all frequencies is the sum of squares
    number = sum(
        1
        for u in range(size[0])
        for v in range(size[1])
        for r in [math.hypot(min(u, size[0] - u) / size[0], min(v, size[1] - v) / size[1])]
        if int(r * 16 + 1e-9) == at
    )
    assert (power[0, at] * number).item() == pytest.approx(wave.square().sum().item() * size[0])


@pytest.mark.parametrize("shape", [(3, 1, 150, 120), (3, 2, 9000)])
def test_the_level_of_noise_on_a_smooth_image_is_found_and_smoothness_edges_and_holes_do_not_count(shape):
    torch.manual_seed(0)
    ramp = torch.linspace(0, 3, shape[-1], dtype=torch.float64).expand(shape)
    sigma = torch.tensor([0.0, 0.05, 0.4]).double()
    noisy = ramp + sigma.reshape(3, *[1] * (len(shape) - 1)) * torch.randn(shape).double()
    # an edge, and values that are missing
    noisy[..., shape[-1] // 2 :] += 5
    noisy[..., 7] = torch.nan
    # the median of n values of |r| has a relative standard error of about 1.2 / sqrt(n), more with neighbors in common
    torch.testing.assert_close(F.noise_level(noisy), sigma, rtol=0.05, atol=1e-10)


def test_what_is_too_small_to_have_noise_has_none():
    assert F.noise_level(torch.full((1, 1, 5, 5), torch.nan)).tolist() == [0]
    assert F.noise_level(torch.zeros(2, 1, 1, 1)).tolist() == [0, 0]


def test_sharpness_is_the_variance_of_the_laplacian_by_hand() -> None:
    x = RNG.random((3, 2, 6, 5))
    gray = x.mean(1)
    for image, found in zip(gray, F.sharpness(torch.from_numpy(x)), strict=True):
        laplacian = [
            image[i - 1, j] + image[i + 1, j] + image[i, j - 1] + image[i, j + 1] - 4 * image[i, j]
            for i in range(1, 5)
            for j in range(1, 4)
        ]
        assert found.item() == pytest.approx(np.var(laplacian), rel=1e-12)


def test_an_even_slope_is_not_sharp_and_a_blurred_edge_is_less_sharp_than_the_edge() -> None:
    slope = torch.arange(8.0).expand(1, 1, 8, 8) / 8
    edge = (slope >= 0.5).float()
    blurred = torch.nn.functional.avg_pool2d(edge, 3, stride=1, padding=1, count_include_pad=False)
    assert F.sharpness(slope).item() == pytest.approx(0, abs=1e-12)
    assert F.sharpness(edge).item() > 2 * F.sharpness(blurred).item() > 0


def test_an_image_without_neighbors_has_no_sharpness() -> None:
    with pytest.raises(ShapeError, match=r"requires images of at least 3x3 pixels, but they have 2x9\. Pass "):
        F.sharpness(torch.zeros(1, 1, 2, 9))


@pytest.mark.parametrize("shape", [(2, 3, 9, 9), (2, 1, 6, 9), (2, 3, 1, 8, 5)])
def test_quarter_and_half_turns_move_pixels_to_pixels(shape: tuple[int, ...]) -> None:
    x = torch.from_numpy(RNG.random(shape))
    one = torch.ones(2, dtype=torch.double)
    torch.testing.assert_close(F.affine(x, 0 * one, one), x)
    torch.testing.assert_close(F.affine(x, 180 * one, one), x.flip(-1, -2))
    if shape[-1] == shape[-2]:
        torch.testing.assert_close(F.affine(x, 90 * one, one), x.rot90(dims=(-2, -1)))
        torch.testing.assert_close(F.affine(x, torch.tensor([0.0, -90.0]), one)[1], x[1].rot90(-1, dims=(-2, -1)))


def test_rotation_and_scale_of_a_plane_are_those_of_its_slopes() -> None:
    """On pixels of unit side, also where the image is not square.

    The cubic kernel of torch (a = -0.75) deviates from a plane by up to 0.07 of its slope between pixels.
    """
    down, right = torch.meshgrid(torch.arange(30.0) - 14.5, torch.arange(40.0) - 19.5, indexing="ij")
    x = (0.3 * down + right).double()[None, None]
    angle, scale = torch.tensor([25.0]), torch.tensor([1.25])
    cos, sin = (f(math.radians(25.0)) / 1.25 for f in (math.cos, math.sin))
    # counterclockwise, where down is positive: right of the input is cos * right - sin * down of the output
    expected = (0.3 * (sin * right + cos * down) + cos * right - sin * down).double()
    inside = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(F.affine(x, angle, scale)[0, 0][inside], expected[inside], rtol=0, atol=0.08)


def test_rotated_images_stay_within_their_values_and_missing_pixels_do_not_spread() -> None:
    x = (torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.5).double()
    angle, scale = torch.tensor([5.0, 20.0, -40.0]), torch.tensor([0.8, 1.0, 1.3])
    found = F.affine(x, angle, scale)
    assert found.min() >= 0
    assert found.max() <= 1
    x[:, :, 4, 5] = torch.nan
    found = F.affine(x, angle, scale)
    assert 1 <= found[0].isnan().sum() <= 2
    assert found[~found.isnan()].unique().tolist() == [0, 1]
