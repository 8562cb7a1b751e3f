"""What all figures share: the look, the checks at the door, tiled pictures, heat maps and saving.

Colours are safe for colour-blind readers: Okabe and Ito's blue and vermilion for two series, ``cividis`` for values,
``RdBu`` about zero for weights, ``gray`` for pictures. Pixels are never interpolated. Text that comes from outside
is never read as mathematics, so a data set called ``a$b`` is drawn as it is written.
"""

import io
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from isthmus.errors import BadData, ShapeError
from isthmus.files import replacing

Array = npt.NDArray[np.float64]

INK, QUIET, FRAME = "#222222", "#6b6b6b", "#cccccc"
BLUE, VERMILION = "#0072B2", "#D55E00"
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 12.0, 10.0, 8.5
DPI = 130
# Room for a title, row labels or a colour bar beside the drawing, in inches.
MARGIN = 0.9
# What the tiles of a row share, in inches: a row of a film, and the side of a square of tiles.
WIDE, SQUARE = 9.0, 6.6


def finite(values: npt.ArrayLike, name: str) -> Array:
    """``values`` as an array of finite numbers; ``BadData`` if it is empty or holds NaN or infinity."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise BadData(f"{name} came empty, with shape {array.shape}, but a figure needs at least one. Give more data.")
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise BadData(
            f"{name} cannot be drawn: {bad} of {array.size} values are NaN or infinite, but all must be "
            "finite. Look for missing data, or for a run that diverged."
        )
    return array


def check_shape(array: Array, ranks: dict[int, str], name: str) -> None:
    """Raise ``ShapeError`` unless the number of axes is one of ``ranks`` (rank -> how its shape is written)."""
    if array.ndim not in ranks:
        allowed = " or ".join(ranks.values())
        raise ShapeError(
            f"{name} came with shape {array.shape}, but {allowed} is needed. Reshape it; channels come first."
        )


def check_count(array: npt.NDArray[np.generic], count: int, name: str, of: str) -> None:
    """Raise ``ShapeError`` unless ``array`` has one axis with ``count`` entries."""
    if array.shape != (count,):
        raise ShapeError(f"{name} came with shape {array.shape}, but ({count},) is needed. Give one for each {of}.")


def displayed(pictures: Array) -> Array:
    """Pictures (N, C, H, W) clipped to [0, 1] as (N, H, W, 3), or as (N, H, W) in grey when C is not 3."""
    if pictures.shape[1] == 3:
        return pictures.clip(0, 1).transpose(0, 2, 3, 1)
    grey: Array = pictures.mean(axis=1).clip(0, 1)
    return grey


def canvas(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches that lays out its own margins."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def entitle(axes: Axes, title: str) -> None:
    """Write the title of a figure of one panel, at the panel's left edge, wrapped to the figure's width."""
    width = axes.get_figure(root=True).get_figwidth()  # type: ignore[union-attr]
    axes.set_title(_wrapped(title, width), loc="left", fontsize=TITLE_SIZE, color=INK, pad=9, parse_math=False)


def head(figure: Figure, title: str) -> None:
    """Write the title of a figure of several panels."""
    text = _wrapped(title, figure.get_figwidth())
    figure.suptitle(text, x=0.01, ha="left", fontsize=TITLE_SIZE, color=INK, parse_math=False)


def _wrapped(title: str, inches: float) -> str:
    return textwrap.fill(title, max(20, int(inches * 9)))


def label(axes: Axes, x: str = "", y: str = "") -> None:
    """Name the two axes."""
    axes.set_xlabel(x, fontsize=LABEL_SIZE, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=LABEL_SIZE, color=INK, parse_math=False)


def quiet(axes: Axes, *, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Keep only the named spines, thin and grey, with small ticks."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in spines)
        spine.set_color(QUIET)
        spine.set_linewidth(0.7)
    axes.tick_params(labelsize=SMALL_SIZE, color=QUIET, labelcolor=INK, length=3, width=0.7)


def whole_ticks(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Put ticks at whole numbers only, for what is counted."""
    if x:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    if y:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def named_ticks(axes: Axes, *, x: dict[float, str] | None = None, y: dict[float, str] | None = None) -> None:
    """Put these words at these places, without tick marks."""
    places = x or {}
    axes.set_xticks(list(places), list(places.values()), fontsize=SMALL_SIZE, parse_math=False)
    places = y or {}
    axes.set_yticks(list(places), list(places.values()), fontsize=LABEL_SIZE, parse_math=False)
    axes.tick_params(length=0, pad=5, labelcolor=INK)


def scale(axes: Axes, colours: ScalarMappable, name: str) -> None:
    """Add a slim colour bar, as high as the panel, that says what the colours mean."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    slim = 0.16 / max(1.0, figure.get_figwidth() - 2 * MARGIN)
    _bar(figure.colorbar(colours, cax=axes.inset_axes((1 + slim, 0, slim, 1))), name)


def common_scale(figure: Figure, colours: ScalarMappable, panels: Sequence[Axes], name: str) -> None:
    """Add one colour bar for several panels."""
    _bar(figure.colorbar(colours, ax=list(panels), fraction=0.05, pad=0.02, aspect=30), name)


def _bar(bar: Colorbar, name: str) -> None:
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    bar.update_ticks()
    bar.ax.tick_params(labelsize=SMALL_SIZE, color=QUIET, labelcolor=INK, length=3, width=0.7)
    bar.set_label(name, fontsize=LABEL_SIZE, color=INK)


def panel_columns(count: int) -> int:
    """In how many columns ``count`` panels stand best: two by two when there are four, else up to three."""
    return 2 if count == 4 else min(3, count)


def cut(title: str, shown: int, count: int) -> str:
    """The title, with a remark when not everything is shown."""
    return title if shown >= count else f"{title} (first {shown} of {count:,})"


def short(value: float) -> str:
    """A number in at most two decimals, without a tail of zeros, with a true minus sign.

    >>> short(-1.5), short(-0.001), short(2.0)
    ('−1.5', '0', '2')
    """
    return f"{round(float(value), 2) + 0.0:g}".replace("-", "−")


@dataclass(frozen=True)
class Colours:
    """How numbers become colours: a map's name and the values at its two ends."""

    name: str
    low: float
    high: float


GREY = Colours("gray", 0.0, 1.0)
SIGNED = Colours("RdBu_r", -1.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """Places of equal tiles in rows and columns; a tile is 1 wide and ``height`` high, y grows downwards."""

    rows: int
    columns: int
    height: float
    gap: float = 0.07

    def x(self, column: int) -> float:
        """Centre of a column."""
        return column * (1 + self.gap) + 0.5

    def y(self, row: int) -> float:
        """Centre of a row."""
        return row * (self.height + self.gap) + self.height / 2

    def extent(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a tile."""
        x, y = self.x(column), self.y(row)
        return x - 0.5, x + 0.5, y + self.height / 2, y - self.height / 2


def tile_inches(columns: int, pixels: int, *, wide: float = WIDE) -> float:
    """Width of one tile: they share ``wide`` inches, but none is so small that it loses a pixel."""
    share = min(1.25, max(0.4, wide / columns))
    return min(max(share, pixels / DPI), max(0.4, 20.0 / columns))


def mosaic(
    tiles: Array, columns: int, title: str, *, colours: Colours = GREY, wide: float = WIDE
) -> tuple[Figure, Axes, Grid]:
    """A figure with tiles (N, H, W) or (N, H, W, 3) laid row by row in one panel without ticks."""
    grid = Grid(math.ceil(len(tiles) / columns), columns, tiles.shape[1] / tiles.shape[2])
    inch = tile_inches(columns, tiles.shape[2], wide=wide)
    width, height = (grid.x(columns - 1) + 0.5) * inch, (grid.y(grid.rows - 1) + grid.height / 2) * inch
    figure = canvas(max(3.6, width + MARGIN), height + MARGIN)
    axes = figure.add_subplot()
    for k, tile in enumerate(tiles):
        place(axes, tile, grid.extent(*divmod(k, columns)), colours)
    axes.set_xlim(-0.02, grid.x(columns - 1) + 0.52)
    axes.set_ylim(grid.y(grid.rows - 1) + grid.height / 2 + 0.02, -0.02)
    quiet(axes, spines=())
    named_ticks(axes)
    entitle(axes, title)
    return figure, axes, grid


def place(axes: Axes, tile: Array, extent: tuple[float, float, float, float], colours: Colours) -> AxesImage:
    """Draw one picture at ``extent`` (left, right, bottom, top) in a hair-thin frame."""
    frame(axes, extent, FRAME, 0.8)
    return axes.imshow(
        tile, cmap=colours.name, vmin=colours.low, vmax=colours.high, extent=extent, interpolation="nearest"
    )


def frame(axes: Axes, extent: tuple[float, float, float, float], colour: str, width: float) -> None:
    """Draw the border of a picture that lies at ``extent``, over what is there."""
    left, right, bottom, top = extent
    across, down = [left, right, right, left, left], [top, top, bottom, bottom, top]
    axes.plot(across, down, color=colour, lw=width, zorder=2 + width, solid_joinstyle="miter")


def heat(axes: Axes, table: Array, colours: Colours) -> AxesImage:
    """Draw a table as coloured cells, the first row on top."""
    image = axes.imshow(
        table, cmap=colours.name, vmin=colours.low, vmax=colours.high, aspect="auto", interpolation="nearest"
    )
    quiet(axes, spines=())
    whole_ticks(axes, x=True, y=True)
    return image


def range_of(values: Array) -> Colours:
    """``cividis`` from the smallest to the largest value (a constant gets a range of its own)."""
    low, high = float(values.min()), float(values.max())
    return Colours("cividis", low, high if high > low else low + 1)


def save(figure: Figure, path: str | Path, *, dpi: int = DPI) -> Path:
    """Write ``figure`` as a PNG, whole or not at all; equal figures give equal bytes.

    Args:
        figure: what a function of this package returned.
        path: where to write; missing folders are made.
        dpi: dots per inch.

    Returns:
        ``path``, as a ``Path``.
    """
    picture = io.BytesIO()
    # Without the software's name the bytes say nothing but the picture.
    figure.savefig(picture, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.12, metadata={"Software": None})
    with replacing(Path(path)) as unfinished:
        unfinished.write_bytes(picture.getvalue())
    return Path(path)
