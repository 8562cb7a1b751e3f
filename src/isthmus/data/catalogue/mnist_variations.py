"""MNIST digits with additional factors of variation, generated after Larochelle et al. (2007).

Each function maps digits (N, 28, 28), uint8, to as many images. The original files are not reproduced bit by bit: the
digits are split differently.

References:
    An empirical evaluation of deep architectures on problems with many factors of variation (Larochelle et al., 2007)
"""

import numpy as np
import numpy.typing as npt

Digits = npt.NDArray[np.uint8]


def kept(digits: Digits, rng: np.random.Generator) -> Digits:
    """The digits unchanged."""
    return digits


def rotated(digits: Digits, rng: np.random.Generator) -> Digits:
    """Each digit rotated about its center by a uniform random angle, with bilinear interpolation."""
    from PIL import Image

    angles = rng.uniform(0, 360, len(digits))
    out = np.empty_like(digits)
    for number, (digit, angle) in enumerate(zip(digits, angles, strict=True)):
        out[number] = np.asarray(Image.fromarray(digit).rotate(angle, resample=Image.Resampling.BILINEAR))
    return out


def before_noise(digits: Digits, rng: np.random.Generator) -> Digits:
    """Pixelwise maximum of each digit and a background of uniform noise from 0 to 255."""
    images: Digits = np.maximum(digits, rng.integers(0, 256, digits.shape, dtype=np.uint8))
    return images
