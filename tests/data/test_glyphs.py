"""The glyphs are what their labels say, fill the frame, vary, and have other faces in the test set."""

from functools import cache

import numpy as np
import pytest

from isthmus.data import Dataset, load_dataset
from isthmus.data.catalogue import glyphs
from isthmus.data.catalogue.glyphs import (
    CHARACTERS,
    FACES,
    SIDE,
    SIZE,
    SLANT,
    TEST_FACES,
    THICKNESS,
    TURN,
    WIDTH,
    Variation,
    font_file,
    masters,
    render,
    variation,
)
from isthmus.data.transforms.layout import layout_of

load_once = cache(load_dataset)
SETS = pytest.mark.parametrize("part", ["train", "test"])


@pytest.fixture
def whole() -> Dataset:
    return load_once("glyphs")


@pytest.fixture(scope="module")
def drawn() -> glyphs.Masters:
    return masters(("DejaVuSans", "cmr10"))


def shown(drawn: glyphs.Masters, character: str, face: int = 0, **changes: object) -> np.ndarray:
    """One glyph without variation except for the ``changes``, as parts of a pixel."""
    plain = {"maps": np.eye(2)[None], "sizes": np.array([24.0]), "growth": np.array([0.0])}
    chosen = np.array([face * len(CHARACTERS) + CHARACTERS.index(character)])
    return render(drawn, chosen, Variation(**(plain | changes)))[0].astype(np.float64) / 255


def extent(image: np.ndarray) -> tuple[float, float, float, float]:
    """First and last row and column of the ink, where a pixel that is partly covered counts in part."""
    rows, columns = image.max(axis=1), image.max(axis=0)
    edges = []
    for line in (rows, columns):
        inked = np.flatnonzero(line > 0.05)
        edges += [inked[0] + 1 - line[inked[0]], inked[-1] + line[inked[-1]]]
    return edges[0], edges[1], edges[2], edges[3]


def test_the_glyphs_are_8_bit_images_with_labels_and_names(whole: Dataset):
    assert (whole.name, layout_of(whole.train, None).images, whole.pixels, whole.valid) == ("glyphs", True, True, None)
    assert (whole.train.x.shape, whole.test.x.shape) == ((20_000, SIDE, SIDE), (2_000, SIDE, SIDE))
    assert whole.train.x.dtype == whole.test.x.dtype == np.uint8
    assert "".join(whole.label_names) == "0123456789ABCDEFGHIJKLMNPQRSTUVWXYZ"


@SETS
def test_classes_and_faces_are_balanced_and_independent(whole: Dataset, part: str):
    examples = getattr(whole, part)
    for values, kinds in ((examples.labels, 35), (examples.group, 17 if part == "train" else 4)):
        counts = np.unique(values, return_counts=True)[1]
        assert len(counts) == kinds
        assert np.ptp(counts) <= 1
    pairs = np.unique(np.stack([examples.labels, examples.group]), axis=1).shape[1]
    assert pairs == 35 * (17 if part == "train" else 4)


def test_no_face_is_in_both_sets(whole: Dataset):
    assert not set(whole.train.group) & set(whole.test.group)
    assert len({font_file(face).read_bytes() for face in FACES + TEST_FACES}) == 21


def test_equal_seeds_give_equal_glyphs_and_the_global_generators_stay_as_they_are():
    import torch

    before = (np.random.get_state()[1].copy(), torch.get_rng_state())  # noqa: NPY002
    first, again = (glyphs.glyphs(100, TEST_FACES[:1], np.random.default_rng(3)) for _ in range(2))
    other = glyphs.glyphs(100, TEST_FACES[:1], np.random.default_rng(4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
    assert torch.equal(before[1], torch.get_rng_state())


@SETS
def test_the_ink_is_centered_and_fills_the_frame_without_touching_its_border(whole: Dataset, part: str):
    images = getattr(whole, part).x[:2000]
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    assert border.max() == 0
    extents = np.array([extent(image / 255) for image in images])
    top, bottom, left, right = extents.T
    largest = np.maximum(bottom - top, right - left)
    # a thin tip covers its pixel in part, which shortens it by less than a pixel
    assert largest.min() > 20.5
    assert largest.max() < 25.5
    for low, high in ((top, bottom), (left, right)):
        assert abs((low + high).mean() / 2 - SIDE / 2) < 0.1
        assert np.abs((low + high) / 2 - SIDE / 2).max() < 1


def test_no_drawing_is_cut_at_its_border():
    for face in FACES + TEST_FACES:
        for distance in masters((face,)).distance.numpy():
            border = np.concatenate([distance[0], distance[-1], distance[:, 0], distance[:, -1]])
            assert border.max() < -THICKNESS[1]


def test_an_i_without_serifs_is_a_bar_of_the_given_size_that_grows_and_turns(drawn: glyphs.Masters):
    top, bottom, *_ = extent(shown(drawn, "I"))
    assert bottom - top == pytest.approx(24, abs=0.4)
    thin = shown(drawn, "I")[10:18].sum(axis=1).mean()
    # half a pixel on either side; the scale shrinks by 23 / 24, as the strokes grow at the ends, too
    thick = shown(drawn, "I", growth=np.array([0.5]))[10:18].sum(axis=1).mean()
    assert thick == pytest.approx(thin * 23 / 24 + 1, abs=0.1)
    angle = np.deg2rad(10)
    turned = shown(drawn, "I", maps=np.array([[[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]]))
    rows, columns = np.arange(6, 22), np.arange(SIDE) + 0.5
    middle = (turned[rows] * columns).sum(axis=1) / turned[rows].sum(axis=1)
    assert np.polyfit(rows, middle, 1)[0] == pytest.approx(-np.tan(angle), abs=0.02)


def test_a_slant_moves_the_middle_of_a_bar_sideways_and_a_width_scales_it(drawn: glyphs.Masters):
    slanted = shown(drawn, "I", maps=np.array([[[1, 0.15], [0, 1.0]]]))
    rows, columns = np.arange(6, 22), np.arange(SIDE) + 0.5
    middle = (slanted[rows] * columns).sum(axis=1) / slanted[rows].sum(axis=1)
    assert np.polyfit(rows, middle, 1)[0] == pytest.approx(0.15, abs=0.02)
    plain, narrow = (extent(shown(drawn, "H", maps=np.diag([width, 1.0])[None])) for width in (1.0, 0.85))
    assert (narrow[3] - narrow[2]) / (plain[3] - plain[2]) == pytest.approx(0.85, abs=0.02)


def test_faces_differ_by_their_serifs(drawn: glyphs.Masters):
    bar, with_serifs = (shown(drawn, "I", face) for face in (0, 1))
    assert np.ptp(np.flatnonzero(bar.any(axis=0))) < np.ptp(np.flatnonzero(with_serifs.any(axis=0)))


def test_the_linear_maps_are_a_width_and_a_slant_followed_by_a_rotation():
    varied = variation(4000, np.random.default_rng(0))
    across, down = varied.maps[:, :, 0], varied.maps[:, :, 1]
    angle, width = np.rad2deg(np.arctan2(across[:, 1], across[:, 0])), np.linalg.norm(across, axis=1)
    slant = (across * down).sum(axis=1) / width
    # neither rotation nor slant changes areas
    np.testing.assert_allclose(np.linalg.det(varied.maps), width)
    bounds = {"angle": (angle, -TURN, TURN), "slant": (slant, -SLANT, SLANT), "width": (width, *WIDTH)}
    bounds |= {"size": (varied.sizes, *SIZE), "growth": (varied.growth, *THICKNESS)}
    for name, (values, low, high) in bounds.items():
        assert low <= values.min() < low + 0.01 * (high - low), name
        assert high - 0.01 * (high - low) < values.max() <= high, name


def test_two_images_of_one_glyph_differ_in_every_way(whole: Dataset):
    train = whole.train
    same = train.x[(train.labels == CHARACTERS.index("I")) & (train.group == FACES.index("DejaVuSans"))] / 255
    assert len(same) > 20
    rows = np.arange(7, 21)
    middles = (same[:, rows] * np.arange(SIDE)).sum(axis=2) / same[:, rows].sum(axis=2)
    slopes = np.polyfit(rows, middles.T, 1)[0]
    # rotation and slant add up, and neither has a preferred side
    steepest = np.tan(np.deg2rad(TURN)) + SLANT
    assert -1.2 * steepest < slopes.min() < -0.5 * steepest
    assert 0.5 * steepest < slopes.max() < 1.2 * steepest
    widths = same[:, rows].sum(axis=2).mean(axis=1)
    assert np.ptp(widths) > 0.8
    heights = np.array([np.subtract(*extent(image)[1::-1]) for image in same])
    assert np.ptp(heights) > 2


def test_the_labels_are_learned_from_known_faces_and_found_in_unknown_ones(whole: Dataset):
    from sklearn.neighbors import KNeighborsClassifier

    flat = {part: getattr(whole, part).x.reshape(-1, SIDE * SIDE) / 255.0 for part in ("train", "test")}
    nearest = KNeighborsClassifier(1, algorithm="brute").fit(flat["train"][:8000], whole.train.labels[:8000])
    # chance is 1 in 35
    assert nearest.score(flat["test"][:500], whole.test.labels[:500]) > 0.9
