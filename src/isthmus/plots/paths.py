"""Paths in latent space: interpolations between two codes, and traversals of one latent."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isthmus.errors import ShapeError
from isthmus.plots.canvas import (
    INK,
    LABEL_SIZE,
    VERMILION,
    Array,
    Grid,
    canvas,
    check_count,
    check_shape,
    common_scale,
    cut,
    displayed,
    finite,
    frame,
    head,
    heat,
    label,
    middle_frame,
    mosaic,
    named_ticks,
    panel_columns,
    range_of,
    remarked,
    short,
    tile_inches,
)
from isthmus.plots.sequences import fans

MOST_ROWS, MOST_PANELS = 16, 6


def interpolation(frames: npt.ArrayLike, *, title: str = "Interpolations", channels: Sequence[str] = ()) -> Figure:
    """Interpolations from t = 0 to t = 1, one per row, with both ends framed; lines for sequences, else heat maps.

    Args:
        frames: (R, steps, C, H, W), (R, steps, C, T) or (R, steps, D), evenly spaced from one end to the other; the
            first 16 rows (6 for sequences and tables) are shown. Of (R, steps, F, C, H, W) the middle frame is shown.
        title: title of the figure.
        channels: names of the channels of sequences.
    """
    paths = finite(frames, "The interpolation")
    check_shape(paths, _ranks("R"), "The interpolation")
    if paths.ndim == 6:
        paths, title = middle_frame(paths, 2, title)
    ends = np.linspace(0, 1, paths.shape[1])
    times = [short(t) for t in ends]
    names = [f"pair {k + 1}" for k in range(len(paths))]
    if paths.ndim == 4:
        return fans(paths, names, ends.tolist(), "t", title, channels=channels)
    if paths.ndim == 3:
        return _heat_panels(paths, names, times, "t", title)
    figure, axes, grid = _image_rows(paths, [], times, "t (the two ends are framed)", title)
    for row in range(grid.rows):
        for column in (0, grid.columns - 1):
            frame(axes, grid.extent(row, column), VERMILION, 2)
    return figure


def traversals(
    frames: npt.ArrayLike,
    values: npt.ArrayLike,
    kl: npt.ArrayLike | None = None,
    *,
    names: Sequence[str] = (),
    values_name: str = "value of the latent",
    title: str = "Latent traversals",
    channels: Sequence[str] = (),
) -> Figure:
    """Traversals of one latent per row, in the given order, best by decreasing KL; lines or heat maps.

    Args:
        frames: (d, steps, C, H, W), (d, steps, C, T) or (d, steps, D); the first 16 latents (6 for sequences and
            tables) are shown. Of (d, steps, F, C, H, W) the middle frame is shown.
        values: values of the latent, (steps,).
        kl: KL divergence of each latent in nats, (d,), printed beside its name.
        names: names of the rows; by default "z1", "z2", ...
        values_name: name of the values.
        title: title of the figure.
        channels: names of the channels of sequences.
    """
    paths = finite(frames, "The traversal")
    check_shape(paths, _ranks("d"), "The traversal")
    if paths.ndim == 6:
        paths, title = middle_frame(paths, 2, title)
    checked = finite(values, "The array of values")
    check_count(checked, paths.shape[1], "The array of values", "step")
    labels = _row_labels(len(paths), names, kl)
    steps = [short(value) for value in checked]
    if paths.ndim == 4:
        return fans(paths, labels, checked.tolist(), values_name, title, channels=channels)
    if paths.ndim == 3:
        return _heat_panels(paths, labels, steps, values_name, title)
    return _image_rows(paths, labels, steps, values_name, title)[0]


def _ranks(rows: str) -> dict[int, str]:
    """Shapes of paths of images, sequences, rows of tables and frames, by their number of axes."""
    inner = {5: "C, H, W", 4: "C, T", 3: "D", 6: "F, C, H, W"}
    return {rank: f"({rows}, steps, {axes})" for rank, axes in inner.items()}


def _row_labels(count: int, names: Sequence[str], kl: npt.ArrayLike | None) -> list[str]:
    labels = list(names) or [f"z{k + 1}" for k in range(count)]
    if len(labels) != count:
        raise ShapeError(f"There are {len(labels)} names, but {count} latents. Pass one name per latent.")
    if kl is None:
        return labels
    nats = finite(kl, "The KL")
    check_count(nats, count, "The KL", "latent")
    return [f"{name}  {value:.1f} nats" for name, value in zip(labels, nats, strict=True)]


def _image_rows(
    paths: Array, labels: Sequence[str], steps: Sequence[str], name: str, title: str
) -> tuple[Figure, Axes, Grid]:
    """Paths as rows of images, with the steps below and the labels on the left."""
    shown, count = paths[:MOST_ROWS], paths.shape[1]
    tiles, remark = displayed(shown.reshape(-1, *shown.shape[2:]))
    figure, axes, grid = mosaic(tiles, count, remarked(cut(title, len(shown), len(paths)), remark))
    below = {grid.x(k): steps[k] for k in range(0, count, _stride(count, shown.shape[-1]))}
    named_ticks(axes, x=below, y={grid.y(k): text for k, text in enumerate(labels[: len(shown)])})
    label(axes, name)
    return figure, axes, grid


def _stride(count: int, pixels: int) -> int:
    """Columns per tick label, if possible a divisor of the steps, so that both ends have a label."""
    least = max(1, math.ceil(0.42 / tile_inches(count, pixels)))
    return next((k for k in range(least, 2 * least + 2) if (count - 1) % k == 0), least)


def _heat_panels(paths: Array, names: Sequence[str], steps: Sequence[str], name: str, title: str) -> Figure:
    """One heat map per path, features by steps, with a common color scale."""
    shown = paths[:MOST_PANELS]
    columns = panel_columns(len(shown))
    rows = math.ceil(len(shown) / columns)
    figure = canvas(2.9 * columns + 1.3, 2.4 * rows + 0.9)
    colors, panels = range_of(shown), []
    for k, path in enumerate(shown):
        axes = figure.add_subplot(rows, columns, k + 1)
        image = heat(axes, path.T, colors)
        axes.set_title(names[k], loc="left", fontsize=LABEL_SIZE, color=INK, parse_math=False)
        chosen = sorted({0, (len(steps) - 1) // 2, len(steps) - 1})
        axes.set_xticks(chosen, [steps[i] for i in chosen])
        label(axes, name if k + columns >= len(shown) else "", "feature" if k % columns == 0 else "")
        panels.append(axes)
    common_scale(figure, image, panels, "value")
    head(figure, cut(title, len(shown), len(paths)))
    return figure
