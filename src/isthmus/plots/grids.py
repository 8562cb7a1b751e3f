"""A grid of filters: the same units under several settings."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from isthmus.plots.canvas import INK, SIGNED, check_count, check_shape, finite, mosaic, named_ticks, scale


def followed(weights: npt.ArrayLike, *, rows: Sequence[str], columns: Sequence[str], title: str) -> Figure:
    """Filters of some units (rows) under several settings (columns).

    Each filter is divided by its largest absolute weight, so that white is zero.

    Args:
        weights: (units, settings, H, W).
        rows: names of the units.
        columns: names of the settings.
        title: title of the figure.
    """
    array = finite(weights, "The weights")
    check_shape(array, {4: "(units, settings, height, width)"}, "The weights")
    check_count(np.asarray(rows), array.shape[0], "The row names", "unit")
    check_count(np.asarray(columns), array.shape[1], "The column names", "setting")
    most = np.abs(array).max(axis=(2, 3), keepdims=True)
    tiles = (array / np.where(most > 0, most, 1)).reshape(-1, *array.shape[2:])
    figure, axes, grid = mosaic(tiles, array.shape[1], title, colors=SIGNED)
    named_ticks(
        axes,
        x={grid.x(k): name for k, name in enumerate(columns)},
        y={grid.y(k): name for k, name in enumerate(rows)},
    )
    axes.tick_params(labelcolor=INK)
    scale(axes, axes.images[0], "relative weight")
    return figure
