r"""The pictures of a run: a model's answers turned into arrays, and these into figures.

Which pictures apply depends on what the run is: every run has training curves and reconstructions; a first dense or
convolutional layer has filters; two latent dimensions have a plane; a prior can be drawn from.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from isthmus import functional as F
from isthmus import plots
from isthmus.data.base import Array
from isthmus.data.prepare import Part, Prepared
from isthmus.errors import BadData
from isthmus.metrics.variational import moments
from isthmus.run import Run

SHOWN, ROWS, STEPS, SIDE = 12, 6, 11, 20
"""Examples in a strip, walks, steps of a walk, and pictures along each side of a plane."""
UNUSED = 0.05
"""Nats below which a latent is taken for unused."""
POINTS = 5000
"""Codes drawn in a scatter plot, at most."""


@dataclass(frozen=True)
class Picture:
    """One picture of a run: file name, title, what one sees, and how it is drawn."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def pictures(run: Run, data: Prepared) -> Iterator[Picture]:
    """The pictures that apply to ``run``, on the part of ``data`` that evaluation uses."""
    part = data.test or data.valid or data.train
    if run.history:
        yield Picture(
            "curves",
            "Training",
            "Each named part of the loss by epoch, in nats per example; dashed is the validation part.",
            lambda: plots.curves(run.history, title=f"Training of {run.recipe.name} on {run.facts.data}"),
        )
    yield Picture(
        "reconstructions",
        "Originals and reconstructions",
        "Examples above, and what is left of them behind the code below, with their squared error in the model's "
        "units.",
        lambda: _reconstructions(run, part),
    )
    weights = first_layer(run)
    if weights is not None:
        yield Picture(
            "filters",
            "Filters of the first layer",
            "The incoming weights of first-layer units, each scaled to its own largest weight.",
            lambda: plots.filters(weights),
        )
    yield Picture(
        "interpolation",
        "From one example to another",
        "The straight line between two codes, decoded.",
        lambda: plots.interpolation(run.drawn(interpolate(run, *ends(part, ROWS), STEPS))),
    )
    yield from _of_plane(run, part)
    yield from _of_prior(run, part)


def _of_plane(run: Run, part: Part) -> Iterator[Picture]:
    """What can be shown of a code of two dimensions."""
    if run.model.code != (2,):
        return
    yield Picture(
        "codes",
        "Codes",
        f"{min(len(part), POINTS):,} examples in the plane of the code, coloured by label where there are labels.",
        lambda: plots.codes(
            _array(run.model.encode(part.x[:POINTS])),
            None if part.labels is None else part.labels[:POINTS],
            label_names=run.facts.label_names,
        ),
    )
    if run.facts.images:
        yield Picture(
            "manifold",
            "The plane, decoded",
            "A grid of codes, decoded: through the inverse Gaussian distribution function where there is a prior, "
            "else evenly over the codes in use.",
            lambda: _manifold(run, part),
        )


def _of_prior(run: Run, part: Part) -> Iterator[Picture]:
    """What can be shown of a model with a prior."""
    if not run.model.generative:
        return
    yield Picture(
        "samples",
        "Samples",
        "New examples: codes drawn from the prior, decoded.",
        lambda: plots.samples(run.drawn(run.model.sample(64, seed=run.facts.seed)), title="Samples from the prior"),
    )
    if run.model.code is not None and len(run.model.code) == 1 and run.facts.images:
        yield Picture(
            "traversals",
            "One latent at a time",
            "Each row moves one latent dimension and leaves the others at 0; those that carry most nats come first, "
            "and those that carry none are left out.",
            lambda: _traversals(run, part),
        )


def interpolate(run: Run, start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Decoded points on the straight lines between codes, both ends included: (rows, steps, *shape)."""
    rows = min(len(start), len(end))
    a, b = run.model.encode(start[:rows]), run.model.encode(end[:rows])
    walks = [run.model.decode(torch.lerp(a, b, float(t))) for t in torch.linspace(0, 1, steps)]
    return torch.stack(walks, 1)


def ends(part: Part, rows: int) -> tuple[Tensor, Tensor]:
    """First and last examples of walks: of different classes where labels are known."""
    first = list(range(len(part)))
    if part.labels is not None:
        firsts = np.unique(part.labels, return_index=True)[1].tolist()
        first = firsts + [i for i in first if i not in set(firsts)]
    picked = first[: 2 * rows]
    half = max(1, len(picked) // 2)
    return part.x[picked[:half]], part.x[picked[half:] or picked[:half]]


def first_layer(run: Run) -> Array | None:
    """Weights of the encoder's first layer, as pictures (N, C, H, W) where it sees images, else (N, D)."""
    layers = [m for m in run.model.encoder.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if not layers:
        return None
    weight = layers[0].weight.detach()
    if weight.ndim == 2 and run.facts.images and weight.shape[1] == torch.Size(run.facts.shape).numel():
        weight = weight.reshape(len(weight), *run.facts.shape)
    return _array(weight)


def grid(run: Run, part: Part) -> tuple[Tensor, list[float], list[float]]:
    r"""Codes of a plane, top row first, and the coordinates of its columns and rows.

    With a prior the coordinates are :math:`\Phi^{-1}` of evenly spaced shares from 0.05 to 0.95, so each picture
    stands for an equal share of the prior; without one they are evenly spaced over the middle 90 % of the codes.
    """
    if run.model.generative:
        ticks = torch.special.ndtri(torch.linspace(0.05, 0.95, SIDE))
        x, y = ticks, ticks
    else:
        z = run.model.encode(part.x)
        low, high = torch.quantile(z, torch.tensor([0.05, 0.95], device=z.device), dim=0).cpu()
        x, y = (torch.linspace(float(low[i]), float(high[i]), SIDE) for i in (0, 1))
    rows, columns = torch.meshgrid(y.flip(0), x, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], 1), x.tolist(), y.tolist()


def _manifold(run: Run, part: Part) -> Figure:
    codes, x, y = grid(run, part)
    through = ", even in probability" if run.model.generative else ""
    return plots.manifold(
        run.drawn(run.model.decode(codes)),
        x=x,
        y=list(reversed(y)),
        title="The plane of the code, decoded",
        axis_labels=(f"z1{through}", f"z2{through}"),
    )


def _reconstructions(run: Run, part: Part) -> Figure:
    x = part.x[:SHOWN]
    y = run.model.reconstruct(x)
    return plots.reconstructions(run.drawn(x), run.drawn(y), error=_array(F.squared_error(x, y.cpu())))


def _traversals(run: Run, part: Part) -> Figure:
    """Latents in the order of the nats they carry, each moved through the prior's quantiles."""
    loc, log_scale = moments(run.model, part.x)
    kl = F.kl_standard_normal_by_dimension(loc, log_scale.exp(), log_scale).mean(0).cpu()
    order = torch.argsort(kl, descending=True)[:SHOWN]
    # a latent that carries nothing changes nothing; at least one row is drawn
    order = order[: max(1, int((kl[order] > UNUSED).sum()))]
    values = torch.linspace(-2.5, 2.5, STEPS)
    z = torch.zeros(len(order), STEPS, len(kl))
    for row, unit in enumerate(order.tolist()):
        z[row, :, unit] = values
    frames = run.model.decode(z.flatten(0, 1))
    return plots.traversals(
        run.drawn(frames.reshape(len(order), STEPS, *frames.shape[1:])),
        _array(values),
        _array(kl[order]),
        names=[f"z{unit + 1}" for unit in order.tolist()],
    )


def _array(x: Tensor) -> Array:
    return x.detach().cpu().numpy()


def draw(run: Run, data: Prepared, folder: Path, *, only: str | None = None) -> list[tuple[Picture, Path]]:
    """Draw the pictures of ``run`` into ``folder``, or one of them; returns each with its file."""
    drawn = []
    for picture in pictures(run, data):
        if only is not None and picture.name != only:
            continue
        try:
            drawn.append((picture, plots.save(picture.draw(), folder / f"{picture.name}.png")))
        except BadData as error:
            # one picture that cannot be drawn must not cost the others, nor the figures
            warnings.warn(f"The picture {picture.name} was left out: {error}", stacklevel=2)
    return drawn
