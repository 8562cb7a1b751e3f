r"""Residual blocks of convolutions, and shortcuts around those that change the resolution."""

from collections.abc import Callable

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.parts.nets.layers import CONVOLUTIONS
from isthmus.parts.nets.patches import channels_to_space, cropped, padded, space_to_channels

Layers = Callable[[int], list[nn.Module]]
"""Makes the layers between convolutions, given the number of feature maps."""


class Residual(nn.Module):
    r"""A pre-activation residual block, :math:`h + W_2 s(W_1 s(h))`, initialized as the identity (:math:`W_2 = 0`).

    Args:
        width: number of input and output maps.
        before: makes the layers before each convolution: normalization and activation.
        axes: 2 for images, 1 for sequences.

    References:
        Identity mappings in deep residual networks (He et al., 2016)

    >>> import torch
    >>> Residual(2, lambda width: [nn.ReLU()])(torch.ones(1, 2, 3, 3)).equal(torch.ones(1, 2, 3, 3))
    True
    """

    def __init__(self, width: int, before: Layers, axes: int = 2) -> None:
        super().__init__()
        first, last = (CONVOLUTIONS[axes](width, width, 3, 1, 1) for _ in range(2))
        self.inner = nn.Sequential(*before(width), first, *before(width), last)
        self.silence()

    def silence(self) -> None:
        """Set the last convolution to 0, so that the block is the identity and networks of any depth train."""
        for parameter in self.inner[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Float[Tensor, "B C *sizes"]) -> Float[Tensor, "B C *sizes"]:
        """The feature maps plus the residual."""
        out: Tensor = h + self.inner(h)
        return out


class Shortcut(nn.Module):
    r"""A convolution that halves or doubles the resolution, plus its input in the new resolution: :math:`W h + s(h)`.

    The shortcut s has no weights. On the way down each patch of 2 x 2 values becomes channels, which are averaged in
    equal groups; on the way up channels are repeated and become patches. The convolution learns what that leaves over,
    so that deep encoders with a small code keep the detail of their input.

    Args:
        convolution: a strided or transposed convolution.
        outputs: its number of output maps.
        up: whether it doubles the resolution.

    References:
        Deep compression autoencoder for efficient high-resolution diffusion models (Chen et al., 2025)

    >>> import torch
    >>> down = Shortcut(nn.Conv1d(1, 2, 3, 2, 1), 2)
    >>> _ = [parameter.data.zero_() for parameter in down.parameters()]
    >>> down(torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])).tolist()
    [[[1.0, 3.0], [2.0, 4.0]]]
    """

    def __init__(self, convolution: nn.Module, outputs: int, *, up: bool = False) -> None:
        super().__init__()
        self.convolution, self.outputs, self.up = convolution, outputs, up

    def forward(self, h: Float[Tensor, "B C *S"]) -> Float[Tensor, "B c *s"]:
        """The feature maps of the convolution plus those of the shortcut."""
        changed: Tensor = self.convolution(h)
        if self.up:
            patch: int = 2 ** (h.ndim - 2)
            around = cropped(channels_to_space(_with_channels(h, patch * self.outputs), 2), tuple(changed.shape[2:]))
        else:
            around = _with_channels(space_to_channels(padded(h, 2), 2), self.outputs)
        return changed + around


def _with_channels(h: Float[Tensor, "B C *S"], channels: int) -> Float[Tensor, "B c *S"]:
    """Feature maps with another number of channels: means of neighboring ones, or each several times."""
    flat = h.flatten(2).transpose(1, 2)
    if channels < h.shape[1]:
        changed = F.adaptive_avg_pool1d(flat, channels)
    else:
        changed = F.interpolate(flat, channels, mode="nearest")
    return changed.transpose(1, 2).reshape(len(h), channels, *h.shape[2:])


def silence(net: nn.Module) -> None:
    """Make all residual blocks of ``net`` the identity."""
    for block in net.modules():
        if isinstance(block, Residual):
            block.silence()
