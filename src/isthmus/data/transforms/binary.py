"""Binary examples, sampled from gray values."""

import numpy as np
import torch
from torch import Tensor

from isthmus.errors import BadData
from isthmus.options import DataOptions


def check_unit(x: Tensor, what: str, options: DataOptions) -> None:
    """Check that all values that are not missing are probabilities, in [0, 1].

    Raises:
        BadData: they are not.
    """
    low, high = float(x.nan_to_num(nan=0.0).min()), float(x.nan_to_num(nan=0.0).max())
    if low < 0 or high > 1:
        raise BadData(
            f"{what} has values from {low:g} to {high:g}, but data.binarize={options.binarize} requires "
            "values in [0, 1]. Set data.scale=minmax, or leave data.binarize out."
        )


def draw_bernoulli(x: Tensor, seed: int, *purpose: int, shared: bool = False) -> Tensor:
    """One sample of Bernoulli(x) per value; values outside [0, 1] and NaN are unchanged.

    ``purpose`` separates the random streams. With ``shared`` noise the sample of an example depends on the example and
    the seed alone, not on the examples beside it.
    """
    state = int(np.random.SeedSequence([seed, *purpose]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(state)
    drawn = (torch.rand((1, *x.shape[1:]) if shared else x.shape, generator=generator) < x).to(torch.float32)
    # NaN compares as false
    other = ~((x >= 0) & (x <= 1))
    return torch.where(other, x, drawn) if bool(other.any()) else drawn
