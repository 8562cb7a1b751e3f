"""Drawn sequences of moving things whose true positions are known, for comparison with feature points of a video.

Three textured squares move over a textured table, bounce at its edges and pass each other; an arm with a bright hand
reaches in from below and is in front of everything. The squares are as bright as the table, so that only their color
and texture shows them. Six lamps blink, the light drifts, and each pixel has noise: changes that no position explains.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIDE, FRAMES, THINGS = 60, 20, 4
"""Pixels of a side, frames of a sequence, and things that move: three squares and the hand."""
SQUARE, HAND, ARM, LAMP = 15, 4.0, 2.5, 2.0
"""Side of the squares, radius of the hand, half width of the arm and radius of the lamps, in pixels."""
SHOULDER = (SIDE / 2, SIDE + 6.0)
"""Where the arm begins, (x, y) in pixels."""
FASTEST, CHANGE = 2.5, 0.25
"""Largest first speed along an axis, and standard deviation of its change in each frame, in pixels per frame."""
NOISE, DRIFT = 0.02, 0.01
"""Standard deviations of the noise of a pixel, and of the change of light from frame to frame."""
COLORS = ((0.75, 0.25, 0.35), (0.2, 0.55, 0.75), (0.45, 0.55, 0.15))
"""Colors of the squares, made as bright as the table."""
BRIGHTNESS = 0.45
SCENE = 1609
"""Seed of the scene, which all sequences share: table, squares and lamps."""

Numbers = npt.NDArray[np.float64]


class Movers(NamedTuple):
    """Sequences with what is true of them.

    Attributes:
        frames: (N, 20, 60, 60, 3), bytes.
        positions: centers of the three squares and of the hand, (N, 20, 4, 2) as (x, y), from -1 (left, top) to 1.
        visible: the fraction of each thing that nothing is in front of, (N, 20, 4).
    """

    frames: npt.NDArray[np.uint8]
    positions: Numbers
    visible: Numbers


def movers(count: int, seed: int) -> Movers:
    """``count`` sequences of 20 frames.

    >>> drawn = movers(2, seed=0)
    >>> drawn.frames.shape, drawn.positions.shape, drawn.visible.shape
    ((2, 20, 60, 60, 3), (2, 20, 4, 2), (2, 20, 4))
    """
    rng = np.random.default_rng(seed)
    scene = _Scene()
    frames = np.empty((count, FRAMES, SIDE, SIDE, 3), np.uint8)
    places, visible = np.empty((count, FRAMES, THINGS, 2)), np.empty((count, FRAMES, THINGS))
    for n in range(count):
        places[n] = _paths(rng)
        light = 1 + np.cumsum(rng.normal(0, DRIFT, FRAMES)) + rng.uniform(-0.08, 0.08)
        for t in range(FRAMES):
            image, visible[n, t] = scene.drawn(places[n, t], rng.random(len(scene.lamps)) < 0.5)
            noisy = light[t] * image + rng.normal(0, NOISE, image.shape)
            frames[n, t] = np.rint(255 * noisy.clip(0, 1))
    return Movers(frames, 2 * places / SIDE - 1, visible)


def _paths(rng: np.random.Generator) -> Numbers:
    """Positions of all things in pixels, (20, 4, 2): straight lines that bend a little and bounce at the edges."""
    margin = np.array([SQUARE / 2 + 1] * 3 + [HAND + 1])[:, None]
    low, high = margin * np.ones(2), SIDE - margin * np.ones(2)
    place, speed = rng.uniform(low, high), rng.uniform(-FASTEST, FASTEST, (THINGS, 2))
    path = np.empty((FRAMES, THINGS, 2))
    for t in range(FRAMES):
        path[t] = place
        speed = np.clip(speed + rng.normal(0, CHANGE, speed.shape), -FASTEST, FASTEST)
        place = place + speed
        over = (place < low) | (place > high)
        speed = np.where(over, -speed, speed)
        place = np.where(place < low, 2 * low - place, np.where(place > high, 2 * high - place, place))
    return path


class _Scene:
    """What all sequences share: the table, the textures of the squares, and the lamps."""

    def __init__(self) -> None:
        rng = np.random.default_rng(SCENE)
        self.y, self.x = np.mgrid[:SIDE, :SIDE] + 0.5
        self.table = _texture(rng, SIDE, 3.0) * 0.5 + BRIGHTNESS - 0.25
        self.squares = [
            (0.6 + 0.8 * _texture(rng, SQUARE, 1.2).mean(-1, keepdims=True)) * BRIGHTNESS * np.array(c) / np.mean(c)
            for c in COLORS
        ]
        self.lamps = [self._lamp(place) for place in rng.uniform(4, SIDE - 4, (6, 2))]

    def drawn(self, places: Numbers, lit: npt.NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
        """A frame (60, 60, 3) in [0, 1], and the visible fraction of each thing."""
        image, owner = self.table.copy(), np.full((SIDE, SIDE), -1)
        cover = []
        for number, (texture, place) in enumerate(zip(self.squares, places, strict=False)):
            at, weight, values = self._square(texture, place)
            image[at] += weight[..., None] * (values - image[at])
            mask = np.zeros((SIDE, SIDE), bool)
            mask[at] = weight > 0.5
            owner[mask] = number
            cover.append(mask)
        for (at, weight), on in zip(self.lamps, lit, strict=True):
            image[at] += weight[..., None] * (np.array([1.0, 0.95, 0.7]) * (1.0 if on else 0.3) - image[at])
            owner[at] = np.where(weight > 0.5, -1, owner[at])
        arm, hand = self._arm(places[-1]), self._disc(places[-1], HAND)
        image += arm[..., None] * (np.array([0.55, 0.5, 0.5]) - image)
        owner[arm > 0.5] = -1
        image += hand[..., None] * (np.array([0.85, 0.65, 0.5]) - image)
        owner[hand > 0.5] = THINGS - 1
        cover.append(hand > 0.5)
        seen = [(owner == number)[mask].mean() if mask.any() else 0.0 for number, mask in enumerate(cover)]
        return image, np.array(seen)

    def _square(self, texture: Numbers, place: Numbers) -> tuple[tuple[slice, slice], Numbers, Numbers]:
        """Where a square at any position between pixels is, how much of each pixel it covers, and its color there."""
        reach = SQUARE / 2 + 1
        at = tuple(slice(max(0, int(v - reach)), int(v + reach) + 1) for v in place[::-1])
        across, down = self.x[at] - place[0], self.y[at] - place[1]
        weight = _edge(SQUARE / 2 - np.abs(across)) * _edge(SQUARE / 2 - np.abs(down))
        rows, columns = ((v + SQUARE / 2 - 0.5).clip(0, SQUARE - 1.001) for v in (down, across))
        top, left = rows.astype(int), columns.astype(int)
        v, u = (rows - top)[..., None], (columns - left)[..., None]
        above = (1 - u) * texture[top, left] + u * texture[top, left + 1]
        below = (1 - u) * texture[top + 1, left] + u * texture[top + 1, left + 1]
        return (at[0], at[1]), weight, (1 - v) * above + v * below

    def _disc(self, place: Numbers, radius: float) -> Numbers:
        return _edge(radius - np.hypot(self.x - place[0], self.y - place[1]))

    def _lamp(self, place: Numbers) -> tuple[tuple[slice, slice], Numbers]:
        """Where a lamp is, and how much of each pixel it covers."""
        x, y = (int(v) for v in place)
        at = slice(max(0, y - 4), y + 5), slice(max(0, x - 4), x + 5)
        return at, self._disc(place, LAMP)[at]

    def _arm(self, hand: Numbers) -> Numbers:
        """The part of each pixel that the arm covers, which reaches from below the image to the hand."""
        start = np.array(SHOULDER)
        along = hand - start
        share = ((self.x - start[0]) * along[0] + (self.y - start[1]) * along[1]) / (along @ along)
        nearest = start + share.clip(0, 1)[..., None] * along
        return _edge(ARM - np.hypot(self.x - nearest[..., 0], self.y - nearest[..., 1]))


def _edge(distance: Numbers) -> Numbers:
    """The part of a pixel inside an edge at this distance from its center, from 0 to 1."""
    return np.clip(distance + 0.5, 0, 1)


def _texture(rng: np.random.Generator, side: int, coarse: float) -> Numbers:
    """A random smooth texture (side, side, 3) with values from 0 to 1."""
    from scipy.ndimage import gaussian_filter

    noise = np.stack([gaussian_filter(rng.standard_normal((side, side)), coarse, mode="wrap") for _ in range(3)], -1)
    low, high = noise.min((0, 1)), noise.max((0, 1))
    scaled: Numbers = (noise - low) / (high - low)
    return scaled
