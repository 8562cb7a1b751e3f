"""Sequences as lines: one panel per example and channel, each channel with a value axis of its own."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from isthmus.plots.canvas import (
    BLUE,
    FRAME,
    MARGIN,
    QUIET,
    SMALL_SIZE,
    SQUARE,
    VERMILION,
    Array,
    canvas,
    common_scale,
    cut,
    entitle,
    head,
    label,
    named_ticks,
    panel_columns,
    quiet,
    remarked,
    whole_ticks,
)
from isthmus.plots.lines import COLORS

MOST_EXAMPLES, MOST_SAMPLES, MOST_CHANNELS, MOST_CELLS = 6, 24, 6, 10
"""Panels of examples, of samples of one channel, rows of channels, and cells along each side of a grid of codes."""
WIDE, TALL = 10.0, 1.35
"""Width of all panels, and height of one, in inches."""
DOTTED = 16
"""Largest number of steps that are drawn as dots too."""
GRAY, DARKEST = "#9a9a9a", 0.84
"""Color of originals, and the end of ``cividis`` for lines: beyond it is yellow, which cannot be seen on white."""


def overlaid(
    rows: Mapping[str, Array], title: str, *, notes: Sequence[str] = (), channels: Sequence[str] = ()
) -> Figure:
    """Several versions of the same sequences on top of each other, such as original and reconstruction.

    Args:
        rows: label -> sequences (N, C, T), all of the same shape; the first in gray, the last in blue.
        title: title of the figure.
        notes: a short text for each example, beside its number.
        channels: names of the channels, by default their numbers.
    """
    first = next(iter(rows.values()))
    shown = min(MOST_EXAMPLES if first.shape[1] == 1 else 3, len(first))
    names = [f"example {k}{f', {notes[k]}' if notes else ''}" for k in range(shown)]
    figure, panels = _panels(names, first.shape, channels)
    for axes, example, channel in panels:
        for number, (name, values) in enumerate(rows.items()):
            last = number == len(rows) - 1
            color, width = (GRAY, 2.0) if number == 0 else (BLUE, 1.2) if last else (VERMILION, 0.7)
            if len(rows) == 1:
                color, width = BLUE, 1.2
            _line(axes, values[example, channel], color, width, name)
    marks, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(marks, labels, loc="outside lower right", ncols=len(rows), frameon=False)
    head(figure, _shortened(title, first.shape[1]))
    return figure


def several(x: Array, title: str, *, channels: Sequence[str] = ()) -> Figure:
    """Sequences (N, C, T), one panel each, with one row per channel if there are several."""
    shown = min(MOST_SAMPLES if x.shape[1] == 1 else MOST_EXAMPLES, len(x))
    figure, panels = _panels([""] * shown, x.shape, channels)
    for axes, example, channel in panels:
        _line(axes, x[example, channel], BLUE, 1.2)
    head(figure, cut(_shortened(title, x.shape[1]), shown, len(x)))
    return figure


def fans(
    paths: Array,
    names: Sequence[str],
    values: Sequence[float],
    values_name: str,
    title: str,
    *,
    channels: Sequence[str] = (),
) -> Figure:
    """Paths of decoded sequences (R, steps, C, T): one panel per path and channel, with the steps from dark to light.

    Args:
        paths: decoded sequences; the first six paths (three of several channels) are drawn.
        names: names of the paths.
        values: the value of each step, which is its color.
        values_name: name of the values.
        title: title of the figure.
        channels: names of the channels, by default their numbers.
    """
    shown = min(MOST_EXAMPLES if paths.shape[2] == 1 else 3, len(paths))
    figure, panels = _panels(list(names[:shown]), paths.shape[:1] + paths.shape[2:], channels)
    light = ListedColormap(colormaps["cividis"](np.linspace(0, DARKEST, 256)))
    scale = Normalize(values[0], values[-1] if values[-1] != values[0] else values[0] + 1)
    for axes, path, channel in panels:
        for step, value in enumerate(values):
            end = step in (0, len(values) - 1)
            _line(axes, paths[path, step, channel], light(float(scale(value))), 1.8 if end else 0.9)
    common_scale(figure, ScalarMappable(scale, light), [axes for axes, _, _ in panels], values_name)
    head(figure, cut(_shortened(title, paths.shape[2]), shown, len(paths)))
    return figure


def sheet(x: Array, rows: int, columns: int, title: str, channels: Sequence[str] = ()) -> tuple[Figure, Axes, int]:
    """A grid of small sequences (rows * columns, C, T) without ticks, thinned to at most ten or so along each side.

    Each channel has one scale for the whole grid and a band of its own in each cell. The axes count the cells of the
    grid that was passed: cell (0, 0) covers the square from 0 to 1.

    Returns:
        The figure, its axes, and the side of a cell that is drawn, in cells that were passed.
    """
    every = max(thinned(rows), thinned(columns))
    count = min(x.shape[1], len(COLORS))
    figure = canvas(SQUARE + MARGIN, SQUARE * min(2.0, max(0.5, rows / columns)) + MARGIN)
    axes = figure.add_subplot()
    low, high = (f(x[:, :count], axis=(0, 2), keepdims=True)[0] for f in (np.min, np.max))
    # a line of height 1 upwards, in a band of its channel that grows downwards
    level = (x[:, :count] - low) / np.where(high > low, high - low, 1.0)
    down = (np.arange(count)[:, None] + 0.92 - 0.84 * level) / count
    steps = np.linspace(0.08, 0.92, x.shape[2]) if x.shape[2] > 1 else np.array([0.08, 0.92])
    down = np.broadcast_to(down, (*down.shape[:2], len(steps)))
    for channel in range(count):
        lines = [
            np.stack([column + every * steps, row + every * down[row * columns + column, channel]], 1)
            for row in range(0, rows, every)
            for column in range(0, columns, every)
        ]
        name = _channel(channel, channels) if count > 1 else None
        axes.add_collection(LineCollection(lines, colors=COLORS[channel], linewidths=1.1, label=name))
    _cells(axes, rows, columns, every)
    if count > 1:
        figure.legend(loc="outside lower right", ncols=count, frameon=False, fontsize=SMALL_SIZE)
    entitle(axes, remarked(title, f"first {count} of {x.shape[1]} channels" if count < x.shape[1] else ""))
    return figure, axes, every


def _cells(axes: Axes, rows: int, columns: int, every: int) -> None:
    """The borders of the cells."""
    right, bottom = -(-columns // every) * every, -(-rows // every) * every
    axes.set_xlim(0, right)
    axes.set_ylim(bottom, 0)
    axes.hlines(range(0, bottom + 1, every), 0, right, color=FRAME, lw=0.6)
    axes.vlines(range(0, right + 1, every), 0, bottom, color=FRAME, lw=0.6)
    quiet(axes, spines=())
    named_ticks(axes)


def thinned(count: int) -> int:
    """Every how many cells are drawn; both ends are, if that is possible."""
    least = max(1, math.ceil(count / MOST_CELLS))
    return next((k for k in range(least, 2 * least + 2) if (count - 1) % k == 0), least) if count > 1 else 1


def _panels(
    names: Sequence[str], shape: tuple[int, ...], channels: Sequence[str]
) -> tuple[Figure, list[tuple[Axes, int, int]]]:
    """Panels with their example and channel: examples beside each other; channels, if several, below each other."""
    count, rows = len(names), min(shape[1], MOST_CHANNELS)
    columns = count if rows > 1 else panel_columns(count) if count <= MOST_EXAMPLES else MOST_EXAMPLES
    lines = rows if rows > 1 else math.ceil(count / columns)
    width = min(WIDE, max(4.6, 3.4 * columns))
    figure = canvas(width, TALL * lines * (1.25 if lines < 3 else 1.0) + 0.9)
    # the unit of a channel is its own, so panels of one channel have one value axis and others another
    grid = figure.subplots(lines, columns, sharex=True, sharey="row" if rows > 1 else True, squeeze=False)
    found = [(axes, *divmod(k, columns)) for k, axes in enumerate(grid.ravel())]
    for axes, line, column in found:
        k = column if rows > 1 else line * columns + column
        last = line == lines - 1 if rows > 1 else k + columns >= count
        axes.set_visible(k < count)
        axes.tick_params(labelbottom=last)
        quiet(axes)
        whole_ticks(axes, x=True)
        axes.yaxis.get_major_locator().set_params(nbins=4)
        axes.set_title(names[k] if k < count and (line == 0 or rows == 1) else "", **_SMALL)
        left = _channel(line, channels) if rows > 1 else channels[0] if channels else "value"
        label(axes, "step" if last else "", left if column == 0 else "")
    figure.align_ylabels(list(grid[:, 0]))
    if rows > 1:
        return figure, [(axes, column, line) for axes, line, column in found]
    return figure, [
        (axes, line * columns + column, 0) for axes, line, column in found if line * columns + column < count
    ]


_SMALL = {"loc": "left", "fontsize": SMALL_SIZE, "color": QUIET, "parse_math": False}


def _line(axes: Axes, values: Array, color: object, width: float, name: str | None = None) -> None:
    """One sequence; with dots if it has few steps, as a single step is no line."""
    few = len(values) <= DOTTED
    axes.plot(values, color=color, lw=width, marker="o" if few else None, ms=2.2 + width, label=name)


def _channel(number: int, names: Sequence[str]) -> str:
    """The name of a channel, by default its number, counted from 0 like all columns."""
    return names[number] if names else f"channel {number}"


def _shortened(title: str, channels: int) -> str:
    """The title, with a remark if not all channels are drawn."""
    return remarked(title, f"first {MOST_CHANNELS} of {channels} channels" if channels > MOST_CHANNELS else "")
