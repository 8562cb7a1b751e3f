"""Restoration of images and sequences of any size, in tiles that overlap by the reach of the network.

A network of convolutions sees a bounded neighborhood, so the inside of a tile with a margin of that width is what the
network would give for the whole image.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor

from isthmus.errors import IncompatibleParts
from isthmus.functional import noise_level
from isthmus.models.autoencoder import Autoencoder, inference
from isthmus.parts.hooks import AnySize, Crops
from isthmus.parts.nets.patches import cropped

TILE = 512
"""Side of a tile without its margins, in pixels."""

MIDDLE = 2048
"""Side of the part of an image in which its noise level is estimated, in pixels."""
Progress = Callable[[float], None]
"""Called with the fraction that is done."""


def takes_any_size(model: Autoencoder) -> bool:
    """Whether a model restores examples of other sizes than it was trained on (``net.kind=unet``)."""
    return isinstance(model.encoder, AnySize) and isinstance(model.decoder, Crops)


def restored(
    model: Autoencoder,
    x: Float[Tensor, "B C *S"],
    *,
    flips: bool = False,
    noise: float | None = None,
    tile: int = TILE,
    progress: Progress | None = None,
) -> Float[Tensor, "B C *S"]:
    """Restored images or sequences of any size: the mean of p(x | z) at the mean code.

    Args:
        model: a model whose network takes any size.
        x: images or sequences, in units of the model; NaN where missing.
        flips: average over the mirror image, left to right.
        noise: standard deviation of the noise, in units of the model; by default it is estimated from each example.
            For a network that sees it (``net.noise_input``).
        tile: side of a tile without its margins, in pixels.
        progress: called after every tile.

    Raises:
        IncompatibleParts: the network takes one size only.
    """
    encoder, decoder = model.encoder, model.decoder
    if not isinstance(encoder, AnySize) or not isinstance(decoder, Crops):
        raise IncompatibleParts(
            f"This network takes examples of shape {model.shape} only. Use net.kind=unet, such as the recipe denoiser, "
            "for other sizes."
        )
    size, stride = tuple(x.shape[2:]), encoder.stride
    # the margin, like the tile, consists of whole positions
    tile, margin = (-(-side // stride) * stride for side in (tile, encoder.reach))
    places = list(product(*(list(_spans(side, tile, margin)) for side in size)))
    views = (False, True) if flips else (False,)
    level = _level(x, noise) if encoder.noise_input else None
    out = torch.zeros_like(x)
    # the output is of any size, and the noise level that of the whole
    with inference(model), _during(decoder, "size", None), _during(encoder, "noise_level", level):
        for number, (mirrored, place) in enumerate(product(views, places), start=1):
            seen, inside, target = zip(*place, strict=True)
            if mirrored:
                # the mirror image is an image of its own, whose tiles begin at the other end of this one
                seen, target = ((*spans[:-1], _from_the_end(spans[-1], size[-1])) for spans in (seen, target))
            part = x[(..., *seen)].to(model.like.device, model.like.dtype)
            made = _mean(model, part.flip(-1) if mirrored else part)[(..., *inside)].to(out)
            out[(..., *target)] += (made.flip(-1) if mirrored else made) / len(views)
            if progress is not None:
                progress(number / (len(views) * len(places)))
    return out


def part_of(progress: Progress | None, number: int, count: int) -> Progress | None:
    """The progress of one of several parts as that of all."""
    return None if progress is None else lambda fraction: progress((number + fraction) / count)


def _mean(model: Autoencoder, x: Tensor) -> Tensor:
    """The mean of p(x | z) at the mean code; the encoder extends ``x`` to whole positions, and this is cut off."""
    return cropped(model.output(model.posterior(x).mean).mean, tuple(x.shape[2:]))


def _level(x: Tensor, noise: float | None) -> Tensor:
    """The noise level of each example; of large ones it is estimated in their middle."""
    if noise is not None:
        return torch.tensor([noise])
    for axis, side in enumerate(x.shape[2:], start=2):
        part = min(side, MIDDLE)
        x = x.narrow(axis, (side - part) // 2, part)
    return noise_level(x)


@contextmanager
def _during(part: object, name: str, value: object) -> Iterator[None]:
    """Give an attribute another value inside the block."""
    before = getattr(part, name)
    setattr(part, name, value)
    try:
        yield
    finally:
        setattr(part, name, before)


def _from_the_end(span: slice, side: int) -> slice:
    """Where a span of the mirror image is in the image itself."""
    return slice(side - span.stop, side - span.start)


def _spans(side: int, tile: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    """What each tile along an axis sees, what of it is kept, and where that belongs."""
    for start in range(0, side, tile):
        stop = min(start + tile, side)
        first, last = max(0, start - margin), min(side, stop + margin)
        yield slice(first, last), slice(start - first, stop - first), slice(start, stop)
