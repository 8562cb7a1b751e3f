"""Animations of points: what is drawn where, and files that other programs read."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from isthmus import plots
from isthmus.errors import BadOption, ShapeError
from isthmus.plots.animation import Animation

FRAMES = np.full((5, 1, 8, 10), 0.5)


def moving() -> np.ndarray:
    """One point that moves from left to right, in the middle."""
    return np.stack([np.linspace(-0.8, 0.8, 5), np.zeros(5)], 1)[:, None]


def colored(frame: np.ndarray) -> np.ndarray:
    """Where a frame is neither gray nor white."""
    return np.ptp(frame.astype(int), axis=-1) > 60


def test_a_point_is_drawn_at_its_position_with_a_trail_behind_it():
    made = plots.trails(FRAMES, moving())
    assert made.frames.shape[0] == 5
    height, width = made.frames.shape[1:3]
    assert (height, width) == (8 * 32, 10 * 32)
    for t, frame in enumerate(made.frames):
        x = int((moving()[t, 0, 0] + 1) / 2 * width)
        assert colored(frame)[height // 2, x]
        assert not colored(frame)[:, min(width - 1, x + 12) :].any()
    assert not colored(made.frames[0])[:, : int(0.1 * width) - 12].any()
    assert colored(made.frames[4])[height // 2, int(0.5 * width)]


def test_trails_begin_anew_with_each_video_and_absent_points_are_rings():
    made = plots.trails(FRAMES, moving(), np.array([[True]] * 4 + [[False]]), starts=[0, 4])
    height, width = made.frames.shape[1:3]
    last = made.frames[4]
    assert not colored(last)[:, : int(0.8 * width)].any()
    x = int(0.9 * width)
    assert not colored(last)[height // 2, x]
    assert colored(last)[height // 2 - 5, x - 2 : x + 3].any()


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_any_number_of_channels_is_drawn(channels):
    assert plots.trails(np.random.default_rng(0).random((2, channels, 9, 7)), moving()[:2]).frames.shape[-1] == 3


def test_a_gif_holds_all_frames_at_their_rate_and_repeats(tmp_path: Path):
    path = plots.trails(FRAMES, moving(), rate=20).save(tmp_path / "a.gif")
    with Image.open(path) as image:
        assert image.n_frames == 5
        assert image.info["loop"] == 0
        assert image.info["duration"] == 50


def test_an_mp4_is_read_again(tmp_path: Path):
    av = pytest.importorskip("av")
    made = plots.trails(FRAMES, moving(), rate=12.5)
    with av.open(str(made.save(tmp_path / "a.mp4"))) as container:
        stream = container.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(12.5)
        read = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
    assert read.shape == made.frames.shape
    assert np.abs(read.astype(int) - made.frames).mean() < 4


def test_sides_of_an_mp4_may_be_odd(tmp_path: Path):
    pytest.importorskip("av")
    odd = Animation(np.zeros((2, 33, 35, 3), np.uint8))
    assert odd.save(tmp_path / "odd.mp4").stat().st_size > 0


def test_other_extensions_and_shapes_are_refused(tmp_path: Path):
    with pytest.raises(BadOption, match=r"written as \.gif or \.mp4, not as 'a\.avi'"):
        plots.trails(FRAMES, moving()).save(tmp_path / "a.avi")
    with pytest.raises(ShapeError, match="Pass points of every frame"):
        plots.trails(FRAMES, moving()[:3])
    assert not list(tmp_path.iterdir())


def test_a_notebook_shows_it():
    assert plots.trails(FRAMES, moving())._repr_html_().startswith('<img src="data:image/gif;base64,R0lG')
