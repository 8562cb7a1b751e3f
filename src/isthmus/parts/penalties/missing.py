"""Missing values of examples, for penalties that pass examples through a network."""

import torch
from torch import Tensor

from isthmus.parts.protocols import Model


def observed_alike(model: Model, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Examples (B, *D) and outputs (k B, *D) with the same values in place of those that are missing in the examples.

    A network then sees no difference between the two where there is nothing to compare.
    """
    filled = model.filled(x)
    if filled is x:
        return x, y
    repeats = len(y) // len(x)
    missing, values = (v.repeat(repeats, *[1] * (x.ndim - 1)) for v in (x.isnan(), filled))
    return filled, torch.where(missing, values, y)
