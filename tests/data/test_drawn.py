"""Sets that code draws agree with what their papers print about theirs, and no run's seed changes them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from isthmus.data import Dataset, load_dataset
from isthmus.data.catalogue.curves import GAP, HIGH, INK, LOW, PEN, SIDE, inked, points
from isthmus.data.catalogue.face_patches import patches, standardize
from isthmus.data.catalogue.larochelle2007 import is_convex, rectangles, regions
from isthmus.data.catalogue.mnist_variations import before_noise, rotated
from isthmus.data.transforms.layout import layout_of

load_once = cache(load_dataset)


def pca_error(dataset: Dataset, components: int) -> tuple[float, float]:
    """Squared error on the test part, summed over pixels, of the mean image and of a PCA of the training part."""
    train, test = (part.x.reshape(len(part), -1) for part in (dataset.train, dataset.test))
    mean = train.mean(axis=0)
    centered, away = train - mean, test - mean
    axes = np.linalg.eigh((centered.T @ centered).astype(np.float64))[1][:, -components:]
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
    assert (layout_of(curves.train, None).images, bool(curves.pixels), curves.valid) == (True, False, None)
    for part in (curves.train, curves.test):
        assert part.x.min() >= 0
        assert part.x.max() == 1
        assert len(np.unique(part.x[:2000], axis=0)) == 2000


@pytest.mark.parametrize("name", ["curves", "rectangles", "mnist_bg_rand"])
def test_no_run_draws_another_set(name: str, real_data: Path):
    first, again = load_once(name), load_dataset(name, seed=7)
    np.testing.assert_array_equal(again.train.x, first.train.x)
    np.testing.assert_array_equal(again.test.x, first.test.x)


def test_points_keep_their_distance_and_their_frame():
    drawn = points(20_000, np.random.default_rng(0))
    assert np.diff(drawn[..., 0]).min() >= GAP
    # so many points come near every bound, and pass none
    low, high = drawn.min(axis=(0, 1)), drawn.max(axis=(0, 1))
    assert ((low >= LOW) & (low < LOW + 0.05)).all()
    assert ((high <= HIGH) & (high > HIGH - 0.05)).all()


def test_the_ink_of_a_straight_line_is_its_width_however_steep():
    line = np.array([[[8.0, 8.0], [13.0, 13.0], [20.0, 20.0]], [[14.0, 8.0], [16.0, 14.0], [18.0, 20.0]]])
    np.testing.assert_allclose(inked(line).sum(axis=(1, 2)), INK * np.array([12, 4]), rtol=1e-4)


def test_the_ink_lies_on_the_natural_spline():
    from scipy.interpolate import CubicSpline

    knots = np.array([[4.0, 10.0], [15.0, 16.0], [24.0, 13.0]])
    spline = CubicSpline(knots[:, 0], knots[:, 1], bc_type="natural")
    (picture,) = inked(knots[None])
    centers = np.arange(SIDE) + 0.5
    # away from the ends; a pen as wide as this sees a bend of 0.2 shifted by 0.1
    inner = (centers > knots[0, 0] + 3 * PEN) & (centers < knots[2, 0] - 3 * PEN)
    heights = (picture * centers[:, None]).sum(axis=0) / picture.sum(axis=0)
    np.testing.assert_allclose(heights[inner], spline(centers[inner]), atol=0.15)


@pytest.fixture
def faces(real_data: Path) -> Dataset:
    return load_once("olivetti_patches")


@pytest.mark.slow
def test_face_patches_leave_a_linear_code_the_published_error(faces: Dataset):
    _, linear = pca_error(faces, 30)
    assert linear == pytest.approx(135, rel=0.03)


def test_face_patches_are_counted_and_parted_as_published(faces: Dataset):
    parts = (faces.train, faces.valid, faces.test)
    assert [len(part) for part in parts] == [103_500, 20_700, 41_400]
    for part, persons in zip(parts, (range(25), range(25, 30), range(30, 40)), strict=True):
        who, counts = np.unique(part.group, return_counts=True)
        assert who.tolist() == list(persons)
        assert (counts == 4_140).all()
    assert (layout_of(faces.train, None).images, bool(faces.pixels), faces.train.dtype) == (True, False, np.float32)


def test_face_patches_have_mean_zero_at_each_pixel_and_variance_one_on_average(faces: Dataset):
    x = np.concatenate([faces.train.x, faces.valid.x])
    np.testing.assert_allclose(x.mean(axis=0, dtype=np.float64), 0, atol=1e-5)
    assert x.var(axis=0, dtype=np.float64).mean() == pytest.approx(1, rel=1e-4)


def test_a_patch_of_a_ramp_is_the_ramp_turned_and_scaled():
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    # bilinear interpolation and means leave a plane as it is, and the center where it is
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
    standardize(x, 2)
    # means 2 and 12, variances 1 and 4
    np.testing.assert_allclose(x, np.array([[-1, -2], [1, 2], [3, 8]]) / np.sqrt(2.5), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sizes", "classes"),
    [
        ("mnist_basic", (10_000, 2_000, 50_000), 10),
        ("mnist_rot", (10_000, 2_000, 50_000), 10),
        ("mnist_bg_rand", (10_000, 2_000, 50_000), 10),
        ("rectangles", (1_000, 200, 50_000), 2),
        ("convex", (6_500, 1_500, 50_000), 2),
    ],
)
def test_sets_of_the_many_factors_have_the_published_parts(
    name: str, sizes: tuple[int, ...], classes: int, real_data: Path
):
    dataset = load_once(name)
    for part, size in zip((dataset.train, dataset.valid, dataset.test), sizes, strict=True):
        assert part.x.shape == (size, 28, 28)
        assert part.x.dtype == np.uint8
        assert len(np.unique(part.labels)) == classes
    assert (dataset.name, layout_of(dataset.train, None).images, dataset.pixels) == (name, True, True)
    assert len(dataset.label_names) == (0 if classes == 10 else 2)


def test_no_digit_of_mnist_is_in_two_parts_of_a_variation(real_data: Path):
    whole = load_dataset("mnist")
    known = {
        image.tobytes(): label
        for part in (whole.train, whole.test)
        for image, label in zip(part.x, part.labels, strict=True)
    }
    basic = load_once("mnist_basic")
    seen = [image.tobytes() for part in (basic.train, basic.valid, basic.test) for image in part.x]
    assert len(set(seen)) == len(seen)
    labels = np.concatenate([part.labels for part in (basic.train, basic.valid, basic.test)])
    assert [known[image] for image in seen] == labels.tolist()


def test_variations_show_the_same_digits_in_the_same_places(real_data: Path):
    basic, turned, noisy = (load_once(f"mnist_{word}").test for word in ("basic", "rot", "bg_rand"))
    np.testing.assert_array_equal(basic.labels, turned.labels)
    # what is bright in the digit stays visible, and its ink is turned, not lost
    assert (noisy.x >= basic.x).all()
    inks = [part.x.reshape(len(part), -1).sum(axis=1, dtype=np.int64) for part in (basic, turned)]
    assert np.corrcoef(*inks)[0, 1] > 0.99


def test_every_angle_of_the_circle_is_drawn():
    digits = np.zeros((4000, 28, 28), dtype=np.uint8)
    digits[:, 3:6, 12:16] = 255
    turned = rotated(digits, np.random.default_rng(0)).astype(np.float64)
    down, right = np.mgrid[:28, :28] - 13.5
    ink = turned.sum(axis=(1, 2))
    angle = np.arctan2((turned * down).sum(axis=(1, 2)) / ink, (turned * right).sum(axis=(1, 2)) / ink)
    counts, _ = np.histogram(angle, 8, (-np.pi, np.pi))
    # an eighth each, five standard deviations of a binomial count
    assert np.abs(counts - 500).max() < 5 * np.sqrt(4000 * 7 / 64)


def test_the_noise_is_even_from_black_to_white():
    noise = before_noise(np.zeros((2000, 28, 28), dtype=np.uint8), np.random.default_rng(0))
    counts = np.bincount(noise.ravel(), minlength=256)
    assert len(counts) == 256
    # each count is binomial: 256 of them stay within five standard deviations
    assert np.abs(counts - noise.size / 256).max() < 5 * np.sqrt(noise.size / 256)


def test_rectangles_are_outlines_and_their_label_is_their_form():
    masks, wide = rectangles(2000, np.random.default_rng(0))
    for mask, label in zip(masks, wide, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        height, width = (int(line[-1] - line[0]) + 1 for line in (rows, columns))
        assert abs(height - width) >= 3
        assert label == (width > height)
        filled = np.zeros((28, 28), dtype=bool)
        filled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
        filled[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]] = False
        np.testing.assert_array_equal(mask, filled)


def test_regions_are_convex_as_labeled_and_of_one_mean_size():
    from scipy.spatial import ConvexHull

    masks, labels = regions(2000, np.random.default_rng(0))
    np.testing.assert_array_equal(is_convex(masks), labels == 1)
    assert labels.sum() == 1000
    assert masks.any(axis=(1, 2)).all()
    sizes = masks.sum(axis=(1, 2))
    assert sizes[labels == 1].mean() == pytest.approx(sizes[labels == 0].mean(), rel=0.1)
    # an independent look: the hull of the pixels' corners is hardly larger than a convex region
    gaps = [_gap(mask, ConvexHull) for mask in masks[sizes > 30][:300]]
    kinds = labels[sizes > 30][:300]
    assert np.mean([gap for gap, kind in zip(gaps, kinds, strict=True) if kind == 0]) > 0.2
    assert np.mean([gap for gap, kind in zip(gaps, kinds, strict=True) if kind == 1]) < 0.02


def _gap(mask: np.ndarray, hull: type) -> float:
    """Share of a region's hull, of pixel centers, that it does not fill."""
    rows, columns = np.nonzero(mask)
    equations = hull(np.stack([rows, columns], axis=1)).equations
    every = np.stack(np.divmod(np.arange(28 * 28), 28), axis=1)
    inside = (every @ equations[:, :2].T + equations[:, 2] <= 1e-9).all(axis=1)
    return 1 - float(mask.sum() / inside.sum())
