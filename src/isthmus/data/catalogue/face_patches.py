r"""The FACES set: patches of the Olivetti faces, rotated and scaled as by Hinton and Salakhutdinov (2006).

The paper states that each face was rotated (-90 to 90 degrees), scaled (1.4 to 1.8), cropped and subsampled to 25x25
pixels, and that 400 faces gave 165,600 patches. That is 414 patches per face, a deterministic grid of 46 angles, 4
degrees apart, and 9 scales, 0.05 apart. How pixels were averaged is not stated. The mean over each pixel's square
reproduces the reported value: 30 principal components of the patches of 30 persons leave a squared error of 135 on
those of the other ten (``docs/log.md`` lists the errors of other choices).

References:
    Reducing the dimensionality of data with neural networks (Hinton & Salakhutdinov, 2006)
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
"""Patches per face."""
FINE = 3
"""Sampling points along a pixel of a patch, over which its value is averaged."""

Images = npt.NDArray[np.float32]


def patches(faces: Images) -> Images:
    """All patches (N, 414, 25, 25) of square images (N, S, S), by scale and then by angle.

    A patch shows the central 1/scale of the image, rotated about its center.

    >>> patches(np.ones((2, 64, 64), dtype=np.float32)).shape
    (2, 414, 25, 25)
    """
    count, side = len(faces), faces.shape[1]
    columns = np.ascontiguousarray(faces.reshape(count, -1).T)
    out = np.empty((count, VIEWS, SIDE, SIDE), dtype=np.float32)
    # the same matrix applies to all faces, so each view is one sparse product
    for number, matrix in enumerate(_sampling_matrices(side)):
        out[:, number] = (matrix @ columns).T.reshape(count, SIDE, SIDE)
    return out


def _sampling_matrices(side: int) -> Iterator["csr_array"]:
    """One matrix (625, S S) per view: the weight of each pixel of the image in each pixel of the patch."""
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
    """Weights and indices of the four pixels around each of P points, (4 P,); the border is extended outward."""
    above, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    low, far = rows - above, columns - left
    weights = [(1 - low) * (1 - far), (1 - low) * far, low * (1 - far), low * far]
    sources = [
        np.clip(above + down, 0, side - 1) * side + np.clip(left + right, 0, side - 1)
        for down, right in product((0, 1), (0, 1))
    ]
    return np.concatenate(weights), np.concatenate(sources)


def standardize(patches: Images, train: int) -> None:
    """Standardize in place: mean 0 of each pixel and average variance 1 over the first ``train`` patches.

    All pixels are divided by one number. All other patches are shifted and divided by the same numbers.
    """
    patches -= patches[:train].mean(axis=0, dtype=np.float64).astype(np.float32)
    # face by face, so that the patches are not copied as a whole
    chunks = (patches[first : min(first + VIEWS, train)] for first in range(0, train, VIEWS))
    squares = sum(float(np.square(chunk).sum(dtype=np.float64)) for chunk in chunks)
    patches /= np.sqrt(squares / patches[:train].size)
