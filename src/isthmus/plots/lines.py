"""Named lines over one axis, beside levels to compare them with: learning curves, sweeps over an option."""

from collections.abc import Mapping, Sequence

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from isthmus.errors import ShapeError
from isthmus.plots.canvas import (
    BLUE,
    INK,
    LABEL_SIZE,
    SMALL_SIZE,
    VERMILION,
    Array,
    canvas,
    entitle,
    finite,
    label,
    quiet,
)

Line = tuple[Sequence[float], Sequence[float]]
COLOURS = (BLUE, VERMILION, "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MOST_MARKERS = 16
CROWDED = 1e3
"""Ratio of the ends of a logarithmic axis from which on only powers of ten are written."""
MARKERS = ("o", "s", "^", "D", "v", "P")


def lines(
    series: Mapping[str, Line],
    *,
    title: str,
    axis_labels: tuple[str, str],
    levels: Mapping[str, float] | None = None,
    beside: Mapping[str, Line] | None = None,
    spreads: Mapping[str, Sequence[float]] | None = None,
    x_names: Sequence[str] = (),
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """Lines through points, each with a colour and a marker of its own, and dashed levels in the same colours.

    Args:
        series: the points (x, y) of each line by its name; equal lengths, finite.
        title: what the figure is called.
        axis_labels: names of the axes, with units.
        beside: a second line for some of the names, dashed in the colour of the first and without markers; what the
            two are is for the title to say.
        levels: heights to compare with, by name; the first has the colour of the first line, and so on.
        spreads: by name, how far each y of a line may be off, in its units; drawn as a bar of twice that length.
        x_names: what stands at x = 0, 1, ... instead of numbers.
        log_x: whether x is drawn on a logarithmic scale.
        log_y: the same of y.

    Raises:
        ShapeError: a line whose x and y differ in length.
        BadData: nothing to draw, or values that are not finite.
    """
    figure = canvas(6.6, 4.0)
    axes = figure.add_subplot()
    for number, name in enumerate(series):
        across, up = _points(series[name], name)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        every = -(-across.size // MOST_MARKERS)
        axes.plot(across, up, color=colour, marker=marker, markevery=every, ms=4, lw=1.6, label=name)
        if beside and name in beside:
            axes.plot(*_points(beside[name], name), color=colour, lw=1.1, ls="--")
        if spreads and name in spreads:
            _, off = _points((series[name][0], spreads[name]), name)
            axes.errorbar(across, up, off, fmt="none", ecolor=colour, elinewidth=1, capsize=2)
    for number, (name, height) in enumerate((levels or {}).items()):
        axes.axhline(height, color=COLOURS[number % len(COLOURS)], lw=1.1, ls="--", label=name)
    if x_names:
        axes.set_xticks(range(len(x_names)), x_names, parse_math=False)
    if log_x:
        axes.set_xscale("log")
        _plain(axes.xaxis)
    if log_y:
        axes.set_yscale("log")
        _plain(axes.yaxis)
    entitle(axes, title)
    label(axes, *axis_labels)
    quiet(axes)
    axes.margins(y=0.12)
    axes.legend(frameon=False, fontsize=SMALL_SIZE, labelcolor=INK)
    axes.tick_params(labelsize=LABEL_SIZE - 1)
    return figure


def _plain(axis: Axis) -> None:
    """Numbers as people write them on a logarithmic axis: 20, 50, 1,000."""
    written = FuncFormatter(lambda value, _place: f"{value:,.10g}")
    low, high = axis.get_data_interval()
    axis.set_major_formatter(written)
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter(written if high < CROWDED * low else NullFormatter())
    axis.set_tick_params(which="minor", labelsize=LABEL_SIZE - 1)


def _points(line: Line, name: str) -> tuple[Array, Array]:
    """The points of a line, checked."""
    x, y = line
    across, up = finite(x, f"x of {name}"), finite(y, f"y of {name}")
    if across.shape != up.shape:
        raise ShapeError(f"The line {name!r} has {across.size} x and {up.size} y, but needs as many of each.")
    return across, up
