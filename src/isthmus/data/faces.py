r"""The FACES set: patches of the Olivetti faces, turned and scaled, as Hinton and Salakhutdinov (2006) made them.

They say that each face was rotated (-90 to 90 degrees), scaled (1.4 to 1.8), cropped and subsampled to 25x25 pixels,
and that 400 faces gave 165,600 patches. So there are 414 patches of each face, and 414 is 46 angles, 4 degrees apart,
times 9 scales, 0.05 apart: a grid, with nothing left to chance. The one thing that they leave open is how pixels were
averaged. Plain means of each pixel's square give their figure: 30 principal components of the patches of 30 persons
leave 135 of those of the other ten (``docs/log.md`` has what other readings leave).

References:
    Reducing the dimensionality of data with neural networks (Hinton and Salakhutdinov, Science 313, 2006)
"""

from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SIDE = 25
"""Pixels along a patch."""
SCALES = tuple(1.4 + 0.05 * step for step in range(9))
ANGLES = tuple(np.deg2rad(range(-90, 91, 4)).tolist())
VIEWS = len(SCALES) * len(ANGLES)
"""Patches of each face."""
FINE = 3
"""Places along a pixel of a patch whose values are averaged to its own."""

Pictures = npt.NDArray[np.float32]


def patches(faces: Pictures) -> Pictures:
    """All patches (N, 414, 25, 25) of square pictures (N, S, S), by scale and then by angle.

    A patch holds the middle 1/scale of the picture, turned about its centre.

    >>> patches(np.ones((2, 64, 64), dtype=np.float32)).shape
    (2, 414, 25, 25)
    """
    count, side = len(faces), faces.shape[1]
    columns = np.ascontiguousarray(faces.reshape(count, -1).T)
    out = np.empty((count, VIEWS, SIDE, SIDE), dtype=np.float32)
    # all faces are seen by the same lens, so that each view is one sparse product
    for number, lens in enumerate(_lenses(side)):
        out[:, number] = (lens @ columns).T.reshape(count, SIDE, SIDE)
    return out


def _lenses(side: int) -> Iterator["csr_array"]:
    """One matrix (625, S S) for each view: what each pixel of the picture adds to each of the patch."""
    from scipy.sparse import csr_array

    fine = (np.arange(SIDE * FINE) + 0.5) / (SIDE * FINE) - 0.5
    down, right = np.meshgrid(fine, fine, indexing="ij")
    number = np.arange(SIDE * FINE) // FINE
    pixel = (number[:, None] * SIDE + number).ravel()
    for scale, angle in product(SCALES, ANGLES):
        rows = side / scale * (np.cos(angle) * down - np.sin(angle) * right) + (side - 1) / 2
        columns = side / scale * (np.sin(angle) * down + np.cos(angle) * right) + (side - 1) / 2
        weights, sources = _bilinear(rows.ravel(), columns.ravel(), side)
        weights = weights.astype(np.float32) / FINE**2
        yield csr_array((weights, (np.tile(pixel, 4), sources)), shape=(SIDE**2, side**2))


def _bilinear(
    rows: npt.NDArray[np.float64], columns: npt.NDArray[np.float64], side: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Weights and numbers of the four pixels around each place, (4 places); beyond the border is the border."""
    above, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    low, far = rows - above, columns - left
    weights = [(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far]
    sources = [
        np.clip(above + down, 0, side - 1) * side + np.clip(left + right, 0, side - 1)
        for down, right in product((0, 1), (0, 1))
    ]
    return np.concatenate(weights), np.concatenate(sources)


def standardise(patches: Pictures, train: int) -> None:
    """Bring, in place, each pixel of the first ``train`` patches to mean 0, and their average variance to 1.

    All pixels are divided by one number. The patches after them are shifted and divided by the same numbers.
    """
    patches -= patches[:train].mean(axis=0, dtype=np.float64).astype(np.float32)
    # face by face, so that no second copy of them all is made
    pieces = (patches[first : min(first + VIEWS, train)] for first in range(0, train, VIEWS))
    squares = sum(float(np.square(piece).sum(dtype=np.float64)) for piece in pieces)
    patches /= np.sqrt(squares / patches[:train].size)
