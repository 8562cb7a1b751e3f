r"""Deep spatial autoencoders: codes that are positions of feature points, for images and frames of videos."""

from collections.abc import Sequence

from isthmus.models.recipe import LatentPart, LikelihoodPart, NetPart, Recipe, part
from isthmus.options import TrainingOptions
from isthmus.zoo.entries import RecipeEntry, code


def spatial(latent: int | None = None, channels: Sequence[int] = (64, 32)) -> Recipe:
    r"""Deep spatial autoencoder as published: :math:`\frac12 \lVert \bar x - W f(x) - b \rVert^2`.

    The points f are expected positions under the softmax of feature maps; the decoder is linear, and compared with the
    gray values :math:`\bar x`. For windows of frames (``data.window=3``) the paper adds
    ``penalties.slowness.kind=slowness``.

    Use it to compare with the paper. It finds what has another brightness than the background; things of another color
    alone are found by :func:`spatial_mlp`.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016)
    """
    return _spatial("spatial", latent, channels, hidden=(), resolution=60, published=True)


def spatial_mlp(latent: int | None = None, channels: Sequence[int] = (32, 24)) -> Recipe:
    r"""Deep spatial autoencoder with a nonlinear decoder of colors: :math:`\frac12 \lVert x - g(f(x)) \rVert^2`.

    The points f are expected positions under the softmax of feature maps; the decoder has a hidden layer, so that a
    small image of what is at a point can be drawn anywhere. The mean of the training images is subtracted from each and
    added to what is decoded (``net.subtract_mean``, ``likelihood.from_mean``), so that points follow what moves.

    Use it for videos and images in which things move before a fixed background: its code is where they are, two
    numbers for each of ``latent.size`` / 2 points. Where several things move and all points follow one of them, add
    ``penalties.separation.kind=separation`` with a weight of 3; for smoother points train on windows of frames
    (``data.window=3``) with ``penalties.slowness.kind=slowness``.

    References:
        Deep spatial autoencoders for visuomotor learning (Finn et al., 2016), with another decoder
    """
    return _spatial("spatial_mlp", latent, channels, hidden=(1024,), resolution=20, published=False)


def _spatial(
    name: str, latent: int | None, channels: Sequence[int], *, hidden: Sequence[int], resolution: int, published: bool
) -> Recipe:
    net = part(
        NetPart,
        "spatial",
        channels=list(channels),
        hidden=list(hidden),
        resolution=resolution,
        gray=published,
        subtract_mean=not published,
    )
    return Recipe(
        name=name,
        net=net,
        latent=part(LatentPart, "deterministic", **code(latent, 32)),
        likelihood=part(LikelihoodPart, "gaussian", scale=1.0, from_mean=not published),
        training=TrainingOptions(batch_size=64, learning_rate=2e-3, schedule="cosine"),
    )


ENTRIES: dict[str, RecipeEntry] = {
    "spatial": RecipeEntry(
        spatial,
        "deep spatial autoencoder as published: feature points, linear decoder of gray values",
        "1/2 |gray(x) - W f(x) - b|^2, f: expected positions of a spatial softmax",
        cites=("finn2016",),
    ),
    "spatial_mlp": RecipeEntry(
        spatial_mlp,
        "deep spatial autoencoder with a nonlinear decoder of colors",
        "1/2 |x - g(f(x))|^2, f: expected positions of a spatial softmax",
        cites=("finn2016",),
    ),
}
"""Entries of the table of recipes."""
