r"""Priors :math:`p(z)`: what a penalty compares the code with, and what samples are drawn from."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from isthmus.trace import Shape


class StandardNormal(nn.Module):
    r"""The standard normal :math:`\mathcal N(0, I)` over a code of any shape.

    >>> StandardNormal().distribution((3,), torch.zeros(1)).log_prob(torch.zeros(3)).shape
    torch.Size([])
    """

    name = "standard_normal"

    def distribution(self, code: Shape, like: Tensor) -> Distribution:
        """The prior over a code of shape ``code``, on the device and in the precision of ``like``."""
        zeros = like.new_zeros(code)
        return Independent(Normal(zeros, torch.ones_like(zeros), validate_args=False), len(code), validate_args=False)


PRIORS: dict[str, type[nn.Module]] = {"standard_normal": StandardNormal}
"""Priors by their name in a recipe."""
