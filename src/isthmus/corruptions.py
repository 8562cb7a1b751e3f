r"""Corruptions: what is done to the input before the encoder sees it, :math:`\tilde x \sim c(\tilde x \mid x)`.

The target stays clean. A corruption acts in training only; in evaluation it is the identity.
"""

from jaxtyping import Float
from torch import Tensor, nn


class Identity(nn.Module):
    """No corruption: the encoder sees the clean input.

    >>> import torch
    >>> Identity()(torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    def forward(self, x: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """``x`` itself."""
        return x


CORRUPTIONS: dict[str, type[nn.Module]] = {"identity": Identity}
"""Corruptions by their name in a recipe."""
