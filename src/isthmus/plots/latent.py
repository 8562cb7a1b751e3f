"""Two-dimensional latent spaces: codes of the data, and images decoded on a grid of codes."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

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
    VERMILION,
    Array,
    canvas,
    check_count,
    check_shape,
    displayed,
    entitle,
    finite,
    frame,
    head,
    label,
    middle_frame,
    named_ticks,
    quiet,
    remarked,
    scale,
    short,
    tile_inches,
)
from isthmus.plots.sequences import sheet, thinned

# The ten colors of Petroff (Accessible color sequences for data visualization, 2021, arXiv:2107.02270) with black in
# place of the second gray, then two more.
CLASS_COLORS = (
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
    """Scatter plot of codes, colored by label: up to 12 classes with a legend, more (or floats) with a color bar.

    Args:
        z: codes, (N, 2).
        labels: class or value of each example, (N,).
        label_names: names of the classes 0, 1, ...; a label without a name is shown as a number.
        title: title of the figure.
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
    """Scatter plots of the codes of the same examples in several latent spaces, side by side.

    Args:
        planes: name -> codes, (N, 2).
        labels: class or value of each example, (N,).
        label_names: names of the classes 0, 1, ...
        title: title of the figure.
        share: fraction of the codes within the limits of each axis; less than 1 leaves outliers out.
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
    """Scatter plot of codes in one panel."""
    points = finite(z, "The codes")
    if points.ndim != 2 or points.shape[1] != 2:
        raise ShapeError(
            f"The codes must have shape (N, 2), but the shape is {points.shape}. Select two columns, or project them."
        )
    quiet(axes)
    label(axes, *names)
    if labels is None:
        alpha = float(np.clip(900 / len(points), 0.25, 0.8))
        axes.scatter(points[:, 0], points[:, 1], _dot_size(len(points)), color=BLUE, alpha=alpha, linewidths=0)
    else:
        _scatter_labels(axes, points, _checked_labels(labels, len(points)), label_names)


def _dot_size(count: int) -> float:
    """Area of a marker in square points, smaller for more points."""
    return float(np.clip(15000 / count, 3, 32))


def _scatter_labels(axes: Axes, points: Array, labels: Labels, names: Sequence[str]) -> None:
    classes = np.unique(labels)
    if len(classes) <= len(CLASS_COLORS) and not _has_fractions(labels):
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
    color = np.empty(len(points), dtype=object)
    classes = np.unique(labels)
    for class_color, value in zip(CLASS_COLORS, classes, strict=False):
        chosen = labels == value
        color[chosen] = class_color
        name = _class_name(value, names)
        axes.scatter([], [], s=36, color=class_color, lw=0, label=name)
        if len(name) <= 3:
            _write_on(axes, np.median(points[chosen], axis=0), name)
    # One call in the order of the data: class by class, the last class would cover the others.
    x, y = points.T
    axes.scatter(x, y, _dot_size(len(points)), list(color), alpha=0.85, linewidths=0)
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


def _write_on(axes: Axes, position: Array, name: str) -> None:
    """Write a short class name at the median of its codes, for readers who cannot distinguish the colors."""
    halo = [withStroke(linewidth=3, foreground="white")]
    axes.annotate(
        name,
        (position[0], position[1]),
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
    title: str = "Decoded latent grid",
    axis_labels: tuple[str, str] = ("z1", "z2"),
    channels: Sequence[str] = (),
) -> Figure:
    """Images or sequences decoded on a grid of codes, joined to one image with the codes as axes.

    Args:
        images: (len(y) * len(x), C, H, W) or (len(y) * len(x), C, T), row by row, the top row first. Of frames
            (len(y) * len(x), F, C, H, W) the middle one is shown.
        x: coordinates of the columns, from left to right; they need not be evenly spaced.
        y: coordinates of the rows, from top to bottom.
        title: title of the figure.
        axis_labels: names of the horizontal and the vertical coordinate.
        channels: names of the channels of sequences.
    """
    array = finite(images, "The manifold")
    check_shape(array, _ranks("rows * columns"), "The manifold")
    rows, columns = len(y), len(x)
    if len(array) != rows * columns:
        raise BadData(
            f"The manifold has {len(array)} images, but {rows} rows of {columns} need {rows * columns}. Decode one "
            "image per position of the grid."
        )
    if array.ndim == 3:
        figure, axes, every = sheet(array, rows, columns, title, channels)
    else:
        figure, axes, every = *_sheet(array, rows, columns, title), 1
    quiet(axes, spines=())
    named_ticks(axes, x=_centers(x, every), y=_centers(y, every))
    axes.tick_params(labelsize=SMALL_SIZE)
    label(axes, *axis_labels)
    return figure


def _ranks(count: str) -> dict[int, str]:
    """Shapes of images, sequences and frames, by their number of axes."""
    return {4: f"({count}, C, H, W)", 3: f"({count}, C, T)", 5: f"({count}, F, C, H, W)"}


def bilinear(
    images: npt.ArrayLike,
    *,
    title: str = "Bilinear interpolation between four examples",
    channels: Sequence[str] = (),
) -> Figure:
    """Images or sequences on a square grid between four framed corners, joined to one image.

    Args:
        images: (side * side, C, H, W) or (side * side, C, T), row by row, the top row first: u increases from left to
            right and v from top to bottom, both from 0 to 1.
        title: title of the figure.
        channels: names of the channels of sequences.
    """
    array = finite(images, "The interpolation")
    check_shape(array, _ranks("side * side"), "The interpolation")
    side = math.isqrt(len(array))
    if side * side != len(array):
        raise BadData(f"The interpolation has {len(array)} images, which fill no square. Decode a square grid.")
    weights = np.linspace(0, 1, side).tolist()
    figure = manifold(array, x=weights, y=weights, title=title, axis_labels=("u", "v"), channels=channels)
    (axes,) = figure.axes
    every = thinned(side) if array.ndim == 3 else 1
    ends = [end for end in (0, side - 1) if end % every == 0]
    for row, column in product(ends, ends):
        frame(axes, (column, column + every, row + every, row), VERMILION, 2)
    return figure


def _sheet(images: Array, rows: int, columns: int, title: str) -> tuple[Figure, Axes]:
    """A figure of joined images whose axes count them: image (0, 0) covers the square from 0 to 1."""
    if images.ndim == 5:
        images, title = middle_frame(images, 1, title)
    tiles, remark = displayed(images)
    high, wide = tiles.shape[1:3]
    inch = tile_inches(columns, wide, wide=SQUARE)
    figure = canvas(columns * inch + MARGIN, rows * inch * high / wide + MARGIN)
    axes = figure.add_subplot()
    sheet, border = _joined(tiles, rows, columns), (0, columns, rows, 0)
    axes.imshow(sheet, cmap=GREY.name, vmin=0, vmax=1, interpolation="nearest", extent=border)
    axes.set_aspect(high / wide)
    entitle(axes, remarked(title, remark))
    return figure, axes


def _joined(tiles: Array, rows: int, columns: int) -> Array:
    """Images (rows * columns, H, W, ...) as one image (rows * H, columns * W, ...)."""
    high, wide, *channels = tiles.shape[1:]
    grid = tiles.reshape(rows, columns, high, wide, *channels).swapaxes(1, 2)
    return grid.reshape(rows * high, columns * wide, *channels)


def _centers(values: Sequence[float], every: int = 1) -> dict[float, str]:
    """Positions and coordinates of at most nine evenly spaced cells, beginning with the first.

    Only one of ``every`` cells is drawn, in the place of all of these.
    """
    step = every * math.ceil(math.ceil(len(values) / every) / 9)
    return {k + every / 2: short(values[k]) for k in range(0, len(values), step)}
