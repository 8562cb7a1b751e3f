"""Arrows in the plane: where a model moves points, beside where a known density rises."""

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
    """Two panels: corrupted points and where they are moved; a grid of arrows beside the known ones.

    Args:
        points: clean points (N, 2), drawn as a cloud.
        corrupted: points (M, 2) before they are moved.
        moved: where each of these is moved to (M, 2).
        grid: places (G, 2) of the arrows of the second panel.
        arrows: the model's arrows there (G, 2), in units of the plane.
        known: the known arrows there (G, 2).
        title: what the figure is called.
        names: what the model's and the known arrows are called.
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
    said = "corrupted points, and where they are brought", "the field near the data, arrows at half length"
    for axes, words in zip((left, right), said, strict=True):
        axes.set_title(words, loc="left", fontsize=LABEL_SIZE, color=INK)
        axes.set_aspect("equal")
        label(axes, "x1", "x2" if axes is left else "")
        quiet(axes)
        axes.legend(frameon=True, framealpha=0.9, edgecolor="none", fontsize=SMALL_SIZE, loc="upper right")
    head(figure, title)
    return figure


def _arrows(axes: Axes, places: Array, arrows: Array, colour: str, name: str, width: float = 0.003) -> None:
    axes.quiver(
        *places.T,
        *arrows.T,
        angles="xy",
        scale_units="xy",
        scale=1,
        color=colour,
        width=width,
        headwidth=3.6,
        label=name,
        zorder=2,
    )
