r"""The networks of three papers on generated images: DCGAN, VAE/GAN and Wasserstein autoencoder, for any image size.

They are built from strided convolutions with batch normalization, like :func:`isthmus.parts.nets.conv.conv` with
``norm=batch``, and differ in what only the papers fix: activations, where normalization begins, dense layers around the
code, and how the last layer makes an image. Sequences get convolutions along time. Images that are too small for all
stages have fewer of them.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import nn

from isthmus.errors import BadOption, check_range
from isthmus.parts.nets.conv import Size, along, check_axes
from isthmus.parts.nets.layers import (
    CONVOLUTIONS,
    TRANSPOSED,
    Activation,
    Pair,
    check_channels,
    initialize,
    normalization,
)
from isthmus.parts.nets.stages import halved
from isthmus.parts.protocols import Head, Shape, Supplied

Between = Callable[[int], list[nn.Module]]
"""The layers that follow one of so many maps: normalization and activation."""


def dcgan(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (64, 128, 256, 512),
    kernel_size: int = 4,
    norm: str = "batch",
    init: str = "normal",
) -> Pair:
    r"""The DCGAN pair: its generator as decoder, the convolutions of its discriminator as encoder.

    The generator maps the code by a dense layer to the smallest maps, then doubles them by transposed convolutions with
    batch normalization and ReLU; the encoder has leaky ReLU and no normalization after its first layer. Weights start
    from :math:`\mathcal N(0, 0.02^2)`. The paper's 64x64 images have ``channels=128,256,512,1024``.

    Args:
        shape: (channels, height, width) of one image, or (channels, length) of one sequence.
        size: size of the code, which is a vector.
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        channels: number of feature maps of each stage, from the data to the code.
        kernel_size: size of the kernels, 2 to 15; 4 avoids a checkerboard pattern (the paper: 5).
        norm: normalization: ``none``, ``batch``, ``layer`` or ``group``.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.

    References:
        Unsupervised representation learning with deep convolutional generative adversarial networks (Radford et al.,
            2016)

    Raises:
        ShapeError: neither images nor sequences.
        BadOption: an option out of range, or a code without a size.

    >>> from isthmus.parts import latents, likelihoods
    >>> dcgan((3, 32, 32), 100, latents.Deterministic(), likelihoods.Gaussian(), channels=(8, 16)).code
    (100,)
    """
    sizes, channels = _checked(shape, size, channels, kernel_size)
    axes = len(sizes[0])
    encoder = _down(shape, sizes, channels, kernel_size, _between(norm, "leaky_relu", axes), first=False)
    decoder = _up(sizes, [*reversed(channels), likelihood.width(shape[0])], kernel_size, _between(norm, "relu", axes))
    return _joined(encoder, decoder, (channels[-1], *sizes[-1]), size, latent, norm=norm, init=init)


def vae_gan(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (64, 128, 256),
    kernel_size: int = 5,
    hidden: int = 1024,
    norm: str = "batch",
    init: str = "glorot",
) -> Pair:
    r"""The networks of VAE/GAN: a dense layer before the code, and a convolution of stride 1 that makes the image.

    Args:
        shape: (channels, height, width) of one image, or (channels, length) of one sequence.
        size: size of the code, which is a vector.
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        channels: number of feature maps of each stage, from the data to the code; the last stage of the decoder has
            half as many as the first one of the encoder.
        kernel_size: size of the kernels, odd, 3 to 15.
        hidden: width of the dense layer of the encoder.
        norm: normalization: ``none``, ``batch``, ``layer`` or ``group``.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.

    References:
        Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2016), table 1

    Raises:
        ShapeError: neither images nor sequences.
        BadOption: an option out of range, or a code without a size.

    >>> from isthmus.parts import latents, likelihoods
    >>> vae_gan((3, 64, 64), 128, latents.Gaussian(), likelihoods.Gaussian(), channels=(8, 16), hidden=32).code
    (128,)
    """
    check_range("net.hidden", hidden, 1, 1 << 16)
    sizes, channels = _checked(shape, size, channels, kernel_size, odd=True)
    axes = len(sizes[0])
    between = _between(norm, "relu", axes)
    encoder = _down(shape, sizes, channels, kernel_size, between)
    inside = [*channels[::-1][:-1], max(1, channels[0] // 2)]
    last = CONVOLUTIONS[axes](inside[-1], likelihood.width(shape[0]), kernel_size, 1, (kernel_size - 1) // 2)
    decoder = [*_up(sizes, [channels[-1], *inside], kernel_size, between), *between(inside[-1]), last]
    return _joined(encoder, decoder, (channels[-1], *sizes[-1]), size, latent, norm=norm, init=init, hidden=hidden)


def wae(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (128, 256, 512, 1024),
    kernel_size: int = 5,
    norm: str = "batch",
    init: str = "glorot",
) -> Pair:
    r"""The networks of the Wasserstein autoencoder: one stage fewer up than down, and a last layer of stride 1.

    Args:
        shape: (channels, height, width) of one image, or (channels, length) of one sequence.
        size: size of the code, which is a vector.
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        channels: number of feature maps of each stage, from the data to the code.
        kernel_size: size of the kernels, odd, 3 to 15.
        norm: normalization: ``none``, ``batch``, ``layer`` or ``group``.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.

    References:
        Wasserstein auto-encoders (Tolstikhin et al., 2018), appendix C

    Raises:
        ShapeError: neither images nor sequences.
        BadOption: an option out of range, or a code without a size.

    >>> from isthmus.parts import latents, likelihoods
    >>> wae((3, 64, 64), 64, latents.Deterministic(), likelihoods.Gaussian(), channels=(8, 16, 32)).code
    (64,)
    """
    sizes, channels = _checked(shape, size, channels, kernel_size, odd=True)
    axes = len(sizes[0])
    between = _between(norm, "relu", axes)
    encoder = _down(shape, sizes, channels, kernel_size, between)
    inside = list(channels[::-1][1:])
    widest = channels[-1] if not inside else inside[-1]
    last = TRANSPOSED[axes](widest, likelihood.width(shape[0]), kernel_size, 1, (kernel_size - 1) // 2)
    ups = _up(sizes[:-1], [channels[-1], *inside], kernel_size, between)
    decoder = [*ups, *(between(widest) if inside else []), last]
    return _joined(encoder, decoder, (channels[-1], *sizes[-1]), size, latent, norm=norm, init=init, start=sizes[-2])


def _checked(
    shape: Shape, size: int | None, channels: Sequence[int], kernel: int, *, odd: bool = False
) -> tuple[list[Size], Sequence[int]]:
    """The sizes of the maps from the data on, and the channels of the stages: fewer of both for small maps."""
    check_axes(shape)
    if size is None:
        raise BadOption("This net requires a vector code, but latent.size is not set. Set latent.size=64.")
    check_range("latent.size", size, 1, 1 << 20)
    check_channels(channels, "64,128,256")
    check_range("net.kernel_size", kernel, 3 if odd else 2, 15)
    if odd and kernel % 2 == 0:
        raise BadOption(f"net.kernel_size={kernel} is even, but this net requires an odd one. Set {kernel + 1}.")
    sizes: list[Size] = [shape[1:]]
    for _ in channels:
        if len(sizes) > 1 and max(sizes[-1]) == 1:
            break
        sizes.append(halved(sizes[-1], kernel))
    return sizes, channels[: len(sizes) - 1]


def _between(norm: str, activation: str, axes: int) -> Between:
    return lambda width: [*normalization(norm, width, axes=axes), Activation(activation)]


def _down(
    shape: Shape, sizes: Sequence[Size], channels: Sequence[int], kernel: int, between: Between, *, first: bool = True
) -> list[nn.Module]:
    """Strided convolutions; without ``first`` the first one is followed by its activation only."""
    layers: list[nn.Module] = []
    for stage, (a, b) in enumerate(pairwise([shape[0], *channels])):
        following = between(b) if stage or first else between(b)[-1:]
        layers += [CONVOLUTIONS[len(sizes[0])](a, b, *along(sizes[stage], kernel, 2)), *following]
    return layers


def _up(sizes: Sequence[Size], widths: Sequence[int], kernel: int, between: Between) -> list[nn.Module]:
    """Transposed convolutions from the smallest maps to the largest; the last one ends without activation."""
    layers: list[nn.Module] = []
    for stage, ((a, b), (start, target)) in enumerate(zip(pairwise(widths), pairwise(sizes[::-1]), strict=True)):
        k, stride, pad = along(target, kernel, 2)
        extra = [t - ((s - 1) * n - 2 * q + m) for s, t, m, n, q in zip(start, target, k, stride, pad, strict=True)]
        layers += [] if not stage else between(a)
        layers.append(TRANSPOSED[len(target)](a, b, k, stride, pad, tuple(extra)))
    return layers


def _joined(
    encoder: list[nn.Module],
    decoder: list[nn.Module],
    inner: Shape,
    size: int | None,
    latent: Head,
    *,
    norm: str,
    init: str,
    hidden: int = 0,
    start: Size | None = None,
) -> Pair:
    """Encoder and decoder with dense layers to and from the code; maps of the decoder begin with the size ``start``."""
    assert size is not None
    flat, begin = math.prod(inner), (inner[0], *(start or inner[1:]))
    dense: list[nn.Module] = [nn.Flatten()]
    if hidden:
        dense += [nn.Linear(flat, hidden), *normalization(norm, hidden, axes=0), Activation("relu")]
    dense.append(nn.Linear(hidden or flat, latent.width(size)))
    axes = len(inner) - 1
    opening = [nn.Linear(size, math.prod(begin)), nn.Unflatten(1, begin)]
    opened = [*opening, *normalization(norm, inner[0], axes=axes), Activation("relu")]
    pair = Pair(nn.Sequential(*encoder, *dense), nn.Sequential(*opened, *decoder), (size,))
    for net in (pair.encoder, pair.decoder):
        _unbiased(net)
        initialize(net, init)
    return pair


def _unbiased(net: nn.Module) -> None:
    """Remove the biases before batch normalizations, which subtract them: Adam would move them by rounding errors."""
    for layer, following in pairwise(net.children()):
        if isinstance(following, nn.BatchNorm1d | nn.BatchNorm2d) and hasattr(layer, "bias"):
            layer.register_parameter("bias", None)
