"""The drawn sequences: positions are those of what is drawn, and nothing else depends on them."""

import numpy as np

from isthmus.data.catalogue.movers import COLORS, FRAMES, SIDE, SQUARE, movers

DRAWN = movers(6, seed=1)


def test_sequences_have_their_shapes_and_ranges_and_are_drawn_by_their_seed():
    assert DRAWN.frames.shape == (6, FRAMES, SIDE, SIDE, 3)
    assert DRAWN.frames.dtype == np.uint8
    assert np.abs(DRAWN.positions).max() < 1
    assert ((DRAWN.visible >= 0) & (DRAWN.visible <= 1)).all()
    again, other = movers(6, seed=1), movers(6, seed=2)
    assert np.array_equal(again.frames, DRAWN.frames)
    assert not np.array_equal(other.frames, DRAWN.frames)


def test_a_square_that_is_wholly_visible_is_where_its_color_is():
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    seen = 0
    for number, color in enumerate(COLORS):
        direction = np.array(color) / np.linalg.norm(color)
        for n, t in np.argwhere(DRAWN.visible[..., number] > 0.99)[:40]:
            frame = DRAWN.frames[n, t].astype(float)
            center = (DRAWN.positions[n, t, number] + 1) * SIDE / 2
            inside = (np.abs(x - center[0]) < SQUARE / 2 - 1) & (np.abs(y - center[1]) < SQUARE / 2 - 1)
            pixels = frame[inside]
            alike = pixels @ direction / np.linalg.norm(pixels, axis=1)
            assert np.median(alike) > 0.99
            seen += 1
    assert seen > 60


def test_the_hand_is_in_front_of_everything_and_squares_may_be_hidden():
    assert (DRAWN.visible[..., 3] == 1).all()
    assert DRAWN.visible[..., :3].min() < 0.5


def test_things_move_at_most_as_fast_as_is_said():
    steps = np.abs(np.diff(DRAWN.positions, axis=1)) * SIDE / 2
    assert 0.5 < steps.mean() < 2.5
    assert steps.max() <= 2.5 + 1e-9


def test_squares_are_as_bright_as_the_table():
    gray = DRAWN.frames.mean(-1)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    inside = np.zeros(gray.shape, bool)
    for number in range(3):
        center = (DRAWN.positions[:, :, number] + 1) * SIDE / 2
        inside |= (np.abs(x - center[..., 0, None, None]) < 6) & (np.abs(y - center[..., 1, None, None]) < 6)
    assert abs(gray[inside].mean() - gray[~inside].mean()) < 12
