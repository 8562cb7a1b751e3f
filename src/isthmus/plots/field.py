"""Vector fields in the plane: how a model moves points, beside a known field such as the score of the data."""

import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isthmus.plots.canvas import (
    BLUE,
    INK,
    LABEL_SIZE,
    QUIET,
    SMALL_SIZE,
    VERMILION,
    Array,
    canvas,
    check_shape,
    finite,
    head,
    label,
    quiet,
)

PLANE = {2: "(points, 2)"}


def field(
    points: npt.ArrayLike,
    corrupted: npt.ArrayLike,
    moved: npt.ArrayLike,
    grid: npt.ArrayLike,
    arrows: npt.ArrayLike,
    known: npt.ArrayLike,
    *,
    title: str,
    names: tuple[str, str],
) -> Figure:
    """Two panels: corrupted points with their displacements; the field of the model on a grid, with the known one.

    Args:
        points: clean points (N, 2), shown as markers.
        corrupted: corrupted points (M, 2).
        moved: their positions after the model is applied (M, 2).
        grid: positions (G, 2) of the arrows in the second panel.
        arrows: the field of the model at the grid (G, 2), in units of the plane.
        known: the known field at the grid (G, 2).
        title: title of the figure.
        names: names of the two fields in the legend, the model's first.
    """
    cloud, before, after, places, ours, theirs = (
        finite(values, name)
        for values, name in (
            (points, "The points"),
            (corrupted, "The corrupted points"),
            (moved, "The moved points"),
            (grid, "The grid"),
            (arrows, "The arrows"),
            (known, "The known arrows"),
        )
    )
    for array, name in ((cloud, "The points"), (before, "The corrupted points"), (places, "The grid")):
        check_shape(array, PLANE, name)
    figure = canvas(11.0, 5.4)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    _arrows(left, before, after - before, VERMILION, names[0])
    left.plot(*cloud.T, "x", color=BLUE, ms=3.0, mew=0.7, label="data", zorder=1)
    left.plot(*before.T, ".", color=INK, ms=4.0, label="corrupted", zorder=3)
    right.plot(*cloud.T, "x", color=QUIET, ms=2.2, mew=0.5, alpha=0.5, zorder=1)
    _arrows(right, places, theirs / 2, BLUE, names[1], width=0.0075)
    _arrows(right, places, ours / 2, VERMILION, names[0], width=0.0028)
    panels = "corrupted points and their reconstructions", "the field near the data, arrows at half length"
    for axes, panel in zip((left, right), panels, strict=True):
        axes.set_title(panel, loc="left", fontsize=LABEL_SIZE, color=INK)
        axes.set_aspect("equal")
        label(axes, "x1", "x2" if axes is left else "")
        quiet(axes)
        axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=SMALL_SIZE, loc="upper right")
    head(figure, title)
    return figure


def _arrows(axes: Axes, places: Array, arrows: Array, color: str, name: str, width: float = 0.003) -> None:
    axes.quiver(
        *places.T,
        *arrows.T,
        angles="xy",
        scale_units="xy",
        scale=1,
        color=color,
        width=width,
        headwidth=3.6,
        label=name,
        zorder=2,
    )
