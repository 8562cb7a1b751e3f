"""Training curves: the loss and each of its terms by epoch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isthmus.errors import BadData
from isthmus.plots.canvas import (
    BLUE,
    INK,
    LABEL_SIZE,
    SMALL_SIZE,
    VERMILION,
    canvas,
    finite,
    head,
    label,
    quiet,
    whole_ticks,
)

Row = Mapping[str, Any]
STYLES = {"train": (BLUE, "-", "o"), "valid": (VERMILION, "--", "s")}

MARGIN = 0.12
"""Free space above and below the values of a panel, as a fraction of their range."""
FEWEST = 5
"""Epochs of a run below which all are shown."""


def curves(history: Sequence[Row], *, title: str = "Training") -> Figure:
    """The loss and each of its terms against the epoch, one panel each, the loss first.

    Args:
        history: rows as in ``metrics.jsonl``, ``{"epoch": 1, "train": {"loss": ...}, "valid": {...} or None}``;
            values in nats per example. Other entries are ignored.
        title: title of the figure.

    Returns:
        A figure with training losses solid and validation losses dashed; the epoch of the best validation loss is
        marked. Where the first epochs would flatten the rest of a curve they lie off the scale, and the panel says so.
    """
    terms = _term_names(history)
    columns = min(3, len(terms))
    rows = math.ceil(len(terms) / columns)
    figure = canvas(6.2 if columns == 1 else 3.7 * columns, 3.7 if rows == 1 else 2.7 * rows + 0.4)
    for index, term in enumerate(terms):
        axes = figure.add_subplot(rows, columns, index + 1)
        _panel(axes, history, term)
        label(axes, "epoch", "nats per example" if index % columns == 0 else "")
        if index == 0:
            _mark_best(axes, history, term)
            axes.legend(frameon=False, fontsize=SMALL_SIZE, labelcolor=INK)
    head(figure, title)
    return figure


def _term_names(history: Sequence[Row]) -> list[str]:
    names = [name for row in history for split in STYLES for name in row.get(split) or {}]
    if not names:
        raise BadData(
            f"The history of {len(history)} rows holds no loss, but a row needs 'epoch' and 'train' or 'valid'. Train "
            "for at least one epoch first."
        )
    return sorted(dict.fromkeys(names), key=lambda name: name != "loss")


def _series(history: Sequence[Row], split: str, term: str) -> tuple[list[float], list[float]]:
    rows = [row for row in history if term in (row.get(split) or {})]
    values = [row[split][term] for row in rows]
    if values:
        finite(values, f"{term!r} of the {split} history")
    return [row["epoch"] for row in rows], values


def _panel(axes: Axes, history: Sequence[Row], term: str) -> None:
    for split, (color, line, marker) in STYLES.items():
        epochs, values = _series(history, split, term)
        if epochs:
            shown = marker if len(epochs) <= 10 else ""
            axes.plot(epochs, values, line, color=color, lw=1.6, marker=shown, ms=3.5, label=split)
    hidden, low, high = _scale(history, term)
    first = f"epochs 1 to {hidden}" if hidden > 1 else "epoch 1"
    title = f"{term} ({first} off the scale)" if hidden else term
    axes.set_title(title, loc="left", fontsize=LABEL_SIZE, color=INK, parse_math=False)
    quiet(axes)
    axes.margins(y=MARGIN)
    if hidden:
        axes.set_ylim(low - MARGIN * (high - low), high + MARGIN * (high - low))
    axes.ticklabel_format(axis="y", useOffset=False)
    whole_ticks(axes, x=True)


def _scale(history: Sequence[Row], term: str) -> tuple[int, float, float]:
    """The number of first epochs that lie off the scale, and the smallest and largest value of the others.

    Epochs are left out where all after the first fifth span less than a quarter of the range; as few as possible, so
    that the others span at most twice the range of those four fifths.
    """
    pairs = [pair for split in STYLES for pair in zip(*_series(history, split, term), strict=True)]
    last = max((int(epoch) for epoch, _ in pairs), default=0)

    def span(after: int) -> tuple[float, float]:
        values = [value for epoch, value in pairs if epoch > after]
        return (min(values), max(values)) if values else (0.0, 0.0)

    def width(after: int) -> float:
        low, high = span(after)
        return high - low

    settled = max(1, last // 5)
    if last < FEWEST or not 0 < width(settled) < width(0) / 4:
        return (0, *span(0))
    hidden = next(n for n in range(settled + 1) if width(n) <= 2 * width(settled))
    return (hidden, *span(hidden))


def _mark_best(axes: Axes, history: Sequence[Row], term: str) -> None:
    epochs, values = _series(history, "valid", term)
    if not values:
        return
    best = min(range(len(values)), key=values.__getitem__)
    name = f"best: {values[best]:.5g} at epoch {epochs[best]}"
    axes.plot([epochs[best]], [values[best]], "o", mfc="none", mec=INK, mew=1.2, ms=9, ls="none", label=name)
