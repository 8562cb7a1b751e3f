"""Feature points in time: presence, tracks across gaps, and which points can be predicted."""

import numpy as np
import pytest

from isthmus.errors import BadData, BadOption
from isthmus.runs.points import FeaturePoints

RNG = np.random.default_rng(0)
LENGTHS = (30, 12, 25)
STARTS = (0, 30, 42)


def smooth_path(length: int) -> np.ndarray:
    """A path whose velocity changes slowly, (length, 2)."""
    velocity = np.cumsum(0.002 * RNG.standard_normal((length, 2)), 0) + RNG.uniform(-0.02, 0.02, 2)
    return RNG.uniform(-0.4, 0.4, 2) + np.cumsum(velocity, 0)


def drawn() -> FeaturePoints:
    """A point that moves steadily, the same with noise, one that jumps, and one that stays."""
    steady = np.concatenate([smooth_path(length) for length in LENGTHS])
    noisy = steady + 0.05 * RNG.standard_normal(steady.shape)
    jumping = RNG.uniform(-1, 1, steady.shape)
    still = np.broadcast_to([0.3, -0.2], steady.shape)
    xy = np.stack([jumping, noisy, still, steady], 1)
    return FeaturePoints(xy.astype(np.float32), np.full(xy.shape[:2], 0.8, np.float32), STARTS)


def test_steady_points_are_predictable_and_jumping_or_still_ones_are_not():
    points = drawn()
    jumping, noisy, still, steady = points.predictability
    assert steady > 0.99
    assert 0.5 < noisy < steady
    assert still == 0
    assert jumping < 0.2
    kept = points.best(2)
    assert kept.numbers == (4, 2)
    np.testing.assert_array_equal(kept.xy, points.xy[:, [3, 1]])
    assert list(kept.columns())[:4] == ["x4", "y4", "presence4", "x2"]


def test_a_point_of_constant_velocity_is_predicted_by_its_velocity():
    """Its last position alone would leave 3 % of the variance."""
    line = np.linspace(-0.5, 0.5, 20)
    points = FeaturePoints(np.stack([line, -line], 1)[:, None], np.ones((20, 1)))
    assert points.predictability[0] > 0.999


def test_tracks_bridge_frames_in_which_a_point_is_absent():
    points = drawn().take([3])
    truth = points.xy.copy()
    presence, xy = points.presence.copy(), points.xy.copy()
    presence[10:14], xy[10:14] = 0.1, 0.95
    hidden = FeaturePoints(xy, presence, STARTS)
    assert hidden.present().sum() == len(points) - 4
    np.testing.assert_allclose(hidden.smoothed().xy, truth, atol=0.01)
    # what was absent does not move the prediction
    before = FeaturePoints(np.where(presence[..., None] < 0.5, -0.5, xy), presence, STARTS)
    np.testing.assert_allclose(hidden.tracks()[0], before.tracks()[0], atol=1e-6)


def test_smoothed_points_are_nearer_to_the_truth_than_filtered_and_seen_ones_and_velocities_are_those_of_the_path():
    points = drawn()
    seen, truth = points.take([1]), points.xy[:, 3]
    filtered, velocity = seen.tracks()
    smoothed, smooth_velocity = seen.tracks(causal=False)
    errors = [np.abs(xy[:, 0] - truth).mean() for xy in (seen.xy, filtered, smoothed)]
    assert errors[0] > errors[1] > errors[2]
    inside = np.setdiff1d(np.arange(len(points)), [*STARTS, 29, 41, 66])
    step = np.diff(truth, axis=0, append=truth[-1:])[inside]
    assert np.abs(smooth_velocity[inside, 0] - step).mean() < 0.02
    assert velocity.shape == smooth_velocity.shape == seen.xy.shape


def test_recordings_do_not_see_each_other():
    points = drawn().take([1])
    assert [(span.start, span.stop) for span in points.recordings()] == [(0, 30), (30, 42), (42, 67)]
    together = points.tracks()[0]
    moved = points.xy.copy()
    moved[30:42] = moved[30:42][::-1]
    other = FeaturePoints(moved, points.presence, STARTS).tracks()[0]
    # the variances are estimated from all, so nearly, and not exactly, the same
    np.testing.assert_allclose(other[:30], together[:30], atol=0.01)
    np.testing.assert_allclose(other[42:], together[42:], atol=0.01)


def test_presence_is_compared_with_a_threshold_or_with_half_of_its_median():
    presence = np.array([[0.8, 0.1], [0.9, 0.12], [0.3, 0.11], [0.8, 0.02]])
    points = FeaturePoints(np.zeros((4, 2, 2)), presence)
    assert points.present().tolist() == [[True, True], [True, True], [False, True], [True, False]]
    assert points.present(0.2).tolist() == [[True, False], [True, False], [True, False], [True, False]]
    with pytest.raises(BadOption, match="threshold of presence must be at least 0 and at most 1, but is 2"):
        points.present(2.0)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(BadData, match=r"Positions have shape \(4, 3, 2\), but presence has \(4, 2\)"):
        FeaturePoints(np.zeros((4, 3, 2)), np.zeros((4, 2)))
    with pytest.raises(BadOption, match="number of points to keep must be at least 1 and at most 4, but is 5"):
        drawn().best(5)
