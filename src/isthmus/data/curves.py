r"""The CURVES set: smooth curves through three random points, drawn by code.

Hinton and Salakhutdinov (2006) trained their first deep autoencoder on such pictures, because it is known that six
numbers make each of them. Their file is not passed on and their pen is not described to the last digit, so this one is
calibrated on the linear codes whose squared error they print: 5.90 by 18 principal components, 2.45 and 7.64 by
logistic PCA of 18 and 6, beside a mean image whose error is 16 to 18. A pen that spends its ink evenly over x, so that
steep strokes are pale, comes near all of them; one that spends it evenly along the curve does not (``docs/log.md``).

Every picture follows from its points. :func:`points` draws them and :func:`inked` makes the pictures, so that whoever
wants to compare a code with the truth has both.

References:
    Reducing the dimensionality of data with neural networks (Hinton and Salakhutdinov, Science 313, 2006)
"""

import numpy as np
import numpy.typing as npt

SIDE = 28
LOW, HIGH = 2.0, 26.0
"""Between which every coordinate lies, in pixels of a canvas from 0 to 28."""
GAP = 2.0
"""How much further right each point is than the one before, at least."""
PEN = 1.05
"""Standard deviation of the Gaussian pen, in pixels."""
INK = 3.37
"""Ink per pixel of x: the brightness that it adds, summed over the picture."""
DABS = 48
"""Dabs of the pen from one point to the next, half a pixel apart on the steepest curves."""
AT_ONCE = 1000
"""Pictures that are drawn together, which bounds the memory."""

Numbers = npt.NDArray[np.float64]
Pictures = npt.NDArray[np.float32]


def points(count: int, rng: np.random.Generator) -> Numbers:
    """The three points of each curve, (N, 3, 2) as (x, y) in pixels, from left to right.

    Each x is drawn evenly from what the one before leaves free, each y evenly. A curve may leave the canvas between two
    points, as one in eleven does.

    >>> drawn = points(5, np.random.default_rng(0))
    >>> drawn.shape, bool((np.diff(drawn[..., 0]) >= GAP).all())
    ((5, 3, 2), True)
    """
    y = rng.uniform(LOW, HIGH, (count, 3))
    first = rng.uniform(LOW, HIGH - 2 * GAP, count)
    second = rng.uniform(first + GAP, HIGH - GAP)
    third = rng.uniform(second + GAP, HIGH)
    return np.stack([np.stack([first, second, third], axis=1), y], axis=2)


def inked(knots: Numbers) -> Pictures:
    r"""The pictures (N, 28, 28) in [0, 1] of the natural cubic splines through ``knots`` (N, 3, 2).

    A pixel is :math:`\min(1, \mathrm{INK} \int \mathcal N(\text{centre}; (x, c(x)), \mathrm{PEN}^2 I)\,dx)` along the
    curve :math:`c`. The Gaussian is a product of one in x and one in y, so the integral, as a sum over dabs, is one
    product of matrices for each picture.
    """
    pictures = np.empty((len(knots), SIDE, SIDE), dtype=np.float32)
    for first in range(0, len(knots), AT_ONCE):
        some = knots[first : first + AT_ONCE]
        x, y = _dabs(some)
        each = INK / DABS * np.diff(some[..., 0]).repeat(DABS, axis=1)
        rows = _pen(y) * each[..., None].astype(np.float32)
        pictures[first : first + AT_ONCE] = np.minimum(rows.transpose(0, 2, 1) @ _pen(x), 1)
    return pictures


def _pen(places: Numbers) -> Pictures:
    """The Gaussian around each place (N, dabs) at the centres of a line of pixels: (N, dabs, 28)."""
    away = (places[..., None] - (np.arange(SIDE) + 0.5)).astype(np.float32)
    dab: Pictures = np.exp(-0.5 * (away / PEN) ** 2) / np.float32(np.sqrt(2 * np.pi) * PEN)
    return dab


def _dabs(knots: Numbers) -> tuple[Numbers, Numbers]:
    """Where the dabs are: x and y, (N, 2 dabs) each, evenly in x from one knot to the next.

    With three knots the second derivative of a natural spline is zero at both ends, so one number, the ``bend`` at the
    middle one, makes the whole curve.
    """
    x, y = knots[..., 0], knots[..., 1]
    width, rise = np.diff(x), np.diff(y)
    slope = rise / width
    bend = 3 * (slope[:, 1] - slope[:, 0]) / (x[:, 2] - x[:, 0])
    right = (np.arange(DABS) + 0.5) / DABS
    # to the middle knot: rightwards in the first half, leftwards in the second
    towards = np.stack([right, 1 - right])
    wide, curved = width[..., None], bend[:, None, None]
    across = x[:, :2, None] + wide * right
    high = y[:, :2, None] + rise[..., None] * right + wide**2 / 6 * (towards**3 - towards) * curved
    return across.reshape(len(x), -1), high.reshape(len(x), -1)
