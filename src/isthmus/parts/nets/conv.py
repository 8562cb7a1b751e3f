r"""Convolutional encoder and decoder for images of any height, width and number of channels.

Each stage halves the height and width (rounding up): by a stride of 2, or by a convolution and 2x2 max-pooling. The
decoder reverses the sizes: by transposed convolutions, or by nearest-neighbor upsampling and a convolution (which
avoids checkerboard artifacts: Odena et al., 2016). Stages may have residual blocks (He et al., 2016). Without ``size``
the code is the innermost feature map; with ``size`` it is a vector, from a linear layer.

Two equivalent reorderings save time: a monotonic activation follows the pooling, where it acts on a quarter of the
values; and the last upsampling is merged with its convolution (:class:`UpsampledConv2d`).
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, ShapeError, check_choice, check_range
from isthmus.parts.nets.layers import Activation, Pair, initialize, normalization
from isthmus.parts.protocols import Head, Shape, Supplied

Side = tuple[int, int]
Layers = Callable[[int], list[nn.Module]]
"""Makes the layers between convolutions, given the number of feature maps."""
NON_MONOTONIC = frozenset({"gelu", "silu"})
"""Activations that decrease somewhere, and so do not commute with max-pooling."""


class Upsample(nn.Module):
    """Nearest-neighbor upsampling by a factor of 2, cropped to ``size`` (height, width).

    >>> import torch
    >>> Upsample((1, 3))(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0]]]]
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, h: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """The upsampled feature maps."""
        large = F.interpolate(h, scale_factor=2.0, mode="nearest")
        return large[..., : self.size[0], : self.size[1]]


class UpsampledConv2d(nn.Conv2d):
    r"""Nearest-neighbor upsampling by 2 and a convolution, computed without the upsampled image.

    The output pixel (2i + p, 2j + q) depends on each input pixel through the sum of all kernel weights that cover its
    copies, so the four phases (p, q) are four output maps of one convolution of the small image. Equal up to rounding;
    for one output map and 16 input maps three times as fast as the two layers, for many output maps slower
    (docs/log.md).

    Args:
        inputs: number of input maps.
        outputs: number of output maps.
        kernel: side of the square kernel on the upsampled image, odd.

    >>> import torch
    >>> layer, h = UpsampledConv2d(2, 1, 3), torch.rand(1, 2, 4, 5)
    >>> layer(h).allclose(F.conv2d(Upsample((8, 10))(h), layer.weight, layer.bias, padding=1), atol=1e-6)
    True
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        reach = (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, 1, reach)
        self.reach = (reach + 1) // 2
        # along one axis, for both phases: 1 where weight t of the kernel covers a copy of the small pixel
        covers = torch.zeros(2, kernel, 2 * self.reach + 1)
        for phase in range(2):
            for t in range(kernel):
                covers[phase, t, (phase + t - reach) // 2 + self.reach] = 1
        self.register_buffer("covers", covers, persistent=False)

    def forward(self, h: Float[Tensor, "B C h w"]) -> Float[Tensor, "B c H W"]:
        """The feature maps of the upsampled image."""
        with torch.autocast(h.device.type, enabled=False):
            small: Tensor = torch.einsum("oikl,pka,qlb->opqiab", self.weight, self.covers, self.covers)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        phases = F.conv2d(h, small.flatten(0, 2), bias, padding=self.reach)
        n, _, height, width = phases.shape
        interleaved = phases.reshape(n, self.out_channels, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        return interleaved.reshape(n, self.out_channels, 2 * height, 2 * width)


class Residual(nn.Module):
    r"""A pre-activation residual block, :math:`h + W_2 s(W_1 s(h))`, initialized as the identity (:math:`W_2 = 0`).

    Args:
        width: number of input and output maps.
        before: makes the layers before each convolution: normalization and activation.

    References:
        Identity mappings in deep residual networks (He et al., 2016)

    >>> import torch
    >>> Residual(2, lambda width: [nn.ReLU()])(torch.ones(1, 2, 3, 3)).equal(torch.ones(1, 2, 3, 3))
    True
    """

    def __init__(self, width: int, before: Layers) -> None:
        super().__init__()
        first, last = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
        self.inner = nn.Sequential(*before(width), first, *before(width), last)
        self.silence()

    def silence(self) -> None:
        """Set the last convolution to 0, so that the block is the identity and networks of any depth train."""
        for parameter in self.inner[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The feature maps plus the residual."""
        out: Tensor = h + self.inner(h)
        return out


def conv(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (16, 8, 8),
    kernel_size: int = 3,
    downsampling: str = "stride",
    upsampling: str = "transposed",
    activation: str = "relu",
    norm: str = "none",
    init: str = "glorot",
    residual_blocks: int = 0,
) -> Pair:
    r"""A convolutional encoder and decoder with one stage per entry of ``channels``.

    Args:
        shape: (channels, height, width) of one image.
        size: size of a vector code, or ``None`` for a feature map (channels[-1], h, w).
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        channels: number of feature maps of each stage, from the image to the code.
        kernel_size: side of the square kernels, 2 to 15; odd for ``maxpool`` and ``upsample``.
        downsampling: ``stride`` or ``maxpool``.
        upsampling: ``transposed`` (convolution) or ``upsample`` (nearest neighbor, then a convolution).
        activation: activation between stages, one of :data:`isthmus.functional.ACTIVATIONS`.
        norm: normalization before the activation: ``none``, ``batch``, ``layer`` or ``group``.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.
        residual_blocks: number of residual blocks (two 3x3 convolutions each) per stage, in encoder and decoder.

    Raises:
        ShapeError: the data is not images, or the images are too small for the number of stages.
        BadOption: an option out of range.

    >>> from isthmus.parts import latents, likelihoods
    >>> conv((1, 28, 28), None, latents.Deterministic(), likelihoods.Bernoulli()).code
    (8, 4, 4)
    """
    _check(shape, channels, kernel_size, downsampling, upsampling)
    check_range("net.residual_blocks", residual_blocks, 0, 100)
    sizes = _sizes(shape, kernel_size, len(channels), downsampling)
    inner = (channels[-1], *sizes[-1])
    flat = math.prod(inner)

    def before(width: int) -> list[nn.Module]:
        return [*normalization(norm, width, maps=True), Activation(activation)]

    def residuals(width: int) -> list[nn.Module]:
        return [Residual(width, before) for _ in range(residual_blocks)]

    def between(width: int) -> list[nn.Module]:
        return [*residuals(width), *before(width)]

    last = channels[-1] if size is not None else latent.width(channels[-1])
    encoder = [*_down([shape[0], *channels[:-1], last], sizes, kernel_size, downsampling, between), *residuals(last)]
    decoder = _up(list(reversed(channels)), likelihood.width(shape[0]), sizes, kernel_size, upsampling, between)
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
        for block in (m for m in net.modules() if isinstance(m, Residual)):
            block.silence()
    return pair


def _check(shape: Shape, channels: Sequence[int], kernel: int, down: str, up: str) -> None:
    if len(shape) != 3:
        raise ShapeError(
            f"A convolutional net requires images (channels, height, width), but one example has shape {shape}. "
            "Use net.kind=mlp, or reshape the rows to images with data.shape=28,28."
        )
    if not channels:
        raise BadOption("net.channels is empty, but at least one stage is required. Set net.channels=16,8,8.")
    for width in channels:
        check_range("net.channels", width, 1, 1 << 16)
    check_range("net.kernel_size", kernel, 2, 15)
    check_choice("net.downsampling", down, ("stride", "maxpool"))
    check_choice("net.upsampling", up, ("transposed", "upsample"))
    if kernel % 2 == 0 and (down == "maxpool" or up == "upsample"):
        raise BadOption(
            f"net.kernel_size={kernel} is even, but maxpool and upsample require an odd kernel size. Set "
            f"net.kernel_size={kernel + 1}, or net.downsampling=stride and net.upsampling=transposed."
        )


def _sizes(shape: Shape, kernel: int, stages: int, down: str) -> list[tuple[int, int]]:
    """Height and width at each stage, from the image to the code."""
    pad = (kernel - 1) // 2
    sizes = [(shape[1], shape[2])]
    for _ in range(stages):
        n = sizes[-1]
        halved = [-(-v // 2) if down == "maxpool" else (v + 2 * pad - kernel) // 2 + 1 for v in n]
        # a transposed convolution can restore this size, or one pixel more (output padding)
        restored = [(h - 1) * 2 - 2 * pad + kernel for h in halved]
        if min(halved) < 1 or any(not 0 <= v - r <= 1 for v, r in zip(n, restored, strict=True)):
            raise ShapeError(
                f"Images of {shape[1]}x{shape[2]} cannot be halved {stages} times with kernel size {kernel}. "
                "Use fewer net.channels, or an odd net.kernel_size."
            )
        sizes.append((halved[0], halved[1]))
    return sizes


def _down(
    channels: Sequence[int], sizes: Sequence[tuple[int, int]], kernel: int, down: str, between: Layers
) -> list[nn.Module]:
    """Stages of the encoder; the last one ends without normalization and activation."""
    stride = 2 if down == "stride" else 1
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(channels)):
        layers.append(nn.Conv2d(a, b, *_along(sizes[i], kernel, stride)))
        following = between(b) if i < len(channels) - 2 else []
        layers += following if down == "stride" else _pooled(following)
    return layers


def _pooled(following: list[nn.Module]) -> list[nn.Module]:
    """The layers and max-pooling, which precedes a monotonic activation at the end (equivalent and faster)."""
    last = following[-1] if following else None
    monotonic = isinstance(last, Activation) and last.name not in NON_MONOTONIC
    position = len(following) - (1 if monotonic else 0)
    return [*following[:position], nn.MaxPool2d(2, ceil_mode=True), *following[position:]]


def _doubles(small: Side, large: Side, kernel: int) -> bool:
    """Whether maps are doubled without cropping, and large enough that no kernel weight sees padding only."""
    return all(b == 2 * a and a > (kernel + 1) // 4 for a, b in zip(small, large, strict=True))


def _along(size: tuple[int, int], kernel: int, stride: int) -> tuple[Side, Side, Side]:
    """Kernel size, stride and padding for maps of ``size``; an axis of one pixel needs a kernel of one weight only.

    The other weights would see padding only, and oneDNN leaves their gradient unset in bfloat16.
    """
    down, across = ((1, 1, 0) if n == 1 else (kernel, stride, (kernel - 1) // 2) for n in size)
    return (down[0], across[0]), (down[1], across[1]), (down[2], across[2])


def _up(
    channels: Sequence[int], out: int, sizes: Sequence[tuple[int, int]], kernel: int, up: str, between: Layers
) -> list[nn.Module]:
    """Stages of the decoder, from the code to the image; the last layer has no activation."""
    pad = (kernel - 1) // 2
    layers: list[nn.Module] = []
    targets = sizes[-2::-1]
    if up == "upsample":
        for a, b, target in zip([channels[0], *channels], channels, targets, strict=False):
            layers += [nn.Conv2d(a, b, kernel, 1, pad), *between(b), Upsample(target)]
        if 4 * out <= channels[-1] and _doubles(sizes[1], targets[-1], kernel):
            return [*layers[:-1], UpsampledConv2d(channels[-1], out, kernel)]
        return [*layers, nn.Conv2d(channels[-1], out, kernel, 1, pad)]
    for i, (a, b) in enumerate(zip(channels, [*channels[1:], out], strict=True)):
        start, target = sizes[len(channels) - i], targets[i]
        k, stride, p = _along(target, kernel, 2)
        extra = [t - ((s - 1) * n - 2 * q + m) for s, t, m, n, q in zip(start, target, k, stride, p, strict=True)]
        layers.append(nn.ConvTranspose2d(a, b, k, stride, p, (extra[0], extra[1])))
        if i < len(channels) - 1:
            layers += between(b)
    return layers
