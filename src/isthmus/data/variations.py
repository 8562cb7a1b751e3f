"""MNIST's digits with further factors of variation, made by code after Larochelle et al. (2007).

Each takes digits (N, 28, 28) of 8 bits and gives as many. Their files were made once and are not remade here bit by
bit: other digits fall into other parts.

References:
    An empirical evaluation of deep architectures on problems with many factors of variation (Larochelle et al., 2007)
"""

import numpy as np
import numpy.typing as npt

Digits = npt.NDArray[np.uint8]


def kept(digits: Digits, rng: np.random.Generator) -> Digits:
    """The digits as they are."""
    return digits


def rotated(digits: Digits, rng: np.random.Generator) -> Digits:
    """Each digit turned about its centre by an angle drawn evenly from the full circle, by bilinear interpolation."""
    from PIL import Image

    angles = rng.uniform(0, 360, len(digits))
    out = np.empty_like(digits)
    for number, (digit, angle) in enumerate(zip(digits, angles, strict=True)):
        out[number] = np.asarray(Image.fromarray(digit).rotate(angle, resample=Image.Resampling.BILINEAR))
    return out


def before_noise(digits: Digits, rng: np.random.Generator) -> Digits:
    """Each digit before a background of pixels drawn evenly from 0 to 255: of the two, the brighter is seen."""
    seen: Digits = np.maximum(digits, rng.integers(0, 256, digits.shape, dtype=np.uint8))
    return seen
