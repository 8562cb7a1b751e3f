r"""The pictures of a run: a model's answers turned into arrays, and these into figures.

Which pictures apply depends on what the run is: every run has training curves and reconstructions, one that denoises
what it restored too; a first dense or convolutional layer has filters; two latent dimensions have a plane; a code of
real numbers can be walked through; a prior can be drawn from.
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
from isthmus.meeting import measured_part
from isthmus.metrics.denoising import corrupted, is_denoising
from isthmus.metrics.reconstruction import are_pictures
from isthmus.metrics.variational import is_standard, kl_by_latent
from isthmus.run import Run
from isthmus.trace import Offer

SHOWN, ROWS, STEPS, SIDE = 12, 6, 11, 20
"""Examples in a strip, walks, steps of a walk, and pictures along each side of a plane."""
UNUSED = 0.05
"""Nats below which a latent is taken for unused."""
UNMOVED = 1e-6
"""Share of the largest variance of a code value below which a latent is taken for unused, where nats are not known."""
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
    part = measured_part(data).few(POINTS, run.facts.seed)
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
    if is_denoising(run.model):
        yield Picture(
            "denoised",
            "Corrupted and restored",
            "Clean examples, what the run's own corruption makes of them, and what the model restores from that.",
            lambda: _denoised(run, part),
        )
    weights = first_layer(run)
    if weights is not None:
        yield Picture(
            "filters",
            "Filters of the first layer",
            "The incoming weights of first-layer units, each scaled to its own largest weight.",
            lambda: plots.filters(weights),
        )
    if is_real(run):
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
    if run.facts.images and is_real(run):
        yield Picture(
            "manifold",
            "The plane, decoded",
            "A grid of codes, decoded: through the inverse Gaussian distribution function where the prior is the "
            "standard normal, else evenly over the codes in use.",
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
    if run.model.code is not None and len(run.model.code) == 1 and run.facts.images and is_real(run):
        yield Picture(
            "traversals",
            "One latent at a time",
            "Each row moves one latent dimension and leaves the others where they are usual. The dimensions that carry "
            "most nats come first, or where nats are not known those that vary most; unused ones are left out.",
            lambda: _traversals(run, part),
        )


def is_real(run: Run) -> bool:
    """Whether codes are real numbers, so that points between two of them are codes too."""
    return Offer.REAL in run.model.latent.offers  # type: ignore[operator]


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
    return part.tensor[picked[:half]], part.tensor[picked[half:] or picked[:half]]


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

    With a standard normal prior the coordinates are :math:`\Phi^{-1}` of evenly spaced shares from 0.05 to 0.95, so
    each picture stands for an equal share of the prior; else they are evenly spaced over the middle 90 % of the codes.
    """
    if is_standard(run.model):
        ticks = torch.special.ndtri(torch.linspace(0.05, 0.95, SIDE))
        x, y = ticks, ticks
    else:
        z = run.model.encode(part.tensor)
        low, high = torch.quantile(z, torch.tensor([0.05, 0.95], device=z.device), dim=0).cpu()
        x, y = (torch.linspace(float(low[i]), float(high[i]), SIDE) for i in (0, 1))
    rows, columns = torch.meshgrid(y.flip(0), x, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], 1), x.tolist(), y.tolist()


def _manifold(run: Run, part: Part) -> Figure:
    codes, x, y = grid(run, part)
    through = ", even in probability" if is_standard(run.model) else ""
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


def denoised(run: Run, rows: dict[str, Tensor]) -> Figure:
    """Pictures or rows of a table above each other, the restored last; with PSNR where the first are clean images."""
    clean, *others = rows.values()
    psnr: list[Array] = []
    if len(others) == 2 and are_pictures(clean):
        psnr = [_array(F.psnr(clean, y.to(clean).clamp(0, 1))) for y in others]
    return plots.denoised({name: run.drawn(x) for name, x in rows.items()}, psnr=psnr)


def _denoised(run: Run, part: Part) -> Figure:
    x = part.x[:SHOWN]
    x_in = corrupted(run.model, x, seed=run.facts.seed)
    return denoised(run, {"original": x, "corrupted": x_in, "restored": run.model.reconstruct(x_in)})


def _traversals(run: Run, part: Part) -> Figure:
    """Latents in the order of the nats they carry, each from -2.5 to 2.5; where no nats are known, see below."""
    nats = kl_by_latent(run.model, part.x)
    if nats is None:
        return _quantile_traversals(run, part)
    kl = torch.tensor(nats)
    order = torch.argsort(kl, descending=True)[:SHOWN]
    # a latent that carries nothing changes nothing; at least one row is drawn
    order = order[: max(1, int((kl[order] > UNUSED).sum()))]
    values = torch.linspace(-2.5, 2.5, STEPS)
    z = _walks(torch.zeros(len(kl)), order, values.expand(len(order), STEPS))
    return plots.traversals(
        run.drawn(_frames(run, z)), _array(values), _array(kl[order]), names=[f"z{unit + 1}" for unit in order.tolist()]
    )


def _quantile_traversals(run: Run, part: Part) -> Figure:
    """Latents in the order of their variance, each through the quantiles of its codes, the others at their medians."""
    z = run.model.encode(part.x[:POINTS]).cpu()
    spread = z.std(0, correction=0)
    order = torch.argsort(spread, descending=True)[:SHOWN]
    order = order[: max(1, int((spread[order].square() > UNMOVED * spread.max().square()).sum()))]
    shares = torch.linspace(0.02, 0.98, STEPS)
    z = _walks(z.median(0).values, order, torch.quantile(z[:, order], shares, dim=0).T)
    return plots.traversals(
        run.drawn(_frames(run, z)),
        _array(shares),
        names=[f"z{unit + 1}  sd {spread[unit]:.2g}" for unit in order.tolist()],
        values_name="share of the codes below the latent's value",
    )


def _walks(base: Tensor, order: Tensor, values: Tensor) -> Tensor:
    """Codes (rows, steps, d): all at ``base`` but one unit in each row, which takes that row's ``values``."""
    z = base.repeat(*values.shape, 1)
    for row, unit in enumerate(order.tolist()):
        z[row, :, unit] = values[row]
    return z


def _frames(run: Run, z: Tensor) -> Tensor:
    """Decoded codes (rows, steps, d) as (rows, steps, *shape)."""
    frames = run.model.decode(z.flatten(0, 1))
    return frames.reshape(*z.shape[:2], *frames.shape[1:])


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
