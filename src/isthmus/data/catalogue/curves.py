r"""The CURVES set: images of smooth curves through three random points, generated.

Hinton and Salakhutdinov (2006) trained their first deep autoencoder on such images, because six numbers determine each
of them. Their file is not redistributed and their rendering is not fully described, so this one is calibrated on the
squared errors that they report for linear codes: 5.90 for 18 principal components, 2.45 and 7.64 for logistic PCA with
18 and 6 components, and 16 to 18 for the mean image. Ink that is uniform in x, so that steep curves are pale,
reproduces all of them approximately; ink that is uniform along the curve does not (``docs/log.md``).

Every image is determined by its points: :func:`points` samples them and :func:`inked` renders the images, so that a
code can be compared with the true factors.

References:
    Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)
"""

import numpy as np
import numpy.typing as npt

SIDE = 28
LOW, HIGH = 2.0, 26.0
"""Bounds of every coordinate, in pixels of a canvas from 0 to 28."""
GAP = 2.0
"""Smallest distance in x from each point to the next, in pixels."""
PEN = 1.05
"""Standard deviation of the Gaussian pen, in pixels."""
INK = 3.37
"""Ink per pixel of x: the brightness that it adds, summed over the image."""
POSITIONS = 48
"""Positions of the pen from one point to the next, half a pixel apart on the steepest curves."""
AT_ONCE = 1000
"""Images that are rendered at a time, which bounds the memory."""

Numbers = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]


def points(count: int, rng: np.random.Generator) -> Numbers:
    """The three points of each curve, (N, 3, 2) as (x, y) in pixels, from left to right.

    Each x is uniform between its lower bound and what leaves room for the next points, each y uniform. A curve may
    leave the canvas between two points, as one in eleven does.

    >>> sampled = points(5, np.random.default_rng(0))
    >>> sampled.shape, bool((np.diff(sampled[..., 0]) >= GAP).all())
    ((5, 3, 2), True)
    """
    y = rng.uniform(LOW, HIGH, (count, 3))
    first = rng.uniform(LOW, HIGH - 2 * GAP, count)
    second = rng.uniform(first + GAP, HIGH - GAP)
    third = rng.uniform(second + GAP, HIGH)
    return np.stack([np.stack([first, second, third], axis=1), y], axis=2)


def inked(knots: Numbers) -> Images:
    r"""The images (N, 28, 28) in [0, 1] of the natural cubic splines through ``knots`` (N, 3, 2).

    A pixel is :math:`\min(1, \mathrm{INK} \int \mathcal N(\text{center}; (x, c(x)), \mathrm{PEN}^2 I)\,dx)` along the
    curve :math:`c`. The Gaussian is a product of one in x and one in y, so the integral, as a sum over pen
    positions, is one matrix product per image.
    """
    images = np.empty((len(knots), SIDE, SIDE), dtype=np.float32)
    for first in range(0, len(knots), AT_ONCE):
        some = knots[first : first + AT_ONCE]
        x, y = _pen_positions(some)
        ink = INK / POSITIONS * np.diff(some[..., 0]).repeat(POSITIONS, axis=1)
        rows = _pen_profile(y) * ink[..., None].astype(np.float32)
        images[first : first + AT_ONCE] = np.minimum(rows.transpose(0, 2, 1) @ _pen_profile(x), 1)
    return images


def _pen_profile(positions: Numbers) -> Images:
    """The Gaussian around each position (N, P) at the centers of a line of pixels: (N, P, 28)."""
    distance = (positions[..., None] - (np.arange(SIDE) + 0.5)).astype(np.float32)
    density: Images = np.exp(-0.5 * (distance / PEN) ** 2) / np.float32(np.sqrt(2 * np.pi) * PEN)
    return density


def _pen_positions(knots: Numbers) -> tuple[Numbers, Numbers]:
    """Positions of the pen, x and y, (N, 2 ``POSITIONS``) each, evenly spaced in x from one knot to the next.

    The second derivative of a natural spline is zero at both ends, so with three knots that at the middle one,
    ``bend``, determines the whole curve.
    """
    x, y = knots[..., 0], knots[..., 1]
    width, rise = np.diff(x), np.diff(y)
    slope = rise / width
    bend = 3 * (slope[:, 1] - slope[:, 0]) / (x[:, 2] - x[:, 0])
    right = (np.arange(POSITIONS) + 0.5) / POSITIONS
    # toward the middle knot: rightward in the first half, leftward in the second
    toward = np.stack([right, 1 - right])
    wide, curved = width[..., None], bend[:, None, None]
    across = x[:, :2, None] + wide * right
    high = y[:, :2, None] + rise[..., None] * right + wide**2 / 6 * (toward**3 - toward) * curved
    return across.reshape(len(x), -1), high.reshape(len(x), -1)
