"""Generated binary shapes with geometric classes, after Larochelle et al. (2007).

Tall and wide rectangles, and convex and nonconvex regions, 28x28 pixels of 0 and 255. The original files are not
reproduced bit by bit: the description in the paper is followed, and what it leaves open is stated below.

References:
    An empirical evaluation of deep architectures on problems with many factors of variation (Larochelle et al., 2007)
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

SIDE = 28
LEAST_DIFFERENCE = 3
"""Smallest difference of height and width of a rectangle, in pixels."""
PLANES = (2, 5)
"""Number of half-planes whose intersection is a convex region: from the first to the last minus 1."""
PIECES, PIECE_PLANES = (2, 5), (4, 7)
"""Convex regions per union and half-planes of each: with these, both classes have the same mean area."""
AT_ONCE = 2000
"""Regions that are generated at a time, which bounds the memory."""

Masks = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]


def rectangles(count: int, rng: np.random.Generator) -> tuple[Masks, Labels]:
    """Outlines (N, 28, 28), one pixel thick, and whether each is wide (1) or tall (0).

    Height and width are uniform on 1 to 28 conditional on a difference of 3 or more; the corner is uniform where the
    rectangle fits.

    >>> outlines, wide = rectangles(5, np.random.default_rng(0))
    >>> outlines.shape, wide.shape
    ((5, 28, 28), (5,))
    """
    sizes = np.array([(h, w) for h in range(1, SIDE + 1) for w in range(1, SIDE + 1) if abs(h - w) >= LEAST_DIFFERENCE])
    height, width = sizes[rng.integers(len(sizes), size=count)].T
    top, left = (rng.integers(0, SIDE - size, endpoint=True) for size in (height, width))
    pixels = np.arange(SIDE)
    rows, columns = (pixels - first[:, None] for first in (top, left))
    inside = _between(rows, 0, height)[:, :, None] & _between(columns, 0, width)[:, None, :]
    within = _between(rows, 1, height - 1)[:, :, None] & _between(columns, 1, width - 1)[:, None, :]
    return inside & ~within, (width > height).astype(np.int64)


def _between(positions: npt.NDArray[np.int64], low: int, high: npt.NDArray[np.int64]) -> Masks:
    """Which positions (N, 28) are at least ``low`` and below ``high`` (N,)."""
    mask: Masks = (positions >= low) & (positions < high[:, None])
    return mask


def regions(count: int, rng: np.random.Generator) -> tuple[Masks, Labels]:
    """White regions (N, 28, 28), and whether each is convex (1) or not (0); half are, in random order.

    A convex region is an intersection of half-planes, each bounded by a line through a uniformly sampled point in a
    uniformly sampled direction. The others are unions of such regions; convex unions and empty regions are rejected.
    """
    labels = rng.permutation(np.arange(count) % 2)
    out = np.empty((count, SIDE, SIDE), dtype=np.bool_)
    out[labels == 1] = _collect(int(labels.sum()), rng, _convex)
    out[labels == 0] = _collect(count - int(labels.sum()), rng, _union)
    return out, labels.astype(np.int64)


def is_convex(masks: Masks) -> Masks:
    r"""Whether each region (N, 28, 28) contains every pixel that is the midpoint of two of its pixels.

    :math:`(m * m)(2p)` counts the pairs of pixels with midpoint p; one Fourier transform computes all counts.

    >>> disc = np.hypot(*(np.mgrid[:28, :28] - 13.5)) < 9
    >>> is_convex(np.stack([disc, disc & ~np.eye(28, dtype=bool)])).tolist()
    [True, False]
    """
    size = 2 * SIDE
    spectrum = np.fft.rfft2(masks.astype(np.float32), (size, size))
    pairs = np.fft.irfft2(spectrum**2, (size, size))[:, ::2, ::2]
    missing = (pairs > 0.5) & ~masks
    return np.logical_not(missing.any(axis=(1, 2)))


def _collect(count: int, rng: np.random.Generator, make: Callable[[np.random.Generator], Masks]) -> Masks:
    """``count`` regions that are not empty, from as many batches of ``make`` as needed."""
    kept = np.empty((0, SIDE, SIDE), dtype=np.bool_)
    while len(kept) < count:
        made = make(rng)
        kept = np.concatenate([kept, made[made.any(axis=(1, 2))]])
    return kept[:count]


def _convex(rng: np.random.Generator) -> Masks:
    return _intersections(PLANES, rng)


def _union(rng: np.random.Generator) -> Masks:
    counts = rng.integers(*PIECES, size=(AT_ONCE, 1, 1))
    union = np.zeros((AT_ONCE, SIDE, SIDE), dtype=np.bool_)
    for number in range(PIECES[1] - 1):
        union |= _intersections(PIECE_PLANES, rng) & (number < counts)
    return union[~is_convex(union)]


def _intersections(planes: tuple[int, int], rng: np.random.Generator) -> Masks:
    """Intersections of random half-planes, from ``planes[0]`` to ``planes[1] - 1`` of them."""
    counts = rng.integers(*planes, size=(AT_ONCE, 1, 1))
    centers = np.arange(SIDE) + 0.5
    inside = np.ones((AT_ONCE, SIDE, SIDE), dtype=np.bool_)
    for number in range(planes[1] - 1):
        y, x = rng.uniform(0, SIDE, (2, AT_ONCE, 1))
        angle = rng.uniform(0, 2 * np.pi, (AT_ONCE, 1))
        rows = (np.cos(angle) * (centers - y)).astype(np.float32)
        columns = (np.sin(angle) * (centers - x)).astype(np.float32)
        inside &= (rows[:, :, None] >= -columns[:, None, :]) | (number >= counts)
    return inside
