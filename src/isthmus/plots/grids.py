"""A table of small signed pictures: the same units under several settings."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from isthmus.plots.canvas import INK, SIGNED, check_count, check_shape, finite, mosaic, named_ticks, scale


def followed(weights: npt.ArrayLike, *, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Weights of some units, one row each, under several settings, one column each.

    Each picture is divided by its own largest absolute weight, so white is zero and the signs compare.

    Args:
        weights: (units, settings, H, W).
        rows: what each unit is called.
        columns: what each setting is called.
        title: what the figure is called.
    """
    array = finite(weights, "The weights")
    check_shape(array, {4: "(units, settings, height, width)"}, "The weights")
    check_count(np.asarray(rows), array.shape[0], "The row names", "unit")
    check_count(np.asarray(columns), array.shape[1], "The column names", "setting")
    most = np.abs(array).max(axis=(2, 3), keepdims=True)
    tiles = (array / np.where(most > 0, most, 1)).reshape(-1, *array.shape[2:])
    figure, axes, grid = mosaic(tiles, array.shape[1], title, colours=SIGNED)
    named_ticks(
        axes,
        x={grid.x(k): name for k, name in enumerate(columns)},
        y={grid.y(k): name for k, name in enumerate(rows)},
    )
    axes.tick_params(labelcolor=INK)
    scale(axes, axes.images[0], "relative weight")
    return figure
