"""Images, frames, sequences and tables side by side: data, reconstructions, samples, filters."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isthmus.errors import BadData, ShapeError
from isthmus.plots.canvas import (
    BLUE,
    FRAME,
    QUIET,
    SIGNED,
    SMALL_SIZE,
    SQUARE,
    VERMILION,
    Array,
    Colors,
    canvas,
    check_count,
    check_shape,
    cut,
    displayed,
    entitle,
    finite,
    head,
    heat,
    label,
    middle_frame,
    mosaic,
    named_ticks,
    panel_columns,
    quiet,
    range_of,
    remarked,
    scale,
    whole_ticks,
)
from isthmus.plots.sequences import overlaid, several

MOST_COLUMNS, MOST_TILES, MOST_PANELS, MOST_BARS, MOST_ROWS = 12, 64, 6, 40, 8
SHORTEST = 12
"""Fewest steps of a filter of sequences that is drawn as a line."""
IMAGES, TABLE = "(N, C, H, W)", "(N, D)"
RANKS = {4: IMAGES, 2: TABLE, 3: "(N, C, T)", 5: "(N, F, C, H, W)"}
"""Shapes of images, tables, sequences and frames, by their number of axes."""


def strip(
    rows: Mapping[str, npt.ArrayLike], *, title: str, captions: Sequence[str] = (), captions_name: str = ""
) -> Figure:
    """Labeled rows of images, such as original, corrupted, restored.

    Args:
        rows: label -> images (N, C, H, W), all of the same shape; the first 12 are shown.
        title: title of the figure.
        captions: a short text below each column.
        captions_name: name of the captions.
    """
    arrays = {name: finite(values, f"Row {name!r}") for name, values in rows.items()}
    _check_rows(arrays, {4: IMAGES})
    columns = min(MOST_COLUMNS, len(next(iter(arrays.values()))))
    tiles, remark = displayed(np.concatenate([images[:columns] for images in arrays.values()]))
    figure, axes, grid = mosaic(tiles, columns, remarked(title, remark))
    below = {grid.x(k): text for k, text in enumerate(captions[:columns])}
    named_ticks(axes, x=below, y={grid.y(k): name for k, name in enumerate(arrays)})
    label(axes, captions_name)
    return figure


def _check_rows(arrays: dict[str, Array], ranks: dict[int, str]) -> None:
    if not arrays:
        raise BadData("There are no rows of images, but a figure needs at least one. Pass label -> images.")
    shapes = {name: array.shape for name, array in arrays.items()}
    for name, array in arrays.items():
        check_shape(array, ranks, f"Row {name!r}")
    if len(set(shapes.values())) > 1:
        raise ShapeError(
            f"The rows have shapes {shapes}, but all shapes must be equal. Pass the same examples in each row."
        )


def reconstructions(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    error: npt.ArrayLike | None = None,
    title: str = "Reconstructions",
    channels: Sequence[str] = (),
) -> Figure:
    """Originals above their reconstructions; for sequences and tables both in one panel per example, of the first 6.

    Args:
        x: originals, (N, C, H, W), (N, C, T), (N, F, C, H, W) or (N, D).
        y: reconstructions, of the same shape.
        error: squared error of each example, (N,), printed beside it.
        title: title of the figure.
        channels: names of the channels of sequences.
    """
    original, made = finite(x, "The original"), finite(y, "The reconstruction")
    check_shape(original, RANKS, "The original")
    if original.shape != made.shape:
        raise ShapeError(
            f"The original has shape {original.shape} and the reconstruction {made.shape}, but the shapes must be "
            "equal. Pass the reconstructions of these originals."
        )
    notes = [] if error is None else _errors(error, len(original))
    rows = {"original": original, "reconstruction": made}
    if original.ndim != 4:
        return _other_panels(rows, [f"squared error {note}" for note in notes], title, channels)
    return strip(rows, title=title, captions=notes, captions_name="squared error" if notes else "")


def denoised(
    rows: Mapping[str, npt.ArrayLike],
    *,
    psnr: Sequence[npt.ArrayLike] = (),
    title: str = "Denoised",
    channels: Sequence[str] = (),
) -> Figure:
    """Clean, corrupted and restored examples in rows; for sequences and tables one panel per example, of the first 6.

    Args:
        rows: label -> (N, C, H, W), (N, C, T), (N, F, C, H, W) or (N, D), all of the same shape, from clean to
            restored.
        psnr: PSNR of the images of the last rows, in dB, (N,) each, printed below the images.
        title: title of the figure.
        channels: names of the channels of sequences.
    """
    arrays = {name: finite(values, f"Row {name!r}") for name, values in rows.items()}
    _check_rows(arrays, RANKS)
    first = next(iter(arrays.values()))
    if first.ndim != 4:
        return _other_panels(arrays, [], title, channels)
    captions = ["\n".join(pair) for pair in zip(*(_decibels(values, len(first)) for values in psnr), strict=True)]
    name = "PSNR in dB, " + " above ".join(list(arrays)[-len(psnr) :]) if psnr else ""
    return strip(arrays, title=title, captions=captions, captions_name=name)


def _other_panels(rows: Mapping[str, Array], notes: Sequence[str], title: str, channels: Sequence[str]) -> Figure:
    """Versions of rows of tables, sequences or frames."""
    rank = next(iter(rows.values())).ndim
    if rank == 3:
        return overlaid(rows, title, notes=notes, channels=channels)
    if rank == 5:
        return _frame_rows(rows, notes, title)
    return _table_panels(rows, [f", {note}" for note in notes], title)


def _frame_rows(rows: Mapping[str, Array], notes: Sequence[str], title: str) -> Figure:
    """Frames of the first examples from left to right, with the versions of an example below each other."""
    first = next(iter(rows.values()))
    count, columns = min(max(1, MOST_ROWS // len(rows)), len(first)), min(MOST_COLUMNS, first.shape[1])
    tiles, remark = displayed(np.concatenate([frames[k, :columns] for k in range(count) for frames in rows.values()]))
    figure, axes, grid = mosaic(tiles, columns, remarked(title, remark))
    names = [f"{name} {k}" for k in range(count) for name in rows]
    if notes:
        names = [f"{name}\n{notes[k // len(rows)]}" if k % len(rows) else name for k, name in enumerate(names)]
    frames = {grid.x(k): str(k) for k in range(columns)}
    named_ticks(axes, x=frames, y={grid.y(k): name.strip() for k, name in enumerate(names)})
    label(axes, "frame" if columns == first.shape[1] else f"frame (first {columns} of {first.shape[1]})")
    return figure


def _decibels(values: npt.ArrayLike, count: int) -> list[str]:
    decibels = finite(values, "The PSNR")
    check_count(decibels, count, "The PSNR", "example")
    return [f"{value:.1f}" for value in decibels]


def _errors(error: npt.ArrayLike, count: int) -> list[str]:
    """The errors as text with equal numbers of decimals, three significant digits for the largest."""
    errors = finite(error, "The squared error")
    check_count(errors, count, "The squared error", "example")
    most = float(np.abs(errors[:MOST_COLUMNS]).max())
    decimals = max(0, 2 - math.floor(math.log10(most))) if most > 0 else 0
    return [f"{value:.{min(decimals, 6)}f}" for value in errors]


def _table_panels(rows: Mapping[str, Array], notes: Sequence[str], title: str) -> Figure:
    """One panel per example: the first row as bars or a line, the others as markers or lines."""
    first = next(iter(rows.values()))
    count = min(MOST_PANELS, len(first))
    columns = panel_columns(count)
    height = math.ceil(count / columns)
    figure = canvas(3.3 * columns + 0.5, 2.1 * height + 1.0)
    panels = figure.subplots(height, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for k, axes in enumerate(panels):
        axes.set_visible(k < count)
        if k < count:
            _compare(axes, {name: table[k] for name, table in rows.items()})
            name = f"example {k}" + (notes[k] if notes else "")
            axes.set_title(name, loc="left", fontsize=SMALL_SIZE, color=QUIET)
            last = k + columns >= count
            axes.tick_params(labelbottom=last)
            label(axes, "feature" if last else "", "value" if k % columns == 0 else "")
    marks, names = panels[0].get_legend_handles_labels()
    order = [names.index(name) for name in rows]
    legend = figure.legend(
        [marks[k] for k in order], [names[k] for k in order], loc="outside lower right", ncols=len(rows)
    )
    legend.set_frame_on(False)
    head(figure, title)
    return figure


def _compare(axes: Axes, rows: Mapping[str, Array]) -> None:
    """One example: the first row in gray, the last in blue, those between in vermilion."""
    (first, target), *others = rows.items()
    features = np.arange(len(target))
    few = len(target) <= MOST_BARS
    if few:
        axes.bar(features, target, width=0.8, color=FRAME, label=first)
    else:
        axes.plot(features, target, color="#9a9a9a", lw=1.6, label=first)
    for number, (name, values) in enumerate(others, 1):
        last = number == len(others)
        color, mark = (BLUE, "o") if last else (VERMILION, "x")
        if few:
            axes.plot(features, values, mark, color=color, ms=3.5, label=name)
        else:
            axes.plot(features, values, color=color, lw=0.9 if last else 0.6, label=name)
    quiet(axes)
    whole_ticks(axes, x=True)


def samples(x: npt.ArrayLike, *, title: str = "Samples", channels: Sequence[str] = ()) -> Figure:
    """Up to 64 images (N, C, H, W) in a nearly square grid; other examples by their own kind of picture.

    Args:
        x: images, sequences (N, C, T) as lines, frames (N, F, C, H, W) in rows, or a table (N, D) as a heat map.
        title: title of the figure.
        channels: names of the channels of sequences.
    """
    array = finite(x, "The samples")
    check_shape(array, RANKS, "The samples")
    if array.ndim == 2:
        return _heat_map(array[:MOST_TILES], range_of(array), ("example", "value"), title)
    if array.ndim == 3:
        return several(array, title, channels=channels)
    if array.ndim == 5:
        return _frame_rows({"": array}, [], cut(title, min(MOST_ROWS, len(array)), len(array)))
    tiles, remark = displayed(array[:MOST_TILES])
    return mosaic(tiles, math.ceil(math.sqrt(len(tiles))), remarked(title, remark), wide=SQUARE)[0]


def filters(weights: npt.ArrayLike, *, title: str = "Filters of the first layer") -> Figure:
    """First-layer weights: up to 64 images, or for a table a heat map of units by features.

    Each image is divided by its largest absolute weight, so that white is zero; channels are averaged. The heat map
    has one scale, symmetric about zero. Weights of sequences are lines, or, where they have few steps, images of
    channels by steps; those of frames are shown by the middle frame.

    Args:
        weights: (N, C, H, W), (N, C, T), (N, F, C, H, W), or (N, D) with one row per unit.
        title: title of the figure.
    """
    array = finite(weights, "The weights")
    check_shape(array, RANKS | {2: "(units, D)"}, "The weights")
    if array.ndim == 2:
        most = float(np.abs(array).max()) or 1.0
        return _heat_map(array, Colors(SIGNED.name, -most, most), ("unit", "weight"), title)
    if array.ndim == 3 and array.shape[2] >= SHORTEST:
        return several(array, title)
    if array.ndim == 3:
        array, title = array[:, None], remarked(title, "channels from top to bottom, steps from left to right")
    if array.ndim == 5:
        array, title = middle_frame(array, 1, title)
    tiles = array[:MOST_TILES].mean(axis=1)
    most = np.abs(tiles).max(axis=(1, 2), keepdims=True)
    tiles = tiles / np.where(most > 0, most, 1)
    columns = math.ceil(math.sqrt(len(tiles)))
    figure, axes, _ = mosaic(tiles, columns, cut(title, len(tiles), len(array)), colors=SIGNED, wide=SQUARE)
    scale(axes, axes.images[0], "relative weight")
    return figure


def _heat_map(table: Array, colors: Colors, names: tuple[str, str], title: str) -> Figure:
    rows, columns = table.shape
    figure = canvas(min(9.0, 3.6 + 0.12 * columns), min(7.0, 2.4 + 0.1 * rows))
    axes = figure.add_subplot()
    image = heat(axes, table, colors)
    label(axes, "feature", names[0])
    scale(axes, image, names[1])
    entitle(axes, title)
    return figure
