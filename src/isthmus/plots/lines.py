"""Line plots with reference levels: learning curves, sweeps over an option."""

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
COLORS = (BLUE, VERMILION, "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MOST_MARKERS = 16
CROWDED = 1e3
"""Ratio of the ends of a logarithmic axis above which only powers of ten have labels."""
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
    """Lines, each with its own color and marker, and dashed horizontal lines in the same colors.

    Args:
        series: name -> points (x, y) of a line, of equal lengths, finite.
        title: title of the figure.
        axis_labels: names of the axes, with units.
        beside: name -> a second line, dashed in the color of the first and without markers; the title has to explain
            the two.
        levels: name -> y of a horizontal line; the first has the color of the first line, and so on.
        spreads: name -> error of each y of a line, in its units, drawn as an error bar of plus and minus that length.
        x_names: tick labels at x = 0, 1, ... in place of numbers.
        log_x: whether the x axis is logarithmic.
        log_y: whether the y axis is logarithmic.

    Raises:
        ShapeError: a line whose x and y differ in length.
        BadData: nothing to draw, or values that are not finite.
    """
    figure = canvas(6.6, 4.0)
    axes = figure.add_subplot()
    for number, name in enumerate(series):
        across, up = _points(series[name], name)
        color, marker = COLORS[number % len(COLORS)], MARKERS[number % len(MARKERS)]
        every = -(-across.size // MOST_MARKERS)
        axes.plot(across, up, color=color, marker=marker, markevery=every, ms=4, lw=1.6, label=name)
        if beside and name in beside:
            axes.plot(*_points(beside[name], name), color=color, lw=1.1, ls="--")
        if spreads and name in spreads:
            _, errors = _points((series[name][0], spreads[name]), name)
            axes.errorbar(across, up, errors, fmt="none", ecolor=color, elinewidth=1, capsize=2)
    for number, (name, height) in enumerate((levels or {}).items()):
        axes.axhline(height, color=COLORS[number % len(COLORS)], lw=1.1, ls="--", label=name)
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
    """Plain numbers on a logarithmic axis: 20, 50, 1,000."""
    formatter = FuncFormatter(lambda value, _position: f"{value:,.10g}")
    low, high = axis.get_data_interval()
    axis.set_major_formatter(formatter)
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_minor_formatter(formatter if high < CROWDED * low else NullFormatter())
    axis.set_tick_params(which="minor", labelsize=LABEL_SIZE - 1)


def _points(line: Line, name: str) -> tuple[Array, Array]:
    """The points of a line, checked."""
    x, y = line
    across, up = finite(x, f"x of {name}"), finite(y, f"y of {name}")
    if across.shape != up.shape:
        raise ShapeError(
            f"The line {name!r} has {across.size} x and {up.size} y, but the numbers must be equal. Pass one y per x."
        )
    return across, up
