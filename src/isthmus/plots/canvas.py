"""Shared by all figures: style, checks of arrays, tiled images, heat maps and saving.

Colors are safe for color-blind readers: Okabe and Ito's blue and vermilion for two series, ``cividis`` for values,
``RdBu`` about zero for weights, ``gray`` for images. Pixels are never interpolated. Names and titles are never parsed
as mathematics, so a data set called ``a$b`` is shown literally.
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

from isthmus.errors import BadData, ShapeError, printable
from isthmus.files.atomic import replacing

Array = npt.NDArray[np.float64]

INK, QUIET, FRAME = "#222222", "#6b6b6b", "#cccccc"
BLUE, VERMILION = "#0072B2", "#D55E00"
TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 12.0, 10.0, 8.5
DPI = 130
# Margin for a title, row labels or a color bar, in inches.
MARGIN = 0.9
# Width of all tiles together, in inches: of a row of frames, and of a square grid.
WIDE, SQUARE = 9.0, 6.6


def finite(values: npt.ArrayLike, name: str) -> Array:
    """``values`` as a float64 array.

    Raises:
        BadData: it is empty or holds NaN or infinity.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise BadData(
            f"{name} must hold at least one value, but the shape is {array.shape}. Pass an array that is not empty."
        )
    bad = array.size - int(np.isfinite(array).sum())
    if bad:
        raise BadData(
            f"{name} cannot be drawn: {bad} of {array.size} values are NaN or infinite, but all must be finite. Check "
            "for missing data or a run that diverged."
        )
    return array


def check_shape(array: Array, ranks: dict[int, str], name: str) -> None:
    """Raise ``ShapeError`` unless the number of axes is a key of ``ranks``; its values are notations of shapes."""
    if array.ndim not in ranks:
        allowed = " or ".join(ranks.values())
        raise ShapeError(
            f"{name} must have shape {allowed}, but the shape is {array.shape}. Reshape the array, with channels first."
        )


def check_count(array: npt.NDArray[np.generic], count: int, name: str, of: str) -> None:
    """Raise ``ShapeError`` unless ``array`` has one axis with ``count`` entries."""
    if array.shape != (count,):
        raise ShapeError(f"{name} must have shape ({count},), but the shape is {array.shape}. Pass one value per {of}.")


def displayed(images: Array) -> tuple[Array, str]:
    """Images (N, C, H, W) as tiles (N, H, W, 3), or (N, H, W) in gray, and a remark on what is shown of them.

    One channel is gray and three are red, green and blue, both clipped to [0, 1]. Of two channels the mean is shown; of
    four (as in RGBA) the first three are red, green and blue; of more the last, the middle and the first one. These
    channels have units of their own, so each is stretched from its 1st to its 99th percentile, as are all channels
    together where no value is a brightness in [0, 1].
    """
    count = images.shape[1]
    if count in (1, 3):
        dark = not DARK <= images.max() <= BRIGHT and images.max() != 0
        shown = _stretched(images, (0, 1, 2, 3)) if dark else images.clip(0, 1)
        return (shown[:, 0] if count == 1 else shown.transpose(0, 2, 3, 1)), "brightness stretched" if dark else ""
    if count == 2:
        return _stretched(images, (0, 2, 3)).mean(axis=1), "mean of 2 channels"
    chosen = [0, 1, 2] if count == 4 else [count - 1, count // 2, 0]
    red, green, blue = chosen
    tiles = _stretched(images[:, chosen], (0, 2, 3)).transpose(0, 2, 3, 1)
    return tiles, f"channels {red}, {green} and {blue} of {count} as red, green and blue"


DARK, BRIGHT = 0.2, 2.0
"""Bounds of the largest value of images that are shown as they are."""


def _stretched(images: Array, axes: tuple[int, ...]) -> Array:
    """Values from their 1st to their 99th percentile, over ``axes``, as [0, 1]."""
    low, high = np.percentile(images, (1, 99), axis=axes, keepdims=True)
    stretched: Array = ((images - low) / np.where(high > low, high - low, 1.0)).clip(0, 1)
    return stretched


def remarked(title: str, remark: str) -> str:
    """The title, with a remark if there is one."""
    return f"{title} ({remark})" if remark else title


def middle_frame(frames: Array, axis: int, title: str) -> tuple[Array, str]:
    """The middle one of the frames along ``axis``, and the title with its number."""
    count = frames.shape[axis]
    return frames.take(count // 2, axis), remarked(title, f"frame {count // 2 + 1} of {count}")


class Canvas(Figure):
    """A figure that a notebook shows as a PNG, although ``pyplot`` does not know it."""

    def _repr_png_(self) -> bytes:
        """The picture, by the name of the hook of IPython."""
        return png(self, DPI)


def canvas(width: float, height: float) -> Figure:
    """An empty figure of ``width`` x ``height`` inches with a constrained layout."""
    return Canvas(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def entitle(axes: Axes, title: str) -> None:
    """Set the title of a figure of one panel, at the left edge of the panel, wrapped to the width of the figure."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width = figure.get_figwidth()
    axes.set_title(_wrapped(title, width), loc="left", fontsize=TITLE_SIZE, color=INK, pad=9, parse_math=False)


def head(figure: Figure, title: str) -> None:
    """Set the title of a figure of several panels."""
    text = _wrapped(title, figure.get_figwidth())
    figure.suptitle(text, x=0.01, ha="left", fontsize=TITLE_SIZE, color=INK, parse_math=False)


def _wrapped(title: str, inches: float) -> str:
    return textwrap.fill(printable(title), max(20, int(inches * 9)))


def label(axes: Axes, x: str = "", y: str = "") -> None:
    """Set the names of the two axes."""
    axes.set_xlabel(x, fontsize=LABEL_SIZE, color=INK, parse_math=False)
    axes.set_ylabel(y, fontsize=LABEL_SIZE, color=INK, parse_math=False)


def quiet(axes: Axes, *, spines: Sequence[str] = ("left", "bottom")) -> None:
    """Keep only the named spines, thin and gray, with small ticks."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in spines)
        spine.set_color(QUIET)
        spine.set_linewidth(0.7)
    axes.tick_params(labelsize=SMALL_SIZE, color=QUIET, labelcolor=INK, length=3, width=0.7)


def whole_ticks(axes: Axes, *, x: bool = False, y: bool = False) -> None:
    """Put ticks at integers only, for counts."""
    if x:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    if y:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))


def named_ticks(axes: Axes, *, x: dict[float, str] | None = None, y: dict[float, str] | None = None) -> None:
    """Set tick labels, position -> text, without tick marks."""
    ticks = x or {}
    axes.set_xticks(list(ticks), list(ticks.values()), fontsize=SMALL_SIZE, parse_math=False)
    ticks = y or {}
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=LABEL_SIZE, parse_math=False)
    axes.tick_params(length=0, pad=5, labelcolor=INK)


def scale(axes: Axes, colors: ScalarMappable, name: str) -> None:
    """Add a slim color bar with a label, as high as the panel."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    slim = 0.16 / max(1.0, figure.get_figwidth() - 2 * MARGIN)
    _bar(figure.colorbar(colors, cax=axes.inset_axes((1 + slim, 0, slim, 1))), name)


def common_scale(figure: Figure, colors: ScalarMappable, panels: Sequence[Axes], name: str) -> None:
    """Add one color bar for several panels."""
    _bar(figure.colorbar(colors, ax=list(panels), fraction=0.05, pad=0.02, aspect=30), name)


def _bar(bar: Colorbar, name: str) -> None:
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    bar.update_ticks()
    bar.ax.tick_params(labelsize=SMALL_SIZE, color=QUIET, labelcolor=INK, length=3, width=0.7)
    bar.set_label(name, fontsize=LABEL_SIZE, color=INK)


def panel_columns(count: int) -> int:
    """Number of columns of a grid of ``count`` panels: two for four panels, else at most three."""
    return 2 if count == 4 else min(3, count)


def cut(title: str, shown: int, count: int) -> str:
    """The title, with a remark if only the first ``shown`` of ``count`` are shown."""
    return remarked(title, f"first {shown} of {count:,}" if shown < count else "")


def short(value: float) -> str:
    """A number with at most two decimals, without trailing zeros, with a true minus sign.

    >>> short(-1.5), short(-0.001), short(2.0)
    ('−1.5', '0', '2')
    """
    return f"{round(float(value), 2) + 0.0:g}".replace("-", "−")


@dataclass(frozen=True)
class Colors:
    """A color map: its name and the values at its two ends."""

    name: str
    low: float
    high: float


GREY = Colors("gray", 0.0, 1.0)
SIGNED = Colors("RdBu_r", -1.0, 1.0)


@dataclass(frozen=True)
class Grid:
    """Positions of equal tiles in rows and columns; a tile has width 1 and height ``height``, y increases downwards."""

    rows: int
    columns: int
    height: float
    gap: float = 0.07

    def x(self, column: int) -> float:
        """Center of a column."""
        return column * (1 + self.gap) + 0.5

    def y(self, row: int) -> float:
        """Center of a row."""
        return row * (self.height + self.gap) + self.height / 2

    def extent(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of a tile."""
        x, y = self.x(column), self.y(row)
        return x - 0.5, x + 0.5, y + self.height / 2, y - self.height / 2


def tile_inches(columns: int, pixels: int, *, wide: float = WIDE) -> float:
    """Width of one tile of ``columns`` in ``wide`` inches, at least so large that every pixel is visible."""
    equal = min(1.25, max(0.4, wide / columns))
    return min(max(equal, pixels / DPI), max(0.4, 20.0 / columns))


def mosaic(
    tiles: Array, columns: int, title: str, *, colors: Colors = GREY, wide: float = WIDE
) -> tuple[Figure, Axes, Grid]:
    """A figure with tiles (N, H, W) or (N, H, W, 3), arranged row by row in one panel without ticks."""
    grid = Grid(math.ceil(len(tiles) / columns), columns, tiles.shape[1] / tiles.shape[2])
    inch = tile_inches(columns, tiles.shape[2], wide=wide)
    width, height = (grid.x(columns - 1) + 0.5) * inch, (grid.y(grid.rows - 1) + grid.height / 2) * inch
    figure = canvas(max(3.6, width + MARGIN), height + MARGIN)
    axes = figure.add_subplot()
    for k, tile in enumerate(tiles):
        place(axes, tile, grid.extent(*divmod(k, columns)), colors)
    axes.set_xlim(-0.02, grid.x(columns - 1) + 0.52)
    axes.set_ylim(grid.y(grid.rows - 1) + grid.height / 2 + 0.02, -0.02)
    quiet(axes, spines=())
    named_ticks(axes)
    entitle(axes, title)
    return figure, axes, grid


def place(axes: Axes, tile: Array, extent: tuple[float, float, float, float], colors: Colors) -> AxesImage:
    """Draw one image at ``extent`` (left, right, bottom, top) in a thin frame."""
    frame(axes, extent, FRAME, 0.8)
    return axes.imshow(
        tile, cmap=colors.name, vmin=colors.low, vmax=colors.high, extent=extent, interpolation="nearest"
    )


def frame(axes: Axes, extent: tuple[float, float, float, float], color: str, width: float) -> None:
    """Draw the border of an image at ``extent``, on top of it."""
    left, right, bottom, top = extent
    across, down = [left, right, right, left, left], [top, top, bottom, bottom, top]
    axes.plot(across, down, color=color, lw=width, zorder=2 + width, solid_joinstyle="miter")


def heat(axes: Axes, table: Array, colors: Colors) -> AxesImage:
    """Draw a table as a heat map, the first row on top."""
    image = axes.imshow(
        table, cmap=colors.name, vmin=colors.low, vmax=colors.high, aspect="auto", interpolation="nearest"
    )
    quiet(axes, spines=())
    whole_ticks(axes, x=True, y=True)
    return image


def range_of(values: Array) -> Colors:
    """``cividis`` from the smallest to the largest value, or to 1 above it if all values are equal."""
    low, high = float(values.min()), float(values.max())
    return Colors("cividis", low, high if high > low else low + 1)


def save(figure: Figure, path: str | Path, *, dpi: int = DPI) -> Path:
    """Write ``figure`` as a PNG, atomically; equal figures give equal bytes.

    Args:
        figure: a figure returned by a function of this package.
        path: path of the PNG; missing folders are created.
        dpi: dots per inch.

    Returns:
        ``path``, as a ``Path``.
    """
    content = png(figure, dpi)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(content)
    return Path(path)


def png(figure: Figure, dpi: int) -> bytes:
    """``figure`` as a PNG."""
    buffer = io.BytesIO()
    # The name of the software holds a version, so equal figures would differ between versions.
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.12, metadata={"Software": None})
    return buffer.getvalue()
