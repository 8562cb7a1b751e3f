r"""Deep spatial autoencoder: the code is the positions of feature points in the image, two numbers for each point.

The encoder's last feature maps become attention maps by a softmax over positions; the expected position of each is a
point. The decoder draws a small image from the points, whose pixels are repeated to the size of the data. For a
Gaussian likelihood of one scale this is the same, up to a constant, as comparing it with the average of each block of
pixels: :math:`\sum_i (x_i - m)^2 = n (\bar x - m)^2 + \text{const}`. With ``gray`` all channels share one value, which
in the same way compares with their mean. Windows of frames are encoded and decoded frame by frame.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from isthmus.errors import BadOption, IncompatibleParts, ShapeError, check_range
from isthmus.functional import expected_points, spatial_softmax
from isthmus.parts.nets.conv import Size, along
from isthmus.parts.nets.layers import CONVOLUTIONS, Activation, Pair, check_channels, initialize
from isthmus.parts.nets.stages import halved
from isthmus.parts.protocols import Head, Shape, Supplied

FIRST, LATER = 7, 5
"""Sizes of the kernels: of the first convolution, which has a stride of 2, and of all others."""
SPREAD, EXAMPLES = 3.0, 64
"""Standard deviation of the softmax's logits at the start, over the positions of a map; examples it is set from."""
TEMPERATURE = 0.1
"""Temperature of the softmax until it is set from data."""
LOG_SCALE = -3.0
"""First value of further features of the latent, such as log standard deviations."""


class SpatialEncoder(nn.Module):
    """Convolutions and a spatial softmax with a learned temperature.

    Args:
        channels: channels of the image, and feature maps of all convolutions; the last ones become points.
        size: height and width of the image.
        features: features of the latent for all points; those beyond two for each point are linear in the points.
        activation: activation between the convolutions.
        subtract_mean: subtract the mean of the training images first (:meth:`init_from_data`).
    """

    mean: Tensor | None

    def __init__(
        self, channels: Sequence[int], size: Size, features: int, activation: str, *, subtract_mean: bool
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels[0], *size) if subtract_mean else None)
        self.points = channels[-1]
        layers: list[nn.Module] = []
        for stage, (a, b) in enumerate(pairwise(channels)):
            first, last = stage == 0, stage == len(channels) - 2
            layers += [] if first else [Activation(activation)]
            kernel, stride, pad = along(size, FIRST if first else LATER, 2 if first else 1)
            # a softmax does not depend on a constant
            layers.append(CONVOLUTIONS[2](a, b, kernel, stride, pad, bias=not last))
            size = halved(size, FIRST) if first else size
        self.convolutions = nn.Sequential(*layers)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(TEMPERATURE)))
        others = features - 2 * self.points
        self.others = nn.Linear(2 * self.points, others) if others else None

    def maps(self, x: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B K h w"]:
        """The feature maps of images."""
        x = x if self.mean is None else x - self.mean
        maps: Tensor = self.convolutions(x.flatten(0, -4))
        return maps.reshape(*x.shape[:-3], *maps.shape[1:])

    def attention(self, x: Float[Tensor, "*B C H W"]) -> Float[Tensor, "*B K h w"]:
        """The attention of each feature in images, which sums to 1."""
        # differences of logits matter, not their relative precision
        maps = self.maps(x).to(self.log_temperature.dtype)
        with torch.autocast(x.device.type, enabled=False):
            return spatial_softmax(maps, self.temperature)

    @property
    def temperature(self) -> Tensor:
        """The temperature of the softmax."""
        return self.log_temperature.exp()

    def forward(self, x: Float[Tensor, "B *F C H W"]) -> Float[Tensor, "B features *F"]:
        """The features of the latent: first the coordinates of all points."""
        attention = self.attention(x)
        with torch.autocast(x.device.type, enabled=False):
            # a position in bfloat16 would be off by a tenth of a cell
            h = expected_points(attention).flatten(-2)
        if self.others is not None:
            h = torch.cat([h, self.others(h)], -1)
        return h if x.ndim == 4 else h.movedim(-1, 1)

    @torch.no_grad()
    def init_from_data(self, x: Float[Tensor, "N *F C H W"]) -> None:
        """Set the mean image, and the temperature so that attention is neither equal everywhere nor on one position."""
        if self.mean is not None:
            self.mean.copy_(x.flatten(0, -4).mean(0))
        spread = self.maps(x[:EXAMPLES].to(self.log_temperature)).flatten(-2).std(-1).mean()
        if spread > 0:
            self.log_temperature.copy_((spread / SPREAD).log())


class SpatialDecoder(nn.Module):
    """Dense layers from points to a small image, whose pixels are repeated.

    Args:
        widths: numbers of values of a code, and of hidden units.
        maps: features of the likelihood per value of an example.
        image: (channels, height, width) of an image.
        resolution: longest side of the small image.
        activation: activation between the layers.
        gray: whether all channels share one value.
    """

    def __init__(
        self, widths: Sequence[int], maps: int, image: Shape, resolution: int, activation: str, *, gray: bool
    ) -> None:
        super().__init__()
        self.image, self.maps, self.gray = image, maps, gray
        self.block = math.ceil(max(image[1:]) / resolution)
        self.small = tuple(math.ceil(side / self.block) for side in image[1:])
        values = maps * (1 if gray else image[0]) * math.prod(self.small)
        layers: list[nn.Module] = []
        for a, b in pairwise([*widths, values]):
            layers += [nn.Linear(a, b), Activation(activation)]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, z: Float[Tensor, "B code *F"]) -> Float[Tensor, "B features *D"]:
        """The features of the likelihood."""
        h: Tensor = self.layers(z if z.ndim == 2 else z.movedim(1, -1))
        channels, height, width = self.image
        h = h.reshape(*h.shape[:-1], self.maps, -1, *self.small)
        h = h.repeat_interleave(self.block, -2).repeat_interleave(self.block, -1)[..., :height, :width]
        h = h.expand(*h.shape[:-3], channels, height, width) if self.gray else h
        # the features of one kind come together: of all channels of an image, or of all frames
        return h.flatten(1, 2) if z.ndim == 2 else h.transpose(1, 2).flatten(1, 2)


def spatial(
    shape: Supplied[Shape],
    size: Supplied[int | None],
    latent: Supplied[Head],
    likelihood: Supplied[Head],
    *,
    channels: Sequence[int] = (32, 24),
    hidden: Sequence[int] = (256,),
    resolution: int = 20,
    gray: bool = False,
    subtract_mean: bool = True,
    activation: str = "relu",
    init: str = "glorot",
) -> Pair:
    r"""A deep spatial autoencoder: ``latent.size`` / 2 feature points, and a decoder that draws from their positions.

    The code has x and y of each point in turn, from -1 (left, top) to 1 (right, bottom). Of windows of frames it has
    one column for each frame.

    Args:
        shape: (channels, height, width) of one image, or (frames, channels, height, width) of a window.
        size: size of the code of one image, which is even.
        latent: the head of the encoder.
        likelihood: the head of the decoder.
        channels: feature maps of the convolutions before the one that gives a map for each point; the paper has 64, 32.
        hidden: widths of the decoder's dense layers; none of them is the paper's linear decoder.
        resolution: longest side of the image that is decoded, in pixels, before its pixels are repeated.
        gray: decode one value for all channels, as in the paper. What differs from the background in color alone is
            then invisible to the loss.
        subtract_mean: subtract the mean of the training images from each, so that the background of a camera that does
            not move draws no attention.
        activation: activation between layers, one of :data:`isthmus.functional.ACTIVATIONS`.
        init: initial weights, one of :data:`isthmus.parts.nets.layers.INITIAL_WEIGHTS`.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016)

    Raises:
        ShapeError: neither images nor windows of frames.
        BadOption: an option out of range, or a code without a size or of an odd one.
        IncompatibleParts: a latent with fewer features than values.

    >>> from isthmus.parts import latents, likelihoods
    >>> spatial((3, 60, 60), 32, latents.Deterministic(), likelihoods.Gaussian()).code
    (32,)
    >>> spatial((5, 3, 60, 60), 32, latents.Deterministic(), likelihoods.Gaussian()).code
    (32, 5)
    """
    if len(shape) not in (3, 4):
        raise ShapeError(
            f"net.kind=spatial requires images (channels, height, width) or windows of frames, but one example has "
            f"shape {shape}. Use net.kind=mlp."
        )
    if size is None:
        raise BadOption("net.kind=spatial requires the size of the code, but latent.size is not set. Set 32.")
    check_range("latent.size", size, 2, 1 << 16)
    if size % 2:
        raise BadOption(f"latent.size={size} is odd, but each point has two coordinates. Set latent.size={size + 1}.")
    check_channels(channels, "32,24")
    for width in hidden:
        check_range("net.hidden", width, 1, 1 << 16)
    check_range("net.resolution", resolution, 1, 1 << 12)
    frames, image = (shape[0] if len(shape) == 4 else 0), shape[-3:]
    if latent.width(size) < size:
        raise IncompatibleParts("net.kind=spatial gives two features for each point, but the latent takes fewer.")
    maps = likelihood.width(shape[0]) // shape[0]
    encoder = SpatialEncoder(
        [image[0], *channels, size // 2], image[1:], latent.width(size), activation, subtract_mean=subtract_mean
    )
    decoder = SpatialDecoder([size, *hidden], maps, image, resolution, activation, gray=gray)
    for net in (encoder, decoder):
        initialize(net, init)
    if encoder.others is not None:
        nn.init.zeros_(encoder.others.weight)
        nn.init.constant_(encoder.others.bias, LOG_SCALE)
    return Pair(encoder, decoder, (size, frames) if frames else (size,))
