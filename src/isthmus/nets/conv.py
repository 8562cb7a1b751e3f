r"""Convolutional encoder and decoder for images of any height, width and number of channels.

Each level halves the image (rounding up): by a stride of 2, or by a convolution and a 2x2 max-pooling. The decoder
goes the same sizes back: by transposed convolutions, or by repeating pixels and a convolution (which leaves no
checkerboard: Odena et al., 2016). Residual blocks may deepen every level (He et al., 2016). Without ``size`` the code
is the innermost map; with it, a vector behind a dense layer.

Two layers stand where they cost least and change no function: an activation that rises everywhere acts behind the
pooling, on a quarter of the values; and where the image is written, pixels are repeated inside the convolution.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, ShapeError, check_choice, check_range
from isthmus.nets.layers import Activation, Pair, initialise, normalisation
from isthmus.trace import Head, Shape

Side = tuple[int, int]
Behind = Callable[[int], list[nn.Module]]
"""What follows a level of so many maps: residual blocks, normalisation and activation."""
FALLING = frozenset({"gelu", "silu"})
"""Activations that fall somewhere, so that the largest value need not stay the largest."""


class Upsample(nn.Module):
    """Doubles an image by repeating each pixel, then cuts it to ``size`` (height, width).

    >>> import torch
    >>> Upsample((1, 3))(torch.tensor([[[[1.0, 2.0]]]])).tolist()
    [[[[1.0, 1.0, 2.0]]]]
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, h: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C H W"]:
        """The enlarged image."""
        large = F.interpolate(h, scale_factor=2.0, mode="nearest")
        return large[..., : self.size[0], : self.size[1]]


class UpsampledConv2d(nn.Conv2d):
    r"""A convolution of the image with each pixel repeated, twice as high and wide, without making that image.

    The pixel (2i + p, 2j + q) of the result sees each small pixel through the sum of all kernel weights that fall on
    it; so the four phases (p, q) are four maps of one convolution of the small image. Equal up to rounding; for one map
    out of 16 three times as fast as the two layers, for many maps slower (docs/log.md).

    Args:
        inputs: maps in.
        outputs: maps out.
        kernel: side of the square kernel over the large image, odd.

    >>> import torch
    >>> layer, h = UpsampledConv2d(2, 1, 3), torch.rand(1, 2, 4, 5)
    >>> layer(h).allclose(F.conv2d(Upsample((8, 10))(h), layer.weight, layer.bias, padding=1), atol=1e-6)
    True
    """

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        reach = (kernel - 1) // 2
        super().__init__(inputs, outputs, kernel, 1, reach)
        self.reach = (reach + 1) // 2
        # along one axis: which weight of the kernel falls on which small pixel, in both phases
        falls = torch.zeros(2, kernel, 2 * self.reach + 1)
        for phase in range(2):
            for t in range(kernel):
                falls[phase, t, (phase + t - reach) // 2 + self.reach] = 1
        self.register_buffer("falls", falls, persistent=False)

    def forward(self, h: Float[Tensor, "B C h w"]) -> Float[Tensor, "B c H W"]:
        """The maps of the large image."""
        with torch.autocast(h.device.type, enabled=False):
            small: Tensor = torch.einsum("oikl,pka,qlb->opqiab", self.weight, self.falls, self.falls)
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        phases = F.conv2d(h, small.flatten(0, 2), bias, padding=self.reach)
        n, _, height, width = phases.shape
        spread = phases.reshape(n, self.out_channels, 2, 2, height, width).permute(0, 1, 4, 2, 5, 3)
        return spread.reshape(n, self.out_channels, 2 * height, 2 * width)


class Residual(nn.Module):
    r"""A residual block, :math:`h + W_2 s(W_1 s(h))`, that starts as the identity: :math:`W_2` is 0 at first.

    Args:
        width: maps in and out.
        before: gives what stands before each convolution: normalisation and activation.

    References:
        Identity mappings in deep residual networks (He et al., 2016)

    >>> import torch
    >>> Residual(2, lambda width: [nn.ReLU()])(torch.ones(1, 2, 3, 3)).equal(torch.ones(1, 2, 3, 3))
    True
    """

    def __init__(self, width: int, before: Behind) -> None:
        super().__init__()
        first, last = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))
        self.inner = nn.Sequential(*before(width), first, *before(width), last)
        self.silence()

    def silence(self) -> None:
        """Set what is added to 0, so that signal and gradient pass unchanged in a net of any depth."""
        for parameter in self.inner[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        """The maps and what the block adds to them."""
        out: Tensor = h + self.inner(h)
        return out


def conv(
    shape: Shape,
    size: int | None,
    latent: Head,
    likelihood: Head,
    *,
    channels: Sequence[int] = (16, 8, 8),
    kernel: int = 3,
    down: str = "stride",
    up: str = "transposed",
    activation: str = "relu",
    norm: str = "none",
    weights: str = "glorot",
    blocks: int = 0,
) -> Pair:
    r"""A convolutional pair with one level for each entry of ``channels``.

    Args:
        shape: (channels, height, width) of one image.
        size: width of a vector code, or ``None`` for a code map (channels[-1], h, w).
        latent: the head behind the encoder.
        likelihood: the head behind the decoder.
        channels: maps of each level, from the image inwards.
        kernel: side of the square kernels, 2 to 15; odd for ``maxpool`` and ``upsample``.
        down: ``stride`` or ``maxpool``.
        up: ``transposed`` or ``upsample``.
        activation: between levels, by name.
        norm: ``none``, ``batch``, ``layer`` or ``group``, before the activation.
        weights: initial weights by name.
        blocks: residual blocks of two 3x3 convolutions at each level, of the encoder and of the decoder.

    Raises:
        ShapeError: the data is not images, or too small for so many levels.
        BadOption: an option out of range.

    >>> from isthmus import latents, likelihoods
    >>> conv((1, 28, 28), None, latents.Deterministic(), likelihoods.Bernoulli()).code
    (8, 4, 4)
    """
    _check(shape, channels, kernel, down, up)
    check_range("net.blocks", blocks, 0, 100)
    sizes = _sizes(shape, kernel, len(channels), down)
    inner = (channels[-1], *sizes[-1])
    flat = math.prod(inner)

    def before(width: int) -> list[nn.Module]:
        return [*normalisation(norm, width, maps=True), Activation(activation)]

    def residuals(width: int) -> list[nn.Module]:
        return [Residual(width, before) for _ in range(blocks)]

    def behind(width: int) -> list[nn.Module]:
        return [*residuals(width), *before(width)]

    last = channels[-1] if size is not None else latent.width(channels[-1])
    encoder = [*_down([shape[0], *channels[:-1], last], sizes, kernel, down, behind), *residuals(last)]
    decoder = _up(list(reversed(channels)), likelihood.width(shape[0]), sizes, kernel, up, behind)
    if up == "transposed" and blocks:
        # its first layer already leaves the code's size, where an upsampling one convolves before
        decoder = [*behind(channels[-1]), *decoder]
    if size is not None:
        check_range("latent.size", size, 1, 1 << 20)
        encoder += [*before(last), nn.Flatten(), nn.Linear(flat, latent.width(size))]
        decoder = [nn.Linear(size, flat), nn.Unflatten(1, inner), *before(last), *decoder]
    pair = Pair(nn.Sequential(*encoder), nn.Sequential(*decoder), inner if size is None else (size,))
    for net in (pair.encoder, pair.decoder):
        initialise(net, weights)
        for block in (m for m in net.modules() if isinstance(m, Residual)):
            block.silence()
    return pair


def _check(shape: Shape, channels: Sequence[int], kernel: int, down: str, up: str) -> None:
    if len(shape) != 3:
        raise ShapeError(
            f"A convolutional net needs images (channels, height, width), but one example has shape {shape}. "
            "Use --set net.kind=mlp, or give rows their shape with --set data.shape=28,28."
        )
    if not channels:
        raise BadOption("net.channels is empty, but a convolutional net needs at least one level. Give 16,8,8.")
    for width in channels:
        check_range("net.channels", width, 1, 1 << 16)
    check_range("net.kernel", kernel, 2, 15)
    check_choice("net.down", down, ("stride", "maxpool"))
    check_choice("net.up", up, ("transposed", "upsample"))
    if kernel % 2 == 0 and (down == "maxpool" or up == "upsample"):
        raise BadOption(
            f"net.kernel={kernel} is even, but maxpool and upsample keep the image's size only with an odd kernel. "
            f"Use {kernel + 1}, or down=stride and up=transposed."
        )


def _sizes(shape: Shape, kernel: int, levels: int, down: str) -> list[tuple[int, int]]:
    """Height and width at each level, from the image inwards."""
    pad = (kernel - 1) // 2
    sizes = [(shape[1], shape[2])]
    for _ in range(levels):
        n = sizes[-1]
        halved = [-(-v // 2) if down == "maxpool" else (v + 2 * pad - kernel) // 2 + 1 for v in n]
        # what the transposed convolution can reach from there: one of two neighbouring sizes
        reach = [(h - 1) * 2 - 2 * pad + kernel for h in halved]
        if min(halved) < 1 or any(not 0 <= v - r <= 1 for v, r in zip(n, reach, strict=True)):
            raise ShapeError(
                f"Images of {shape[1]}x{shape[2]} cannot be halved {levels} times with kernel {kernel}. "
                "Use fewer net.channels, or an odd net.kernel."
            )
        sizes.append((halved[0], halved[1]))
    return sizes


def _down(
    channels: Sequence[int], sizes: Sequence[tuple[int, int]], kernel: int, down: str, behind: Behind
) -> list[nn.Module]:
    """Levels of the encoder; the last one's features are raw."""
    stride = 2 if down == "stride" else 1
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(channels)):
        layers.append(nn.Conv2d(a, b, *_along(sizes[i], kernel, stride)))
        following = behind(b) if i < len(channels) - 2 else []
        layers += following if down == "stride" else _pooled(following)
    return layers


def _pooled(following: list[nn.Module]) -> list[nn.Module]:
    """The same layers with a pooling: before the last where that is an activation that rises everywhere."""
    last = following[-1] if following else None
    late = 1 if isinstance(last, Activation) and last.name not in FALLING else 0
    place = len(following) - late
    return [*following[:place], nn.MaxPool2d(2, ceil_mode=True), *following[place:]]


def _doubles(small: Side, large: Side, kernel: int) -> bool:
    """Whether maps are doubled and not cut, and large enough for every weight to see more than padding."""
    return all(b == 2 * a and a > (kernel + 1) // 4 for a, b in zip(small, large, strict=True))


def _along(size: tuple[int, int], kernel: int, stride: int) -> tuple[Side, Side, Side]:
    """Kernel, stride and padding for maps of ``size``: along an axis of one pixel a kernel of one does the same.

    It also spares what would only ever see padding: of those weights oneDNN leaves the gradient unset in bfloat16.
    """
    down, across = ((1, 1, 0) if n == 1 else (kernel, stride, (kernel - 1) // 2) for n in size)
    return (down[0], across[0]), (down[1], across[1]), (down[2], across[2])


def _up(
    channels: Sequence[int], out: int, sizes: Sequence[tuple[int, int]], kernel: int, up: str, behind: Behind
) -> list[nn.Module]:
    """Levels of the decoder, from the code outwards; the last layer's features are raw."""
    pad = (kernel - 1) // 2
    layers: list[nn.Module] = []
    targets = sizes[-2::-1]
    if up == "upsample":
        for a, b, target in zip([channels[0], *channels], channels, targets, strict=False):
            layers += [nn.Conv2d(a, b, kernel, 1, pad), *behind(b), Upsample(target)]
        if 4 * out <= channels[-1] and _doubles(sizes[1], targets[-1], kernel):
            return [*layers[:-1], UpsampledConv2d(channels[-1], out, kernel)]
        return [*layers, nn.Conv2d(channels[-1], out, kernel, 1, pad)]
    for i, (a, b) in enumerate(zip(channels, [*channels[1:], out], strict=True)):
        start, target = sizes[len(channels) - i], targets[i]
        k, stride, p = _along(target, kernel, 2)
        extra = [t - ((s - 1) * n - 2 * q + m) for s, t, m, n, q in zip(start, target, k, stride, p, strict=True)]
        layers.append(nn.ConvTranspose2d(a, b, k, stride, p, (extra[0], extra[1])))
        if i < len(channels) - 1:
            layers += behind(b)
    return layers
