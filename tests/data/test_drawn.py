"""Sets that code draws agree with what their papers print about theirs, and no run's seed changes them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from isthmus.data import Dataset, load
from isthmus.data.curves import GAP, HIGH, INK, LOW, PEN, SIDE, inked, points
from isthmus.data.faces import patches, standardise

load_once = cache(load)


def pca_error(dataset: Dataset, components: int) -> tuple[float, float]:
    """Squared error on the test part, summed over pixels, of the mean image and of a PCA of the training part."""
    train, test = (part.x.reshape(len(part), -1) for part in (dataset.train, dataset.test))
    mean = train.mean(axis=0)
    centred, away = train - mean, test - mean
    axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))[1][:, -components:]
    whole = (away**2).sum(axis=1).mean()
    return float(whole), float(whole - ((away @ axes) ** 2).sum(axis=1).mean())


@pytest.fixture
def curves() -> Dataset:
    return load_once("curves")


def test_curves_leave_a_linear_code_the_published_error(curves: Dataset):
    mean, linear = pca_error(curves, 18)
    assert linear == pytest.approx(5.90, rel=0.03)
    assert 16 <= mean <= 18


def test_curves_have_the_published_shape_and_range(curves: Dataset):
    assert (curves.train.x.shape, curves.test.x.shape) == ((20_000, 28, 28), (10_000, 28, 28))
    assert curves.train.x.dtype == np.float32
    assert (curves.images, curves.pixels, curves.valid) == (True, False, None)
    for part in (curves.train, curves.test):
        assert part.x.min() >= 0
        assert part.x.max() == 1
        assert len(np.unique(part.x[:2000], axis=0)) == 2000


def test_no_run_draws_other_curves(curves: Dataset):
    again = load("curves", seed=7)
    np.testing.assert_array_equal(again.train.x, curves.train.x)
    np.testing.assert_array_equal(again.test.x, curves.test.x)


def test_points_keep_their_distance_and_their_frame():
    drawn = points(20_000, np.random.default_rng(0))
    assert np.diff(drawn[..., 0]).min() >= GAP
    # so many points come near every bound, and pass none
    low, high = drawn.min(axis=(0, 1)), drawn.max(axis=(0, 1))
    assert ((low >= LOW) & (low < LOW + 0.05)).all()
    assert ((high <= HIGH) & (high > HIGH - 0.05)).all()


def test_the_ink_of_a_straight_line_is_its_length():
    line = np.array([[[8.0, 14.0], [13.0, 14.0], [20.0, 14.0]], [[14.0, 8.0], [16.0, 14.0], [18.0, 20.0]]])
    lengths = [12, np.hypot(4, 12)]
    np.testing.assert_allclose(inked(line).sum(axis=(1, 2)), INK * np.array(lengths), rtol=1e-4)


def test_the_ink_lies_on_the_natural_spline():
    from scipy.interpolate import CubicSpline

    knots = np.array([[4.0, 10.0], [15.0, 16.0], [24.0, 13.0]])
    spline = CubicSpline(knots[:, 0], knots[:, 1], bc_type="natural")
    (picture,) = inked(knots[None])
    centres = np.arange(SIDE) + 0.5
    # away from the ends; a pen as wide as this sees a bend of 0.2 shifted by 0.1
    inner = (centres > knots[0, 0] + 3 * PEN) & (centres < knots[2, 0] - 3 * PEN)
    heights = (picture * centres[:, None]).sum(axis=0) / picture.sum(axis=0)
    np.testing.assert_allclose(heights[inner], spline(centres[inner]), atol=0.15)


def test_no_curve_leaves_the_canvas():
    from scipy.interpolate import CubicSpline

    for knots in points(500, np.random.default_rng(1)):
        spline = CubicSpline(knots[:, 0], knots[:, 1], bc_type="natural")
        heights = spline(np.linspace(knots[0, 0], knots[2, 0], 500))
        assert heights.min() > -0.05
        assert heights.max() < SIDE + 0.05


@pytest.fixture
def faces(real_data: Path) -> Dataset:
    return load_once("olivetti_patches")


def test_face_patches_leave_a_linear_code_the_published_error(faces: Dataset):
    _, linear = pca_error(faces, 30)
    assert linear == pytest.approx(135, rel=0.03)


def test_face_patches_are_counted_and_parted_as_published(faces: Dataset):
    assert (faces.train.x.shape, faces.test.x.shape) == ((124_200, 25, 25), (41_400, 25, 25))
    assert (np.bincount(faces.train.groups) == 4_140).all()
    assert set(np.unique(faces.train.groups)) == set(range(30))
    assert set(np.unique(faces.test.groups)) == set(range(30, 40))
    assert (faces.images, faces.pixels) == (True, False)


def test_face_patches_have_mean_zero_at_each_pixel_and_variance_one_on_average(faces: Dataset):
    np.testing.assert_allclose(faces.train.x.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    assert faces.train.x.var(axis=0, dtype=np.float64).mean() == pytest.approx(1, rel=1e-4)


def test_a_patch_of_a_ramp_is_the_ramp_turned_and_scaled():
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    # bilinear interpolation and means leave a plane as it is, and the centre where it is
    (down,), (right,) = patches(rows[None]), patches(columns[None])
    pitch = 64 / 25 / (1.4 + 0.05 * np.repeat(np.arange(9), 46))
    angle = np.tile(np.deg2rad(np.arange(-90, 91, 4)), 9)
    np.testing.assert_allclose(down[:, 12, 12], 31.5, atol=1e-4)
    np.testing.assert_allclose(right[:, 12, 12], 31.5, atol=1e-4)
    np.testing.assert_allclose(down[:, 13, 12] - down[:, 12, 12], pitch * np.cos(angle), atol=1e-4)
    np.testing.assert_allclose(down[:, 12, 13] - down[:, 12, 12], -pitch * np.sin(angle), atol=1e-4)
    np.testing.assert_allclose(right[:, 13, 12] - right[:, 12, 12], pitch * np.sin(angle), atol=1e-4)
    np.testing.assert_allclose(right[:, 12, 13] - right[:, 12, 12], pitch * np.cos(angle), atol=1e-4)


def test_later_patches_are_brought_to_the_units_of_the_first():
    x = np.array([[1.0, 10.0], [3.0, 14.0], [5.0, 20.0]], dtype=np.float32)
    standardise(x, 2)
    # means 2 and 12, variances 1 and 4
    np.testing.assert_allclose(x, np.array([[-1, -2], [1, 2], [3, 8]]) / np.sqrt(2.5), rtol=1e-6)
