"""The plane of codes: where the data lies in it, and what the decoder draws at its points."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from isthmus.errors import BadData, ShapeError
from isthmus.plots.canvas import (
    BLUE,
    GREY,
    INK,
    LABEL_SIZE,
    MARGIN,
    SMALL_SIZE,
    SQUARE,
    Array,
    canvas,
    check_count,
    check_shape,
    displayed,
    entitle,
    finite,
    head,
    label,
    named_ticks,
    quiet,
    scale,
    short,
    tile_inches,
)

# Petroff's ten (Accessible color sequences for data visualization, 2021, arXiv:2107.02270) with black for the
# second of its greys, then two more.
CLASS_COLOURS = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59"),
    *("#e76300", "#b9ac70", "#222222", "#92dadd", "#1b5e20", "#e78ac3"),
)
Labels = npt.NDArray[np.generic]


def codes(
    z: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    *,
    label_names: Sequence[str] = (),
    title: str = "Codes",
    axis_labels: tuple[str, str] = ("z1", "z2"),
) -> Figure:
    """Codes in the plane, coloured by label: up to 12 classes by name, more (or fractions) by a colour bar.

    Args:
        z: two coordinates for each example, (N, 2).
        labels: class or value of each example, (N,).
        label_names: names of the classes 0, 1, ...; a label beyond them is its own name.
        title: what the figure is called.
        axis_labels: names of the two coordinates.
    """
    figure = canvas(6.4, 5.4)
    axes = figure.add_subplot()
    axes.set_aspect("equal", adjustable="datalim")
    entitle(axes, title)
    _scatter(axes, z, labels, label_names, axis_labels)
    return figure


def codes_beside(
    planes: Mapping[str, npt.ArrayLike],
    labels: npt.ArrayLike,
    *,
    label_names: Sequence[str] = (),
    title: str = "Codes",
    share: float = 1.0,
) -> Figure:
    """Codes of the same examples in several planes, side by side, each with its name.

    Args:
        planes: name -> two coordinates for each example, (N, 2).
        labels: class or value of each example, (N,).
        label_names: names of the classes 0, 1, ...
        title: what the figure is called.
        share: of the codes, along each axis, that the frame holds; a few far ones would make the others a dot.
    """
    figure = canvas(5.4 * len(planes), 5.6)
    for axes, (name, z) in zip(np.atleast_1d(figure.subplots(1, len(planes))), planes.items(), strict=True):
        axes.set_title(name, loc="left", fontsize=LABEL_SIZE, color=INK)
        _scatter(axes, z, labels, label_names, ("z1", "z2"))
        if share < 1:
            outside = (1 - share) / 2
            (left, low), (right, high) = np.quantile(np.asarray(z), [outside, 1 - outside], axis=0)
            axes.set(xlim=(left, right), ylim=(low, high))
    # one legend serves all panels
    for axes in figure.axes[:-1]:
        legend = axes.get_legend()
        if legend is not None:
            legend.remove()
    head(figure, title)
    return figure


def _scatter(
    axes: Axes, z: npt.ArrayLike, labels: npt.ArrayLike | None, label_names: Sequence[str], names: tuple[str, str]
) -> None:
    """Points of a plane in one panel."""
    points = finite(z, "The codes")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ShapeError(
            f"The codes came with shape {points.shape}, but (N, 2) is needed. Choose two columns, or project them."
        )
    quiet(axes)
    label(axes, *names)
    if labels is None:
        alpha = float(np.clip(900 / len(points), 0.25, 0.8))
        axes.scatter(points[:, 0], points[:, 1], _dot_size(len(points)), color=BLUE, alpha=alpha, linewidths=0)
    else:
        _scatter_labels(axes, points, _checked_labels(labels, len(points)), label_names)


def _dot_size(count: int) -> float:
    """Area of a dot in square points: the more dots, the smaller."""
    return float(np.clip(15000 / count, 3, 32))


def _scatter_labels(axes: Axes, points: Array, labels: Labels, names: Sequence[str]) -> None:
    classes = np.unique(labels)
    if len(classes) <= len(CLASS_COLOURS) and not _has_fractions(labels):
        _scatter_classes(axes, points, labels, names)
        return
    values = labels if labels.dtype.kind in "fiu" else np.searchsorted(classes, labels)
    x, y = points.T
    dots = axes.scatter(x, y, _dot_size(len(points)), values, cmap="cividis", linewidths=0)
    scale(axes, dots, "label")


def _checked_labels(labels: npt.ArrayLike, count: int) -> Labels:
    values: Labels = np.asarray(labels)
    check_count(values, count, "The labels", "code")
    if values.dtype.kind == "f":
        finite(values, "The labels")
    return values


def _has_fractions(values: Labels) -> bool:
    return values.dtype.kind == "f" and bool((values.astype(np.float64) % 1).any())


def _scatter_classes(axes: Axes, points: Array, labels: Labels, names: Sequence[str]) -> None:
    colour = np.empty(len(points), dtype=object)
    classes = np.unique(labels)
    for shade, value in zip(CLASS_COLOURS, classes, strict=False):
        chosen = labels == value
        colour[chosen] = shade
        name = _class_name(value, names)
        axes.scatter([], [], s=36, color=shade, lw=0, label=name)
        if len(name) <= 3:
            _write_on(axes, np.median(points[chosen], axis=0), name)
    # One call in the order of the data: class by class, the last one would cover the others.
    x, y = points.T
    axes.scatter(x, y, _dot_size(len(points)), list(colour), alpha=0.85, linewidths=0)
    legend = axes.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=LABEL_SIZE, labelcolor=INK
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _class_name(value: np.generic, names: Sequence[str]) -> str:
    if isinstance(value, np.number | np.bool_):
        index = int(value)
        return names[index] if 0 <= index < len(names) else str(index)
    return str(value)


def _write_on(axes: Axes, place: Array, name: str) -> None:
    """Write a short class name over the middle of its cloud: colour alone is not for every reader."""
    halo = [withStroke(linewidth=3, foreground="white")]
    axes.annotate(
        name,
        (place[0], place[1]),
        ha="center",
        va="center",
        fontsize=12,
        fontweight="bold",
        color=INK,
        parse_math=False,
        path_effects=halo,
        zorder=5,
    )


def manifold(
    images: npt.ArrayLike,
    *,
    x: Sequence[float],
    y: Sequence[float],
    title: str = "Decoded plane of codes",
    axis_labels: tuple[str, str] = ("z1", "z2"),
) -> Figure:
    """Pictures decoded at a grid of codes, joined to one picture with the codes as axes.

    Args:
        images: (len(y) * len(x), C, H, W), row by row, the top row first.
        x: the coordinate of each column, from left to right; they need not be evenly spaced.
        y: the coordinate of each row, from top to bottom.
        title: what the figure is called.
        axis_labels: names of the horizontal and the vertical coordinate.
    """
    array = finite(images, "The manifold")
    check_shape(array, {4: "pictures (rows * columns, C, H, W)"}, "The manifold")
    rows, columns = len(y), len(x)
    if len(array) != rows * columns:
        raise BadData(
            f"The manifold has {len(array)} pictures, but {rows} rows of {columns} need {rows * columns}. "
            "Decode one picture for each place."
        )
    figure, axes = _sheet(displayed(array), rows, columns)
    quiet(axes, spines=())
    named_ticks(axes, x=_centres(x), y=_centres(y))
    axes.tick_params(labelsize=SMALL_SIZE)
    label(axes, *axis_labels)
    entitle(axes, title)
    return figure


def _sheet(tiles: Array, rows: int, columns: int) -> tuple[Figure, Axes]:
    """A figure of joined pictures whose axes count them: picture (0, 0) covers the square from 0 to 1."""
    high, wide = tiles.shape[1:3]
    inch = tile_inches(columns, wide, wide=SQUARE)
    figure = canvas(columns * inch + MARGIN, rows * inch * high / wide + MARGIN)
    axes = figure.add_subplot()
    sheet, border = _joined(tiles, rows, columns), (0, columns, rows, 0)
    axes.imshow(sheet, cmap=GREY.name, vmin=0, vmax=1, interpolation="nearest", extent=border)
    axes.set_aspect(high / wide)
    return figure, axes


def _joined(tiles: Array, rows: int, columns: int) -> Array:
    """(rows * columns, H, W, ...) as one picture (rows * H, columns * W, ...)."""
    high, wide, *channels = tiles.shape[1:]
    grid = tiles.reshape(rows, columns, high, wide, *channels).swapaxes(1, 2)
    return grid.reshape(rows * high, columns * wide, *channels)


def _centres(values: Sequence[float]) -> dict[float, str]:
    """Places and coordinates of at most nine cells, evenly chosen, the first among them."""
    return {k + 0.5: short(values[k]) for k in range(0, len(values), math.ceil(len(values) / 9))}
