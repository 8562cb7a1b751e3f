r"""U-Net: convolutions at several resolutions, whose features all reach the decoder; for restoration of images.

.. math:: \hat x = \tilde x + g(f_1(\tilde x), \dots, f_L(\tilde x))

The code is the pyramid of all features together with the input, so it is larger than the data: the net restores, it
does not compress. Every level is stored in the channels of the coarsest grid (space to channels), so the code is one
feature map, and the net accepts images and sequences of any size.

Missing values, NaN, are interpolated (:func:`isthmus.functional.interpolate_missing`), and the net is told where they
were. Values of an example with missing ones are kept where they are known. Both, and the sum with the input, need
features that are the mean of the likelihood, as in a Gaussian one.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, IncompatibleParts, ShapeError, check_range
from isthmus.functional import interpolate_missing, noise_level
from isthmus.parts.hooks import IdentityMean
from isthmus.parts.nets.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    Activation,
    Pair,
    check_channels,
    initialize,
    normalization,
)
from isthmus.parts.nets.patches import channels_to_space, cropped, padded, space_to_channels
from isthmus.parts.nets.residual import Residual, silence
from isthmus.parts.protocols import Head, Shape, Supplied

PATCHES = (1, 2, 4, 8)
"""Sides of the patches of pixels of the first level."""
Blocks = Callable[[int], nn.Module]
"""Makes the residual blocks of a level, given its number of feature maps."""


class UNetEncoder(nn.Module):
    """The encoder: the features of all levels and the input, as one feature map of the coarsest grid.

    Args:
        inputs: number C of channels of the data.
        channels: feature maps of each level, from fine to coarse.
        patch: side of the patches that the first level sees as one position.
        blocks: makes the residual blocks of a level.
        axes: 2 for images, 1 for sequences.
        residual_blocks: how many these are.
        noise_input: whether the net sees the noise level of each example as one more channel.

    Attributes:
        noise_level: standard deviation of the noise of each example that the net is told, (B,) or (1,), in units of the
            data; estimated from each example (:func:`isthmus.functional.noise_level`) if ``None``.
        stride: side of a position of the coarsest grid, in pixels.
        reach: how far a value of the input can influence one of the output, in pixels.
    """

    fills_missing = True

    def __init__(
        self,
        inputs: int,
        channels: Sequence[int],
        patch: int,
        blocks: Blocks,
        axes: int,
        residual_blocks: int,
        *,
        noise_input: bool = False,
    ) -> None:
        super().__init__()
        self.patch, self.stride = patch, patch * 2 ** (len(channels) - 1)
        # of the coarsest grid, in positions of each level
        self.strides = [2**level for level in reversed(range(len(channels)))]
        self.reach = reach(patch, len(channels), residual_blocks)
        convolution = CONVOLUTIONS[axes]
        self.noise_input = noise_input
        self.noise_level: Tensor | None = None
        self.first = convolution((2 * inputs + noise_input) * patch**axes, channels[0], 3, 1, 1)
        self.levels = nn.ModuleList(blocks(width) for width in channels)
        self.down = nn.ModuleList(convolution(a, b, 2, 2) for a, b in pairwise(channels))

    def forward(self, x: Float[Tensor, "B C *S"]) -> Float[Tensor, "B c *s"]:
        """The pyramid of features of ``x``, in which values may be missing."""
        missing = x.isnan()
        with torch.autocast(x.device.type, enabled=False):
            given = torch.cat([interpolate_missing(x, missing), missing.to(x.dtype)], 1)
        given = padded(given, self.stride)
        seen = torch.cat([given, self._noise(x, given)], 1) if self.noise_input else given
        h = self.first(space_to_channels(seen, self.patch))
        found = [space_to_channels(given, self.stride)]
        for number, level in enumerate(self.levels):
            h = level(h)
            found.append(space_to_channels(h, self.strides[number]))
            if number < len(self.down):
                h = self.down[number](h)
        return torch.cat(found, 1)

    def _noise(self, x: Tensor, given: Tensor) -> Tensor:
        """The noise level of each example as a channel of the size of ``given``."""
        level = noise_level(x) if self.noise_level is None else self.noise_level
        return level.to(given).reshape(-1, *[1] * (given.ndim - 1)).expand_as(given[:, :1])


class UNetDecoder(nn.Module):
    """The decoder: from the coarsest features to the finest, each level added, and the input at the end.

    Args:
        outputs: number of features of the likelihood.
        residual: whether the first features are the mean of the likelihood, so that the input is added to them.
        size: height and width to which the output is cropped, or length of a sequence; ``None`` for examples of other
            sizes, whose output is in whole positions of the coarsest grid.
        encoder: the encoder, whose other arguments are shared.
        inputs, channels, blocks: as in :class:`UNetEncoder`.
    """

    def __init__(
        self,
        outputs: int,
        inputs: int,
        channels: Sequence[int],
        encoder: UNetEncoder,
        blocks: Blocks,
        size: Shape,
        *,
        residual: bool,
    ) -> None:
        super().__init__()
        axes = len(size)
        self.inputs, self.residual = inputs, residual
        self.size: Shape | None = size
        self.patch, self.stride, self.strides = encoder.patch, encoder.stride, encoder.strides
        widths = [width * stride**axes for width, stride in zip(channels, self.strides, strict=True)]
        self.parts = [2 * inputs * self.stride**axes, *widths]
        self.levels = nn.ModuleList(blocks(width) for width in channels)
        self.up = nn.ModuleList(TRANSPOSED[axes](b, a, 2, 2) for a, b in pairwise(channels))
        self.last = CONVOLUTIONS[axes](channels[0], outputs * self.patch**axes, 3, 1, 1)

    def forward(self, code: Float[Tensor, "B c *s"]) -> Float[Tensor, "B out *S"]:
        """The features of the likelihood."""
        given, *features = torch.split(code, self.parts, 1)
        features = [channels_to_space(f, stride) for f, stride in zip(features, self.strides, strict=True)]
        h = self.levels[-1](features[-1])
        for number in range(len(features) - 2, -1, -1):
            h = self.levels[number](features[number] + self.up[number](h))
        out = channels_to_space(self.last(h), self.patch)
        if self.residual:
            out = self._restored(channels_to_space(given, self.stride), out)
        return out if self.size is None else cropped(out, self.size)

    def _restored(self, given: Tensor, out: Tensor) -> Tensor:
        """The input plus the residual; known values of an example with missing ones as they are."""
        x, missing = given[:, : self.inputs], given[:, self.inputs :]
        mean, others = out[:, : self.inputs], out[:, self.inputs :]
        partial = missing.flatten(1).amax(1).reshape(-1, *[1] * (x.ndim - 1))
        # 1 where a value is known, in examples with missing values
        kept = partial * (1 - missing)
        return torch.cat([x + (1 - kept) * mean, others], 1)


def unet(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (32, 64, 80),
    residual_blocks: int = 2,
    patch: int = 2,
    activation: str = "relu",
    norm: str = "none",
    init: str = "he",
    noise_input: bool = False,
) -> Pair:
    r"""A residual U-Net with one level per entry of ``channels``, each of half the resolution of the one before.

    Args:
        shape: (channels, height, width) of one image, or (channels, length) of one sequence; any size.
        size: ``None``, since the code is a feature map.
        latent: the head of the encoder, with one feature per value.
        likelihood: the head of the decoder.
        channels: number of feature maps of each level, from fine to coarse.
        residual_blocks: residual blocks of each level, in encoder and decoder.
        patch: side of the patches of pixels that are one position of the first level, a power of 2.
        activation: activation inside the blocks, one of :data:`isthmus.functional.ACTIVATIONS`.
        norm: normalization before the activation: ``none``, ``batch``, ``layer`` or ``group``.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.
        noise_input: the net also sees the noise level of each example, which is estimated from it, or given where it is
            used.

    Raises:
        ShapeError: the data is neither images nor sequences.
        IncompatibleParts: a latent with several features per value.
        BadOption: an option out of range, or a size of the code.

    References:
        U-Net: convolutional networks for biomedical image segmentation (Ronneberger et al., 2015)
        Plug-and-play image restoration with deep denoiser prior (Zhang et al., 2022)

    >>> from isthmus.parts import latents, likelihoods
    >>> unet((1, 29, 31), None, latents.Deterministic(), likelihoods.Gaussian()).code
    (976, 4, 4)
    """
    _check(shape, size, channels, residual_blocks, patch)
    inputs, axes = shape[0], len(shape) - 1

    def blocks(width: int) -> nn.Module:
        def before(width: int) -> list[nn.Module]:
            return [*normalization(norm, width, axes=axes), Activation(activation)]

        return nn.Sequential(*(Residual(width, before, axes) for _ in range(residual_blocks)))

    encoder = UNetEncoder(inputs, channels, patch, blocks, axes, residual_blocks, noise_input=noise_input)
    decoder = UNetDecoder(
        likelihood.width(inputs),
        inputs,
        channels,
        encoder,
        blocks,
        shape[1:],
        residual=isinstance(likelihood, IdentityMean) and likelihood.identity_mean,
    )
    width = sum(decoder.parts)
    if latent.width(width) != width:
        raise IncompatibleParts(
            f"A U-Net passes the features of all levels to its decoder, but latent {type(latent).__name__} has "
            "several features per value of the code. Set latent.kind=deterministic, or net.kind=conv."
        )
    for net in (encoder, decoder):
        initialize(net, init)
        silence(net)
    for parameter in decoder.last.parameters():
        nn.init.zeros_(parameter)
    return Pair(encoder, decoder, (width, *(-(-side // encoder.stride) for side in shape[1:])))


def reach(patch: int, levels: int, residual_blocks: int) -> int:
    """How far a value of the input can influence one of the output of a U-Net, in pixels, apart from interpolation.

    Every 3x3 convolution of a level reaches one of its positions further; a level has two in each of its blocks, in
    encoder and decoder, and the finest one two more. Where a value is in its position adds one of the coarsest grid.
    """
    sides = [patch << level for level in range(levels)]
    return 2 * sides[0] + 4 * residual_blocks * sum(sides) + sides[-1]


def _check(shape: Shape, size: int | None, channels: Sequence[int], residual_blocks: int, patch: int) -> None:
    if len(shape) not in (2, 3):
        raise ShapeError(
            "A U-Net requires images (channels, height, width) or sequences (channels, length), but one example has "
            f"shape {shape}. Use net.kind=mlp, or reshape the rows to images with data.shape=28,28."
        )
    if size is not None:
        raise BadOption(
            f"latent.size is {size}, but the code of a U-Net is a feature map that is larger than the data. Leave "
            "latent.size out, or set net.kind=conv for a code of that size."
        )
    check_channels(channels, "32,64,80")
    check_range("net.channels (their number)", len(channels), 1, 8)
    check_range("net.residual_blocks", residual_blocks, 0, 100)
    if patch not in PATCHES:
        raise BadOption(f"net.patch must be one of {', '.join(map(str, PATCHES))}, but is {patch}. Set net.patch=2.")
