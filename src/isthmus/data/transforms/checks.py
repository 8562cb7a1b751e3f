"""Conversion of raw values to model inputs: checks, conversion to tensors, scaling, Bernoulli sampling.

Each function takes any number of examples, so that arrays in memory and chunks of a stream are treated alike.
"""

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.transforms.scaling import Scaling
from isthmus.errors import BadData
from isthmus.options import DataOptions

PIECE = 2**24
"""Values that are checked at a time."""
SPLITS = ("train", "valid", "test")


def check_finite(x: Array, what: str) -> None:
    """Refuse NaN and infinity.

    Raises:
        BadData: with the number of such values and the 0-based row and, in a table, column of the first.
    """
    if x.dtype.kind != "f":
        return
    step = max(1, PIECE // max(1, x[:1].size))
    bad = [~np.isfinite(x[start : start + step]) for start in range(0, len(x), step)]
    count = sum(int(chunk.sum()) for chunk in bad)
    if count == 0:
        return
    start, chunk = next((step * number, chunk) for number, chunk in enumerate(bad) if chunk.any())
    first = np.argwhere(chunk)[0]
    column = f", column {first[1]}" if x.ndim == 2 else ""
    raise BadData(
        f"{what} holds {count} values that are not finite (NaN or infinite), the first in row "
        f"{start + first[0]}{column} (counted from 0). Impute them, remove those rows or columns, or skip the rows "
        "with data.on_bad_data=skip."
    )


def channels_first(x: Array, images: bool) -> Tensor:
    """The array as a tensor (N, C, H, W) or (N, D), of the same data type if torch supports it."""
    if x.dtype.kind == "u" and x.dtype.itemsize > 1:
        x = x.astype(np.float64)
    # torch supports neither non-native byte order nor negative strides nor read-only memory
    x = np.require(x, dtype=x.dtype.newbyteorder("="), requirements=["C", "W"])
    if x.dtype.kind == "f" and x.dtype.itemsize not in (4, 8):
        # values that are too large become infinite and are refused when they are scaled
        with np.errstate(over="ignore"):
            x = x.astype(np.float32 if x.dtype.itemsize == 2 else np.float64)
    tensor = torch.from_numpy(x)
    if not images:
        return tensor
    return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.movedim(-1, 1)


def apply_scaling(x: Tensor, scaling: Scaling, what: str) -> Tensor:
    """Scaled values as float32, in new memory.

    Raises:
        BadData: values that float32 cannot represent.
    """
    out = scaling.apply(x).to(torch.float32).contiguous()
    if not torch.isfinite(out).all():
        raise BadData(
            f"{what} holds values too large for 32-bit numbers. Set data.scale=standard or data.scale=minmax."
        )
    return out


def check_unit(x: Tensor, what: str, options: DataOptions) -> None:
    """Check that all values are probabilities, in [0, 1].

    Raises:
        BadData: they are not.
    """
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        advice = (
            "Clip the values to the range of the training set, or leave data.binarize out."
            if options.scale == "minmax"
            else "Set data.scale=minmax, or leave data.binarize out."
        )
        raise BadData(
            f"{what} has values from {low:g} to {high:g}, but data.binarize={options.binarize} requires "
            f"values in [0, 1]. {advice}"
        )


def draw_bernoulli(x: Tensor, seed: int, *purpose: int) -> Tensor:
    """One sample of Bernoulli(x) per value; 0 and 1 are unchanged. ``purpose`` separates the random streams."""
    state = int(np.random.SeedSequence([seed, *purpose]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(state)
    return (torch.rand(x.shape, generator=generator) < x).to(torch.float32)
