"""What happens to raw values on their way to a model: checked, made tensors, scaled, drawn as 0 and 1.

Each function takes any number of examples, so whole arrays and pieces of a stream go the same way.
"""

import numpy as np
import torch
from torch import Tensor

from isthmus.data.base import Array
from isthmus.data.scaling import Scaling
from isthmus.errors import BadData
from isthmus.options import DataOptions

PIECE = 2**24
PARTS = ("train", "valid", "test")


def check_finite(x: Array, what: str) -> None:
    """Refuse NaN and infinity; rows and columns are counted from 0.

    Raises:
        BadData: with the number of such values, the first row and, in a table, its column.
    """
    if x.dtype.kind != "f":
        return
    step = max(1, PIECE // max(1, x[:1].size))
    bad = [~np.isfinite(x[start : start + step]) for start in range(0, len(x), step)]
    count = sum(int(piece.sum()) for piece in bad)
    if count == 0:
        return
    start, piece = next((step * number, piece) for number, piece in enumerate(bad) if piece.any())
    place = np.argwhere(piece)[0]
    column = f", column {place[1]}" if x.ndim == 2 else ""
    raise BadData(
        f"{what} holds {count} values that are not finite (NaN or infinite), the first in row "
        f"{start + place[0]}{column} (counted from 0). Fill them, take those rows or columns out, or leave the rows "
        "out with --on-bad-data skip."
    )


def channels_first(x: Array, images: bool) -> Tensor:
    """The array as a tensor (N, C, H, W) or (N, D), of its own type where torch has it."""
    if x.dtype.kind == "u" and x.dtype.itemsize > 1:
        x = x.astype(np.float64)
    # torch takes neither foreign byte order nor negative strides nor read-only memory
    x = np.require(x, dtype=x.dtype.newbyteorder("="), requirements=["C", "W"])
    if x.dtype.kind == "f" and x.dtype.itemsize not in (4, 8):
        # what is too large becomes infinite, and is refused where it is scaled
        with np.errstate(over="ignore"):
            x = x.astype(np.float32 if x.dtype.itemsize == 2 else np.float64)
    tensor = torch.from_numpy(x)
    if not images:
        return tensor
    return tensor.unsqueeze(1) if tensor.ndim == 3 else tensor.movedim(-1, 1)


def scaled(x: Tensor, scaling: Scaling, what: str) -> Tensor:
    """Scaled values as float32, in memory of their own."""
    out = scaling.apply(x).to(torch.float32).contiguous()
    if not torch.isfinite(out).all():
        raise BadData(
            f"{what} holds values too large for 32-bit numbers. Set data.scale=standard or data.scale=minmax."
        )
    return out


def check_unit(x: Tensor, what: str, options: DataOptions) -> None:
    """Only values in [0, 1] are probabilities of a 1."""
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        advice = (
            "Clip the values to the range of the training part, or leave data.binarise out."
            if options.scale == "minmax"
            else "Bring them there with --set data.scale=minmax, or leave data.binarise out."
        )
        raise BadData(
            f"{what} has values from {low:g} to {high:g}, but data.binarise={options.binarise} needs values "
            f"in [0, 1]. {advice}"
        )


def drawn(x: Tensor, seed: int, *purpose: int) -> Tensor:
    """One Bernoulli(x) draw of each value; each part has a stream of its own. 0 and 1 stay as they are."""
    state = int(np.random.SeedSequence([seed, *purpose]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(state)
    return (torch.rand(x.shape, generator=generator) < x).to(torch.float32)
