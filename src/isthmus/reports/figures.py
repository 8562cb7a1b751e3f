r"""The figures of a run.

Every run has training curves and reconstructions. Other figures depend on the model: denoised examples with a
corruption, filters of a dense or convolutional first layer, a scatter plot and a decoded grid of two-dimensional codes,
interpolations between real-valued codes, samples and traversals with a prior.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from isthmus import functional as F
from isthmus import plots
from isthmus.data.base import Array
from isthmus.data.prepared import PreparedData, PreparedSplit
from isthmus.errors import BadData, unknown
from isthmus.metrics.denoising import corrupted, is_denoising
from isthmus.metrics.variational import INACTIVE_NATS, is_standard, kl_by_latent
from isthmus.runs.data import NewData, data_for, evaluation_split
from isthmus.runs.interpolation import bilinear, corner_points, end_points, has_real_code, lines_between
from isthmus.runs.points.extraction import has_points
from isthmus.runs.points.writing import frames_with_points
from isthmus.runs.run import Run
from isthmus.runs.writing import SHOWN, denoising_figure

ROWS, STEPS, SIDE, BETWEEN = 6, 11, 20, 13
"""Rows of interpolations, steps in a row, and images along each side of a decoded grid and of one between examples."""
CONSTANT = 1e-6
"""Fraction of the largest variance of a latent below which a latent counts as unused, if its KL is not known."""
POINTS = 5000
"""Codes in a scatter plot, at most."""


@dataclass(frozen=True)
class RunFigure:
    """A figure of a run: file name, title, caption, and the function that draws it."""

    name: str
    title: str
    caption: str
    draw: Callable[[], Figure]


def run_figures(run: Run, data: PreparedData) -> Iterator[RunFigure]:
    """The figures that apply to ``run``, on the split of ``data`` that is evaluated."""
    split = evaluation_split(data).subsample(POINTS, run.metadata.seed)
    if run.history:
        yield RunFigure(
            "curves",
            "Training",
            "The loss and its terms by epoch, in nats per example: training set solid, validation set dashed.",
            lambda: plots.curves(run.history, title=f"Training of {run.recipe.name} on {run.metadata.data}"),
        )
    yield RunFigure(
        "reconstructions",
        "Originals and reconstructions",
        "Examples and their reconstructions, with the squared error in the units of the model inputs.",
        lambda: _reconstructions(run, split),
    )
    if is_denoising(run.model) or split.inputs is not None:
        yield RunFigure(
            "denoised",
            "Corrupted and restored examples",
            "Clean examples, the same with the corruption of the run or as given, and the output of the model.",
            lambda: _denoised(run, split),
        )
    yield from _of_encoder(run, split)
    if has_real_code(run):
        yield RunFigure(
            "interpolation",
            "Interpolations",
            "Decoded points on the straight line between the codes of two examples.",
            lambda: _interpolation(run, split),
        )
    yield from _of_plane(run, split)
    yield from _of_prior(run, split)


def _of_encoder(run: Run, split: PreparedSplit) -> Iterator[RunFigure]:
    """The figures of what the encoder looks for."""
    if has_points(run):
        yield RunFigure(
            "points",
            "Feature points",
            "Frames with the points that the network found; a ring is a point whose attention is not near it.",
            lambda: frames_with_points(run, split),
        )
    weights = first_layer(run)
    if weights is not None:
        yield RunFigure(
            "filters",
            "Filters of the first layer",
            "Incoming weights of the units of the first layer, each divided by its largest absolute weight.",
            lambda: plots.filters(weights),
        )


def _of_plane(run: Run, split: PreparedSplit) -> Iterator[RunFigure]:
    """The figures of two-dimensional codes."""
    if run.model.code_shape != (2,):
        return
    yield RunFigure(
        "codes",
        "Codes",
        f"Codes of {min(len(split), POINTS):,} examples, colored by label if labels are known.",
        lambda: plots.codes(
            _array(run.model.encode(split.x[:POINTS])),
            None if split.labels is None else split.labels[:POINTS],
            label_names=run.metadata.label_names,
        ),
    )
    if run.metadata.kind != "table" and has_real_code(run):
        yield RunFigure(
            "manifold",
            "Decoded latent grid",
            "Examples decoded on a grid of codes: at quantiles of the standard normal prior, or, with another prior or "
            "none, evenly spaced over the codes of the data.",
            lambda: _manifold(run, split),
        )


def _of_prior(run: Run, split: PreparedSplit) -> Iterator[RunFigure]:
    """The figures of a model with a prior."""
    if not run.model.generative:
        return
    yield RunFigure(
        "samples",
        "Samples",
        "New examples, decoded from samples of the prior.",
        lambda: plots.samples(
            run.to_plot(run.model.sample(64, seed=run.metadata.seed)),
            title="Samples from the prior",
            channels=run.channels,
        ),
    )
    if (
        run.model.code_shape is not None
        and len(run.model.code_shape) == 1
        and run.metadata.kind != "table"
        and has_real_code(run)
    ):
        if run.model.code_shape != (2,):
            yield RunFigure(
                "plane",
                "Interpolation between four examples",
                "Decoded codes (1 - v)[(1 - u) a + u b] + v[(1 - u) c + u d] between the codes a, b, c and d of four "
                "examples, whose reconstructions are at the framed corners.",
                lambda: plots.bilinear(
                    run.to_plot(bilinear(run, corner_points(split), BETWEEN)), channels=run.channels
                ),
            )
        yield RunFigure(
            "traversals",
            "Latent traversals",
            "Each row varies one latent, with the others fixed at the code of an example. Rows are sorted by KL, or by "
            "variance if the KL is not known; unused latents are omitted.",
            lambda: _traversals(run, split),
        )


def first_layer(run: Run) -> Array | None:
    """Weights of the encoder's first layer: (N, *shape) of a linear one, (N, C, *kernel); ``None`` without layers."""
    layers = [m for m in run.model.encoder.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    if not layers:
        return None
    weight = layers[0].weight.detach()
    if weight.ndim == 2 and weight.shape[1] == torch.Size(run.metadata.shape).numel():
        weight = weight.reshape(len(weight), *run.metadata.shape)
    return _array(weight)


def grid(run: Run, split: PreparedSplit) -> tuple[Tensor, list[float], list[float]]:
    r"""A grid of two-dimensional codes, top row first, and the coordinates of its columns and rows.

    With a standard normal prior the coordinates are :math:`\Phi^{-1}` of evenly spaced probabilities from 0.05 to 0.95,
    so each image stands for an equal probability; else they are evenly spaced over the middle 90 % of the codes.
    """
    if is_standard(run.model):
        ticks = torch.special.ndtri(torch.linspace(0.05, 0.95, SIDE))
        x, y = ticks, ticks
    else:
        z = run.model.encode(split.tensor)
        low, high = torch.quantile(z, torch.tensor([0.05, 0.95], device=z.device), dim=0).cpu()
        x, y = (torch.linspace(float(low[i]), float(high[i]), SIDE) for i in (0, 1))
    rows, columns = torch.meshgrid(y.flip(0), x, indexing="ij")
    return torch.stack([columns.flatten(), rows.flatten()], 1), x.tolist(), y.tolist()


def _manifold(run: Run, split: PreparedSplit) -> Figure:
    codes, x, y = grid(run, split)
    spacing = ", evenly spaced in probability" if is_standard(run.model) else ""
    return plots.manifold(
        run.to_plot(run.model.decode(codes)),
        x=x,
        y=list(reversed(y)),
        title="Decoded latent grid",
        axis_labels=(f"z1{spacing}", f"z2{spacing}"),
        channels=run.channels,
    )


def _reconstructions(run: Run, split: PreparedSplit) -> Figure:
    x = split.x[:SHOWN]
    y = run.model.reconstruct(x if split.inputs is None else split.inputs[:SHOWN]).cpu()
    error = F.squared_error(torch.where(x.isnan(), y, x), y)
    original = run.to_plot(run.model.filled(x))
    return plots.reconstructions(original, run.to_plot(y), error=_array(error), channels=run.channels)


def _interpolation(run: Run, split: PreparedSplit) -> Figure:
    lines = lines_between(run, *end_points(split, ROWS), STEPS)
    return plots.interpolation(run.to_plot(lines), channels=run.channels)


def _denoised(run: Run, split: PreparedSplit) -> Figure:
    x = split.x[:SHOWN]
    x_in = corrupted(run.model, x, seed=run.metadata.seed) if split.inputs is None else split.inputs[:SHOWN]
    return denoising_figure(run, {"original": x, "corrupted": x_in, "restored": run.model.reconstruct(x_in)})


def _traversals(run: Run, split: PreparedSplit) -> Figure:
    """Latents by decreasing KL, each from -2.5 to 2.5; by :func:`_quantile_traversals` if the KL is not known."""
    nats = kl_by_latent(run.model, split.x)
    if nats is None:
        return _quantile_traversals(run, split)
    kl = torch.tensor(nats)
    order = torch.argsort(kl, descending=True)[:SHOWN]
    # a latent without information does not change the output; at least one row is drawn
    order = order[: max(1, int((kl[order] > INACTIVE_NATS).sum()))]
    values = torch.linspace(-2.5, 2.5, STEPS)
    z = _paths(_base(run, split), order, values.expand(len(order), STEPS))
    return plots.traversals(
        run.to_plot(_frames(run, z)),
        _array(values),
        _array(kl[order]),
        names=[f"z{unit + 1}" for unit in order.tolist()],
        channels=run.channels,
    )


def _quantile_traversals(run: Run, split: PreparedSplit) -> Figure:
    """Latents by decreasing variance, each at quantiles of its codes."""
    z = run.model.encode(split.x[:POINTS]).cpu()
    std = z.std(0, correction=0)
    order = torch.argsort(std, descending=True)[:SHOWN]
    order = order[: max(1, int((std[order].square() > CONSTANT * std.max().square()).sum()))]
    probabilities = torch.linspace(0.02, 0.98, STEPS)
    z = _paths(_base(run, split), order, torch.quantile(z[:, order], probabilities, dim=0).T)
    return plots.traversals(
        run.to_plot(_frames(run, z)),
        _array(probabilities),
        names=[f"z{unit + 1}  sd {std[unit]:.2g}" for unit in order.tolist()],
        values_name="quantile of the latent",
        channels=run.channels,
    )


def _base(run: Run, split: PreparedSplit) -> Tensor:
    """The code at which all traversals cross, (d,): that of one of the corners of the interpolation.

    Zero, the mean of the prior, lies between all classes: where there are many, no image there is typical of any.
    """
    return run.model.encode(corner_points(split)[1:2])[0].cpu()


def _paths(base: Tensor, order: Tensor, values: Tensor) -> Tensor:
    """Codes (rows, steps, d), equal to ``base`` except for one unit per row, which takes the ``values`` of the row."""
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


def plot(run: Run, name: str | None = None, data: NewData | None = None) -> Figure | dict[str, Figure]:
    """The figure called ``name``, or all figures of a run by name.

    Raises:
        UnknownName: the run has no such figure.
    """
    known = {figure.name: figure for figure in run_figures(run, data_for(run, data))}
    if name is None:
        return {key: figure.draw() for key, figure in known.items()}
    if name not in known:
        raise unknown("figure of this run named", name, known)
    return known[name].draw()


def draw(run: Run, data: PreparedData, folder: Path, *, only: str | None = None) -> list[tuple[RunFigure, Path]]:
    """Draw the figures of ``run`` into ``folder``, or ``only`` one of them; returns each with its file.

    Raises:
        UnknownName: the run has no figure called ``only``.
    """
    known = {figure.name: figure for figure in run_figures(run, data)}
    if only is not None and only not in known:
        raise unknown("figure of this run named", only, known)
    drawn = []
    for figure in known.values() if only is None else [known[only]]:
        try:
            drawn.append((figure, plots.save(figure.draw(), folder / f"{figure.name}.png")))
        except BadData as error:
            # if one figure fails, the others and the metrics are still written
            warnings.warn(f"Figure {figure.name} was skipped: {error}", stacklevel=2)
    return drawn
