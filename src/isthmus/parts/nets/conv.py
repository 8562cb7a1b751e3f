r"""Convolutional encoder and decoder for images of any height and width and sequences of any length.

All layers follow the number of axes beside the channels: two for images, one for sequences. Each stage halves every
axis (rounding up): by a stride of 2, or by a convolution and max-pooling over 2. The
decoder reverses the sizes: by transposed convolutions, or by nearest-neighbor upsampling and a convolution (which
avoids checkerboard artifacts: Odena et al., 2016). Stages may have residual blocks (He et al., 2016). Without ``size``
the code is the innermost feature map; with ``size`` it is a vector, from a linear layer.

Two equivalent reorderings save time: a monotonic activation follows the pooling, where it acts on a quarter of the
values of an image or half of those of a sequence; and the last upsampling is merged with its convolution
(:class:`UpsampledConv2d` and :class:`UpsampledConv1d`).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from isthmus.errors import BadOption, ShapeError, check_choice, check_range
from isthmus.parts.nets.layers import (
    CONVOLUTIONS,
    MAX_POOLS,
    TRANSPOSED,
    Activation,
    Pair,
    check_channels,
    initialize,
    normalization,
)
from isthmus.parts.nets.residual import Layers, Residual, Shortcut, silence
from isthmus.parts.protocols import Head, Shape, Supplied

Size = tuple[int, ...]
"""Size of feature maps along each axis: (height, width) of images, (length,) of sequences."""
NON_MONOTONIC = frozenset({"gelu", "silu"})
"""Activations that decrease somewhere, and so do not commute with max-pooling."""


class Upsample(nn.Module):
    """Nearest-neighbor upsampling by a factor of 2, cropped to ``size``: (height, width), or (length,).

    >>> import torch
    >>> Upsample((1, 3))(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0]]]]
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, h: Float[Tensor, "B C *small"]) -> Float[Tensor, "B C *large"]:
        """The upsampled feature maps."""
        large = F.interpolate(h, scale_factor=2.0, mode="nearest")
        for axis, side in enumerate(self.size, start=2):
            large = large.narrow(axis, 0, side)
        return large


class UpsampledConv(_ConvNd):
    r"""Nearest-neighbor upsampling by 2 and a convolution, computed without the upsampled maps.

    Along each axis the output value 2i + p depends on each input value through the sum of all kernel weights that cover
    its copies, so the phases p (the four pairs (p, q) of images) are output maps of one convolution of the small input.
    Equal up to rounding; for one output map and 16 input maps of images three times as fast as the two layers, for many
    output maps slower (docs/log.md).

    Args:
        inputs: number of input maps.
        outputs: number of output maps.
        kernel: size of the kernel along each axis of the upsampled maps, odd.

    >>> import torch
    >>> layer, h = UpsampledConv2d(2, 1, 3), torch.rand(1, 2, 4, 5)
    >>> layer(h).allclose(F.conv2d(Upsample((8, 10))(h), layer.weight, layer.bias, padding=1), atol=1e-6)
    True
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        reach = (kernel - 1) // 2
        # the next class is Conv1d or Conv2d
        super().__init__(inputs, outputs, kernel, 1, reach)  # type: ignore[call-arg, arg-type]
        self.reach = (reach + 1) // 2
        # along one axis, for both phases: 1 where weight t of the kernel covers a copy of the small value
        covers = torch.zeros(2, kernel, 2 * self.reach + 1)
        for phase in range(2):
            for t in range(kernel):
                covers[phase, t, (phase + t - reach) // 2 + self.reach] = 1
        self.register_buffer("covers", covers, persistent=False)

    def forward(self, h: Float[Tensor, "B C *small"]) -> Float[Tensor, "B c *large"]:
        """The feature maps of the upsampled input."""
        axes = h.ndim - 2
        rule, convolve = ("oik,pka->opia", F.conv1d) if axes == 1 else ("oikl,pka,qlb->opqiab", F.conv2d)
        with torch.autocast(h.device.type, enabled=False):
            small: Tensor = torch.einsum(rule, self.weight, *[self.covers] * axes)
        bias = None if self.bias is None else self.bias.repeat_interleave(2**axes)
        phases = convolve(h, small.flatten(0, axes), bias, padding=self.reach)
        n, _, *sizes = phases.shape
        # each axis is followed by its phase: (n, maps, i, p) or (n, maps, i, p, j, q)
        order = [position for axis in range(axes) for position in (2 + axes + axis, 2 + axis)]
        interleaved = phases.reshape(n, self.out_channels, *[2] * axes, *sizes).permute(0, 1, *order)
        return interleaved.reshape(n, self.out_channels, *(2 * size for size in sizes))


class UpsampledConv1d(UpsampledConv, nn.Conv1d):
    """:class:`UpsampledConv` of sequences."""


class UpsampledConv2d(UpsampledConv, nn.Conv2d):
    """:class:`UpsampledConv` of images."""


UPSAMPLED: dict[int, type[UpsampledConv]] = {1: UpsampledConv1d, 2: UpsampledConv2d}


def conv(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (16, 8, 8),
    kernel_size: int = 3,
    downsampling: str = "stride",
    upsampling: str = "upsample",
    activation: str = "relu",
    norm: str = "none",
    init: str = "glorot",
    residual_blocks: int = 0,
    shortcuts: bool = False,
) -> Pair:
    r"""A convolutional encoder and decoder with one stage per entry of ``channels``.

    Args:
        shape: (channels, height, width) of one image, or (channels, length) of one sequence.
        size: size of a vector code, or ``None`` for a feature map (channels[-1], h, w) or (channels[-1], t).
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        channels: number of feature maps of each stage, from the data to the code.
        kernel_size: size of the kernels along each axis, 2 to 15; odd for ``maxpool`` and ``upsample``.
        downsampling: ``stride`` or ``maxpool``.
        upsampling: ``upsample`` (nearest neighbor, then a convolution) or ``transposed`` (convolution), which is faster
            and may leave a checkerboard pattern unless ``kernel_size`` is even.
        activation: activation between stages, one of :data:`isthmus.functional.ACTIVATIONS`.
        norm: normalization before the activation: ``none``, ``batch``, ``layer`` or ``group``.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.
        residual_blocks: number of residual blocks (two convolutions each, 3x3 or 3) per stage, in encoder and decoder.
        shortcuts: add the input of each stage, its patches as channels, to its output; with strides and transposed
            convolutions.

    Raises:
        ShapeError: the data is neither images nor sequences, or too small for the number of stages.
        BadOption: an option out of range.

    >>> from isthmus.parts import latents, likelihoods
    >>> conv((1, 28, 28), None, latents.Deterministic(), likelihoods.Bernoulli()).code
    (8, 4, 4)
    >>> conv((2, 50), None, latents.Deterministic(), likelihoods.Gaussian()).code
    (8, 7)
    """
    _check(shape, channels, kernel_size, downsampling, upsampling, shortcuts=shortcuts)
    check_range("net.residual_blocks", residual_blocks, 0, 100)
    sizes = _sizes(shape, kernel_size, len(channels), downsampling)
    inner = (channels[-1], *sizes[-1])
    flat, axes = math.prod(inner), len(sizes[-1])

    def before(width: int) -> list[nn.Module]:
        return [*normalization(norm, width, axes=axes), Activation(activation)]

    def residuals(width: int) -> list[nn.Module]:
        return [Residual(width, before, axes) for _ in range(residual_blocks)]

    def between(width: int) -> list[nn.Module]:
        return [*residuals(width), *before(width)]

    last = channels[-1] if size is not None else latent.width(channels[-1])
    stages = _down([shape[0], *channels[:-1], last], sizes, kernel_size, downsampling, between, shortcuts=shortcuts)
    encoder = [*stages, *residuals(last)]
    outputs = [*reversed(channels), likelihood.width(shape[0])]
    decoder = _up(outputs[:-1], outputs[-1], sizes, kernel_size, upsampling, between, shortcuts=shortcuts)
    if upsampling == "transposed" and residual_blocks:
        # residual blocks at the size of the code, which the first transposed convolution already upsamples
        decoder = [*between(channels[-1]), *decoder]
    if size is not None:
        check_range("latent.size", size, 1, 1 << 20)
        encoder += [*before(last), nn.Flatten(), nn.Linear(flat, latent.width(size))]
        decoder = [nn.Linear(size, flat), nn.Unflatten(1, inner), *before(last), *decoder]
    pair = Pair(nn.Sequential(*encoder), nn.Sequential(*decoder), inner if size is None else (size,))
    for net in (pair.encoder, pair.decoder):
        initialize(net, init)
        silence(net)
    return pair


def check_axes(shape: Shape) -> None:
    """Check that examples are images or sequences.

    Raises:
        ShapeError: they are not.
    """
    if len(shape) == 1:
        raise ShapeError(
            "A convolutional net requires images (channels, height, width) or sequences (channels, length), but one "
            f"example has shape {shape}. Use net.kind=mlp; reshape the rows to images with data.shape=28,28; or, where "
            "the columns are steps of time, set data.layout=NT, or cut the rows into windows with data.window=100."
        )
    if len(shape) > 3:
        raise ShapeError(
            "A convolutional net requires images (channels, height, width) or sequences (channels, length), but one "
            f"example is {shape[0]} frames of shape {shape[1:]}. Use net.kind=mlp."
        )


def _check(shape: Shape, channels: Sequence[int], kernel: int, down: str, up: str, *, shortcuts: bool) -> None:
    check_axes(shape)
    check_channels(channels, "16,8,8")
    check_range("net.kernel_size", kernel, 2, 15)
    check_choice("net.downsampling", down, ("stride", "maxpool"))
    check_choice("net.upsampling", up, ("transposed", "upsample"))
    if shortcuts and (down, up) != ("stride", "transposed"):
        raise BadOption(
            f"net.shortcuts is set, but net.downsampling={down} and net.upsampling={up} have none. Set "
            "net.downsampling=stride and net.upsampling=transposed."
        )
    if kernel % 2 == 0 and (down == "maxpool" or up == "upsample"):
        raise BadOption(
            f"net.kernel_size={kernel} is even, but maxpool and upsample require an odd kernel size. Set "
            f"net.kernel_size={kernel + 1}, or net.downsampling=stride and net.upsampling=transposed."
        )


def _sizes(shape: Shape, kernel: int, stages: int, down: str) -> list[Size]:
    """Height and width, or length, at each stage, from the data to the code."""
    pad = (kernel - 1) // 2
    sizes: list[Size] = [shape[1:]]
    for _ in range(stages):
        n = sizes[-1]
        halved = [-(-v // 2) if down == "maxpool" else (v + 2 * pad - kernel) // 2 + 1 for v in n]
        # a transposed convolution can restore this size, or one value more (output padding)
        restored = [(h - 1) * 2 - 2 * pad + kernel for h in halved]
        if min(halved) < 1 or any(not 0 <= v - r <= 1 for v, r in zip(n, restored, strict=True)):
            what = f"Images of {shape[1]}x{shape[2]}" if len(shape) == 3 else f"Sequences of length {shape[1]}"
            raise ShapeError(
                f"{what} cannot be halved {stages} times with kernel size {kernel}. "
                "Use fewer net.channels, or an odd net.kernel_size."
            )
        sizes.append(tuple(halved))
    return sizes


def _down(
    channels: Sequence[int], sizes: Sequence[Size], kernel: int, down: str, between: Layers, *, shortcuts: bool
) -> list[nn.Module]:
    """Stages of the encoder; the last one ends without normalization and activation."""
    stride, axes = 2 if down == "stride" else 1, len(sizes[0])
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(channels)):
        convolution = CONVOLUTIONS[axes](a, b, *along(sizes[i], kernel, stride))
        layers.append(Shortcut(convolution, b) if shortcuts else convolution)
        following = between(b) if i < len(channels) - 2 else []
        layers += following if down == "stride" else _pooled(following, axes)
    return layers


def _pooled(following: list[nn.Module], axes: int) -> list[nn.Module]:
    """The layers and max-pooling, which precedes a monotonic activation at the end (equivalent and faster)."""
    last = following[-1] if following else None
    monotonic = isinstance(last, Activation) and last.name not in NON_MONOTONIC
    position = len(following) - (1 if monotonic else 0)
    return [*following[:position], MAX_POOLS[axes](2, ceil_mode=True), *following[position:]]


def _doubles(small: Size, large: Size, kernel: int) -> bool:
    """Whether maps are doubled without cropping, and large enough that no kernel weight sees padding only."""
    return all(b == 2 * a and a > (kernel + 1) // 4 for a, b in zip(small, large, strict=True))


def along(size: Size, kernel: int, stride: int) -> tuple[Size, Size, Size]:
    """Kernel size, stride and padding for maps of ``size``; an axis of one value needs a kernel of one weight only.

    The other weights would see padding only, and oneDNN leaves their gradient unset in bfloat16.
    """
    kernels, strides, pads = zip(
        *((1, 1, 0) if n == 1 else (kernel, stride, (kernel - 1) // 2) for n in size), strict=True
    )
    return kernels, strides, pads


def _up(
    channels: Sequence[int], out: int, sizes: Sequence[Size], kernel: int, up: str, between: Layers, *, shortcuts: bool
) -> list[nn.Module]:
    """Stages of the decoder, from the code to the data; the last layer has no activation."""
    pad, axes = (kernel - 1) // 2, len(sizes[0])
    layers: list[nn.Module] = []
    targets = sizes[-2::-1]
    if up == "upsample":
        for a, b, target in zip([channels[0], *channels], channels, targets, strict=False):
            layers += [CONVOLUTIONS[axes](a, b, kernel, 1, pad), *between(b), Upsample(target)]
        if 2**axes * out <= channels[-1] and _doubles(sizes[1], targets[-1], kernel):
            return [*layers[:-1], UPSAMPLED[axes](channels[-1], out, kernel)]
        return [*layers, CONVOLUTIONS[axes](channels[-1], out, kernel, 1, pad)]
    for i, (a, b) in enumerate(zip(channels, [*channels[1:], out], strict=True)):
        start, target = sizes[len(channels) - i], targets[i]
        k, stride, p = along(target, kernel, 2)
        extra = [t - ((s - 1) * n - 2 * q + m) for s, t, m, n, q in zip(start, target, k, stride, p, strict=True)]
        convolution = TRANSPOSED[axes](a, b, k, stride, p, tuple(extra))
        layers.append(Shortcut(convolution, b, up=True) if shortcuts else convolution)
        if i < len(channels) - 1:
            layers += between(b)
    return layers
